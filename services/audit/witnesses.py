"""Which witnesses are asked, what they cosigned, and how it is shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
from prometheus_client import CollectorRegistry, Gauge

from libs.common.contracts.audit import witnesses as contract
from libs.common.contracts.audit.witnesses import CheckpointFilter, Cosignature, SeenCheckpoint, WitnessView
from libs.common.contracts.base import Nothing, Page
from libs.common.runtime import StartError
from libs.common.service import Read, Table
from libs.tlog.cosignatures import WitnessKey
from libs.tlog.notes import Checkpoint, NoteProblem, read_note
from services.audit.checkpoints import Signed

MAX_WITNESSES = 16  # as many signatures as every verifier takes
# A checkpoint that was cosigned is shown for so long while newer ones have no cosignatures yet.
SHOWN_FOR_S = 120.0

SELECT_WITNESSES = """
SELECT verifier, state, problem, size, cosigned_at, asked_at, since FROM witness WHERE verifier = ANY ($1::text[])
"""
# Both tables keep the last checkpoint of an hour, each its own; of one size there is one root.
SELECT_CHECKPOINTS = """
WITH kept AS (
    (SELECT rollover, size, root, note, signed_at FROM checkpoint
     WHERE (rollover, size) < ($1, $2) ORDER BY rollover DESC, size DESC LIMIT $3)
    UNION ALL
    (SELECT rollover, size, root, note, signed_at FROM cosignature
     WHERE (rollover, size) < ($1, $2) ORDER BY rollover DESC, size DESC LIMIT $3 * $4)
), page AS (
    SELECT DISTINCT ON (rollover, size) * FROM kept ORDER BY rollover DESC, size DESC, signed_at DESC LIMIT $3
)
SELECT rollover, size, root, note, signed_at, lines, verifiers, times,
       (SELECT count(*) FROM witness WHERE witness.rollover = page.rollover AND witness.size >= page.size
            AND state <> 'forked' AND verifier = ANY ($5::text[])) AS seen_by
FROM page CROSS JOIN LATERAL (
    SELECT array_agg(line ORDER BY verifier) AS lines, array_agg(verifier ORDER BY verifier) AS verifiers,
           array_agg(cosigned_at ORDER BY verifier) AS times
    FROM cosignature WHERE cosignature.rollover = page.rollover AND cosignature.size = page.size
) AS gathered ORDER BY rollover DESC, size DESC
"""
SELECT_NEWEST_COSIGNED = """
SELECT rollover, size, note, signed_at FROM cosignature ORDER BY rollover DESC, size DESC, signed_at DESC LIMIT 1
"""
SELECT_LINES = "SELECT line FROM cosignature WHERE rollover = $1 AND size = $2 ORDER BY verifier"
SELECT_FORKS = "SELECT verifier, problem FROM witness WHERE state = 'forked' AND verifier = ANY ($1::text[])"

WITNESSES = Gauge("headgate_audit_witnesses", "Number of witnesses that the audit log asks to cosign it")
FORKS = Gauge("headgate_audit_witness_forks", "Number of witnesses that saw another history of the audit log")
WITNESSED_AT = Gauge(
    "headgate_audit_witnessed_timestamp_seconds",
    "Since when the witness that cosigned longest ago has not cosigned again; 0 if one never has",
)

_URL = re.compile(r"https?://[^\s?#]{1,500}")


@dataclass(frozen=True, slots=True)
class WitnessAt:
    """A witness of the settings: its public key, and the address that its paths are put behind."""

    key: WitnessKey
    url: str


def read_witnesses(named: dict[str, str]) -> tuple[WitnessAt, ...]:
    """The witnesses of the setting, keys by address. Raises `StartError`."""
    found: list[WitnessAt] = []
    if len(named) > MAX_WITNESSES:
        raise StartError(f"HEADGATE_AUDIT_WITNESSES names {len(named)} witnesses, at most {MAX_WITNESSES} are asked")
    for url, text in named.items():
        if not _URL.fullmatch(url):
            raise StartError(f"HEADGATE_AUDIT_WITNESSES: {url[:100]} is no address; one reads https://witness.example")
        try:
            found.append(WitnessAt(WitnessKey.read(text), url.rstrip("/")))
        except NoteProblem as error:
            raise StartError(f"HEADGATE_AUDIT_WITNESSES: the key of {url[:100]}: {error}") from error
    if len({one.key for one in found}) < len(found):
        raise StartError("HEADGATE_AUDIT_WITNESSES names a key twice; a witness counts once")
    return tuple(found)


def origin_of(note: str) -> str:
    """The log's name in a checkpoint."""
    return Checkpoint.read(read_note(note).text).origin


async def published(connection: Any, newest: Signed) -> str:
    """The newest checkpoint as a note, or the newest that was cosigned if hardly older, with all its cosignatures: one
    that others saw proves more.
    """
    row = await connection.fetchrow(SELECT_NEWEST_COSIGNED)
    if row is None or (row["rollover"], row["size"]) > (newest.rollover, newest.size):
        return newest.note
    if row["rollover"] < newest.rollover or (newest.signed_at - row["signed_at"]).total_seconds() > SHOWN_FOR_S:
        return newest.note
    lines = [found["line"] for found in await connection.fetch(SELECT_LINES, row["rollover"], row["size"])]
    note: str = row["note"]
    return note + "".join(lines)


async def forks(connection: Any, asked: Sequence[WitnessAt]) -> str | None:
    """What witnesses say who saw another history, as a sentence; None: nobody did."""
    rows = await connection.fetch(SELECT_FORKS, [one.key.text for one in asked])
    return " ".join(row["problem"] for row in rows) or None


async def list_witnesses(asked: Sequence[WitnessAt], read: Read, _params: Nothing) -> list[WitnessView]:
    """Those that the settings name, in their order."""
    rows = {row["verifier"]: row for row in await read.pool.fetch(SELECT_WITNESSES, [one.key.text for one in asked])}
    shown = []
    for one in asked:
        row = rows.get(one.key.text)
        values = dict(row.items()) if row else {"verifier": one.key.text, "state": "waiting", "size": 0}
        blank = dict.fromkeys(("problem", "cosigned_at", "asked_at", "since"))
        shown.append(WitnessView(witness=one.key.name, **{**blank, **values}))
    return shown


async def list_checkpoints(asked: Sequence[WitnessAt], read: Read, wanted: CheckpointFilter) -> Page[SeenCheckpoint]:
    """The last one of each hour, and those that were cosigned."""
    rollover, size = map(int, (wanted.cursor or f"{10**17}.0").split("."))
    keys = [one.key.text for one in asked]
    rows = await read.pool.fetch(SELECT_CHECKPOINTS, rollover, size, wanted.limit + 1, MAX_WITNESSES, keys)
    shown = [_seen(row) for row in rows[: wanted.limit]]
    more = len(rows) > wanted.limit
    last = rows[wanted.limit - 1] if more else None
    return Page[SeenCheckpoint](items=shown, next_cursor=f"{last['rollover']}.{last['size']}" if last else None)


def _seen(row: asyncpg.Record) -> SeenCheckpoint:
    verifiers = row["verifiers"] or []
    return SeenCheckpoint(
        origin=origin_of(row["note"]),
        size=row["size"],
        root_hash=row["root"].hex(),
        signed_at=row["signed_at"],
        checkpoint=row["note"] + "".join(row["lines"] or []),
        cosigned_by=[
            Cosignature(witness=WitnessKey.read(one).name, cosigned_at=at)
            for one, at in zip(verifiers, row["times"] or [], strict=True)
        ],
        witness_count=max(row["seen_by"], len(verifiers)),
    )


async def measure(asked: Sequence[WitnessAt], pool: asyncpg.Pool, _registry: CollectorRegistry) -> None:
    """Set the gauges of what witnesses saw."""
    rows = await pool.fetch(SELECT_WITNESSES, [one.key.text for one in asked]) if asked else []
    times = [row["cosigned_at"].timestamp() if row["cosigned_at"] else 0.0 for row in rows]
    WITNESSES.set(len(asked))
    FORKS.set(sum(row["state"] == "forked" for row in rows))
    WITNESSED_AT.set(min(times) if len(times) == len(asked) and times else 0.0)


def table(asked: Sequence[WitnessAt]) -> Table:
    """What this module answers."""
    return Table(
        queries={
            contract.list_witnesses: partial(list_witnesses, asked),
            contract.list_checkpoints: partial(list_checkpoints, asked),
        }
    )
