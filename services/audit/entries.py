"""Lists the log, newest first, for those who may see the sites of its entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson

from libs.common.contracts.audit import entries as contract
from libs.common.contracts.audit.entries import MAX_LISTED_PAYLOAD_BYTES, EntryFilter
from libs.common.personal import MASK, PERMISSION, is_sealed, may_read
from libs.common.problems import Forbidden
from libs.common.service import Read, Table
from services.audit.clients import with_clients
from services.audit.domain.content import Derived, derived
from services.audit.kinds import types_of

# With its payload twice (parsed, and as text with its quotes escaped) a page stays below the bus's 8 MB.
PAGE_BYTES = 2 * 1024 * 1024
SEARCHED_ROWS = 5000  # of one page: some 50 ms of work
SEARCHED_BYTES = 64 * 1024  # in larger payloads nobody looks for a text

PAGE = "SELECT seq, octet_length(payload) AS size FROM entry WHERE {conditions} ORDER BY seq DESC LIMIT {limit}"
# The newest of each of several sites, or types, then the newest of them: every part is read off an index.
PAGE_OF_SEVERAL = """
SELECT newest.seq, newest.size FROM unnest({values}::text[]) AS allowed (one)
CROSS JOIN LATERAL (
    SELECT seq, octet_length(payload) AS size FROM entry WHERE entry.{column} = allowed.one AND {conditions}
    ORDER BY seq DESC LIMIT {limit}
) AS newest
ORDER BY newest.seq DESC LIMIT {limit}
"""
PAGE_OF_THESE = "SELECT seq, octet_length(payload) AS size FROM entry WHERE seq = ANY ({seqs}::bigint[])"
# found: how many the page holds before it is cut to PAGE_BYTES; the first one is always shown.
SELECT_ENTRIES = """
WITH page AS ({page}),
sized AS (
    SELECT seq, size, count(*) OVER () AS found, row_number() OVER newest_first AS place,
           sum(least(coalesce(size, 0), {max_payload})) OVER newest_first AS total
    FROM page WINDOW newest_first AS (ORDER BY seq DESC)
)
SELECT seq, event_id, type, source, site, actor, subject, time, causationid, correlationid, recorded_at,
       version, outcome, reason, issue, trace_id, client_address, client_agent,
       encode(prev_hash, 'hex') AS prev_hash, encode(hash, 'hex') AS hash,
       coalesce(size, erasure.payload_bytes) AS payload_bytes,
       encode(coalesce(sha256(payload), erasure.payload_sha256), 'hex') AS payload_sha256,
       CASE WHEN size <= {max_payload} THEN payload END AS payload, erased_at, found
FROM sized JOIN entry USING (seq) LEFT JOIN erasure USING (seq)
WHERE place = 1 OR total <= {page_bytes} ORDER BY seq DESC
"""
# Which of the newest that the other filters leave hold a text, and where the search ended. A sub-select for each, since
# a join may look for the text in the whole log first.
SEARCH = """
WITH page AS ({page})
SELECT (SELECT count(*) FROM page) AS searched_count, (SELECT min(seq) FROM page) AS end_seq, ARRAY(
    SELECT seq FROM page
    WHERE size <= {max_bytes} AND (
        SELECT CASE WHEN {visible} THEN position(lower({text}) IN lower(convert_from(payload, 'UTF8'))) END
        FROM entry WHERE entry.seq = page.seq
    ) > 0
    ORDER BY seq DESC LIMIT {limit}
) AS seqs
"""
SELECT_CAUSE = SELECT_ENTRIES.format(
    page="""
    SELECT seq, octet_length(payload) AS size FROM entry
    WHERE event_id = $1 AND ($2::text[] IS NULL OR site = ANY ($2))
    """,
    max_payload=MAX_LISTED_PAYLOAD_BYTES,
    page_bytes=PAGE_BYTES,
)
CONDITIONS = {
    "type": "type = ${}",
    "action": "type = ${}",
    "actor": "actor = ${}",
    "subject": "subject = ${}",
    "resource_id": "subject = ${}",
    "issue": "issue = ${}",
    "trace_id": "trace_id = ${}",
    "causationid": "causationid = ${}",
    "correlationid": "correlationid = ${}",
    "after": "time >= ${}",
    "before": "time < ${}",
    "cursor": "seq < ${}",
}
# Entries of before addresses were sealed say them.
NOT_IN_CLEAR = "(client_address IS NULL OR starts_with(client_address, 'p1.'))"
# Words of ours and no parameters: so the planner sees that the index of what was not applied serves.
OUTCOMES = {"applied": "outcome = 'applied'", "refused": "outcome = 'refused'", "failed": "outcome = 'failed'"}


@dataclass(slots=True)
class _Statement:
    """A page's SQL as it is put together. Only fixed fragments enter the SQL; every value is a parameter."""

    values: list[Any] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    several: tuple[str, list[str]] | None = None  # column and values to read side by side

    def place(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"

    def among(self, column: str, wanted: list[str]) -> None:
        """Leave rows with one of these values; the first such condition with several leads."""
        if len(wanted) == 1:
            self.parts.append(f"{column} = {self.place(wanted[0])}")
        elif self.several is None:
            self.several = column, wanted
        else:
            self.parts.append(f"{column} = ANY ({self.place(wanted)}::text[])")

    def page(self, limit: int) -> str:
        blanks = {"conditions": " AND ".join(self.parts) or "true", "limit": self.place(limit)}
        if self.several is None:
            return PAGE.format(**blanks)
        column, wanted = self.several
        return PAGE_OF_SEVERAL.format(**blanks, column=column, values=self.place(wanted))


async def list_entries(read: Read, wanted: EntryFilter) -> bytes:
    """A page of entries as JSON. Without a scope there is nothing to see; a foreign ``only_site`` is refused.

    Raises `Forbidden` for ``clients`` without the permission.
    """
    if wanted.clients and PERMISSION not in read.permissions:
        raise Forbidden(f"From where others came is for those with the permission {PERMISSION}; leave clients away.")
    if wanted.text is not None:
        return await _search(read, wanted, wanted.text)
    statement, values = build(read, wanted)
    rows = await read.pool.fetch(statement, *values)
    shown = rows[: wanted.limit]
    more = bool(rows) and rows[0]["found"] > len(shown)
    return await _page(read, shown, shown[-1]["seq"] if more else None, clients=wanted.clients)


async def _page(read: Read, rows: list[asyncpg.Record], next_cursor: int | None, *, clients: bool) -> bytes:
    items = [entry_of(row, read) for row in rows]
    if clients:
        for item, seen in zip(items, await with_clients(read, map(dict, rows)), strict=True):
            address, agent = seen["client_address"], seen["client_agent"]
            if address is not None or agent is not None:
                item["client"] = {"address": address, "agent": agent}
    page = {"items": items, "next_cursor": None if next_cursor is None else str(next_cursor)}
    return orjson.dumps(page, option=orjson.OPT_UTC_Z)


async def _search(read: Read, wanted: EntryFilter, text: str) -> bytes:
    looking, values = build_search(read, wanted, text)
    found = await read.pool.fetchrow(looking, *values)
    assert found is not None  # noqa: S101  a select without a table
    seqs, shown = found["seqs"], []
    if seqs:
        statement = _Statement()
        page = PAGE_OF_THESE.format(seqs=statement.place(seqs[: wanted.limit]))
        shown = await read.pool.fetch(_whole(page), *statement.values)
    if len(seqs) > len(shown):  # cut by the limit, or by the size of a page
        return await _page(read, shown, shown[-1]["seq"], clients=wanted.clients)
    end = found["end_seq"] if found["searched_count"] == SEARCHED_ROWS else None
    return await _page(read, shown, end, clients=wanted.clients)


def just(seq: int) -> EntryFilter:
    """What finds the entry with this number, or the one before it if that can't be seen."""
    return EntryFilter(cursor=str(seq + 1), limit=1)


def build(read: Read, wanted: EntryFilter) -> tuple[str, list[Any]]:
    """The SQL of a page and its values. Raises `Forbidden` and `Invalid`."""
    statement = _filtered(read, wanted)
    return _whole(statement.page(wanted.limit + 1)), statement.values


def build_search(read: Read, wanted: EntryFilter, text: str) -> tuple[str, list[Any]]:
    """The SQL that looks for a text among what the other filters leave, and its values."""
    statement = _filtered(read, wanted)
    page = statement.page(SEARCHED_ROWS)
    visible = "true" if PERMISSION in read.permissions else NOT_IN_CLEAR  # else one could find out by searching
    blanks = {
        "visible": visible,
        "text": statement.place(text),
        "limit": statement.place(wanted.limit + 1),
        "max_bytes": SEARCHED_BYTES,
    }
    return SEARCH.format(page=page, **blanks), statement.values


async def cause_of(read: Read, entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of the command that caused an entry, as it is shown; None where the asker can see none."""
    if entry["causationid"] is None:
        return None
    row = await read.pool.fetchrow(SELECT_CAUSE, entry["causationid"], read.sites_of(None))
    if row is None or row["client_address"] is None:
        return None
    found: dict[str, Any] = orjson.loads(orjson.dumps(entry_of(row, read), option=orjson.OPT_UTC_Z))
    return found


def _whole(page: str) -> str:
    return SELECT_ENTRIES.format(page=page, max_payload=MAX_LISTED_PAYLOAD_BYTES, page_bytes=PAGE_BYTES)


def _filtered(read: Read, wanted: EntryFilter) -> _Statement:
    statement = _Statement()
    found = wanted.model_dump(exclude_none=True, exclude={"type", "action", "cursor", "text", "clients"})
    found |= {name: full_type(said) for name in ("type", "action") if (said := getattr(wanted, name))}
    if wanted.cursor:
        found["cursor"] = int(wanted.cursor)
    for name, condition in CONDITIONS.items():
        if name in found:
            statement.parts.append(condition.format(statement.place(found[name])[1:]))
    if wanted.outcome:
        statement.parts.append(OUTCOMES[wanted.outcome])
    sites = read.sites_of(wanted.only_site)
    if sites is not None:
        statement.among("site", sites)
    if wanted.resource_type is not None:
        statement.among("type", types_of(wanted.resource_type))
    return statement


def full_type(name: str) -> str:
    """The CloudEvents type of an action."""
    return f"headgate.{name.removeprefix('headgate.').removesuffix('.v1')}.v1"


def entry_of(row: asyncpg.Record, read: Read | None = None) -> dict[str, Any]:
    """An entry as it is shown to who reads; to nobody in particular with all that is stored."""
    entry = dict(row.items())
    del entry["found"]
    payload: bytes | None = entry["payload"]
    entry["payload"] = None if payload is None else payload.decode()
    entry["event"] = None if payload is None else orjson.Fragment(payload)
    if entry["version"] is not None:
        entry |= derived(entry["type"], entry["actor"])._asdict()
    else:
        entry |= dict.fromkeys(Derived._fields)
    for name in ("event_id", "causationid", "correlationid"):
        entry[name] = None if entry[name] is None else str(entry[name])
    if read is not None and _in_clear(entry) and not may_read(read.permissions, read.actor, entry["actor"]):
        return _masked(entry, payload)
    return entry


def _in_clear(entry: Mapping[str, Any]) -> bool:
    """Whether it says from where somebody came in words that can be read: of before they were sealed."""
    texts = (entry["client_address"], entry["client_agent"])
    return any(text is not None and not is_sealed(text) for text in texts)


def _masked(entry: dict[str, Any], payload: bytes | None) -> dict[str, Any]:
    event = None if payload is None else orjson.loads(payload)
    names = [name for name in ("client_address", "client_agent") if entry[name] is not None]
    if event is not None:
        event["data"] |= {name: MASK for name in names if name in event["data"]}
    return entry | {"payload": None, "event": event, "masked": True} | dict.fromkeys(names, MASK)


TABLE = Table(queries={contract.list_entries: list_entries})
