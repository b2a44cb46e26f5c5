"""Lists the log, newest first, for those who may see the sites of its entries."""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson

from libs.common.contracts.audit import entries as contract
from libs.common.contracts.audit.entries import MAX_LISTED_PAYLOAD_BYTES, EntryFilter
from libs.common.service import Read, Table

# With its payload twice (parsed, and as text with its quotes escaped) a page stays below the bus's 8 MB.
PAGE_BYTES = 2 * 1024 * 1024

PAGE = "SELECT seq, octet_length(payload) AS size FROM entry WHERE {conditions} ORDER BY seq DESC LIMIT {limit}"
# Each site's newest, then the newest of them: every part is read off the index (site, seq).
PAGE_OF_SITES = """
SELECT newest.seq, newest.size FROM unnest({sites}::text[]) AS allowed (site)
CROSS JOIN LATERAL (
    SELECT seq, octet_length(payload) AS size FROM entry WHERE entry.site = allowed.site AND {conditions}
    ORDER BY seq DESC LIMIT {limit}
) AS newest
ORDER BY newest.seq DESC LIMIT {limit}
"""
# found: how many the page holds before it is cut to PAGE_BYTES; the first one is always shown.
SELECT_ENTRIES = """
WITH page AS ({page}),
sized AS (
    SELECT seq, size, count(*) OVER () AS found, row_number() OVER newest_first AS place,
           sum(least(size, {max_payload})) OVER newest_first AS total
    FROM page WINDOW newest_first AS (ORDER BY seq DESC)
)
SELECT seq, event_id, type, source, site, actor, subject, time, causationid, correlationid, recorded_at,
       encode(prev_hash, 'hex') AS prev_hash, encode(hash, 'hex') AS hash, size AS payload_bytes,
       encode(sha256(payload), 'hex') AS payload_sha256,
       CASE WHEN size <= {max_payload} THEN payload END AS payload, found
FROM sized JOIN entry USING (seq) WHERE place = 1 OR total <= {page_bytes} ORDER BY seq DESC
"""
CONDITIONS = {
    "type": "type = ${}",
    "actor": "actor = ${}",
    "subject": "subject = ${}",
    "causationid": "causationid = ${}",
    "correlationid": "correlationid = ${}",
    "after": "time >= ${}",
    "before": "time < ${}",
    "cursor": "seq < ${}",
}


async def list_entries(read: Read, wanted: EntryFilter) -> bytes:
    """A page of entries as JSON. Without a scope there is nothing to see; a foreign ``only_site`` is refused."""
    statement, values = build(read, wanted)
    rows = await read.pool.fetch(statement, *values)
    shown = rows[: wanted.limit]
    more = bool(rows) and rows[0]["found"] > len(shown)
    page = {"items": [_entry(row) for row in shown], "next_cursor": str(shown[-1]["seq"]) if more else None}
    return orjson.dumps(page, option=orjson.OPT_UTC_Z)


def just(seq: int) -> EntryFilter:
    """What finds the entry with this number, or the one before it if that can't be seen."""
    return EntryFilter(cursor=str(seq + 1), limit=1)


def build(read: Read, wanted: EntryFilter) -> tuple[str, list[Any]]:
    """The SQL of a page and its values. Only fixed fragments enter the SQL; every value is a parameter."""
    values: list[Any] = []

    def place(value: Any) -> str:
        values.append(value)
        return f"${len(values)}"

    sites = read.sites_of(wanted.only_site)
    found = {
        "type": _full_type(wanted.type) if wanted.type else None,
        "actor": wanted.actor,
        "subject": wanted.subject,
        "causationid": wanted.causationid,
        "correlationid": wanted.correlationid,
        "after": wanted.after,
        "before": wanted.before,
        "cursor": int(wanted.cursor) if wanted.cursor else None,
    }
    parts = []
    for name, value in found.items():
        if value is not None:
            values.append(value)
            parts.append(CONDITIONS[name].format(len(values)))
    if sites is not None and len(sites) == 1:
        parts.append(f"site = {place(sites[0])}")
    blanks = {"conditions": " AND ".join(parts) or "true", "limit": place(wanted.limit + 1)}
    if sites is None or len(sites) == 1:
        page = PAGE.format(**blanks)
    else:
        page = PAGE_OF_SITES.format(**blanks, sites=place(sites))
    return SELECT_ENTRIES.format(page=page, max_payload=MAX_LISTED_PAYLOAD_BYTES, page_bytes=PAGE_BYTES), values


def _full_type(name: str) -> str:
    return f"headgate.{name.removeprefix('headgate.').removesuffix('.v1')}.v1"


def _entry(row: asyncpg.Record) -> dict[str, Any]:
    entry = dict(row.items())
    del entry["found"]
    payload: bytes | None = entry["payload"]
    entry["payload"] = None if payload is None else payload.decode()
    entry["event"] = None if payload is None else orjson.Fragment(payload)
    for name in ("event_id", "causationid", "correlationid"):
        entry[name] = None if entry[name] is None else str(entry[name])
    return entry


TABLE = Table(queries={contract.list_entries: list_entries})
