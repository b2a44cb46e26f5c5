"""Believes that a body was removed only if a later entry of the log itself says so; that a row notes it proves nothing.

The body goes in the transaction of its event, which reaches the log a little later: so long it can't be told.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from libs.common.service import Connection
from libs.tlog.tiles import WIDTH
from services.audit import tree
from services.audit.domain.chain import Fault, Link, Row, check
from services.audit.domain.retention import ERASED_TYPE, Cover, cover_of, covered

ON_ITS_WAY = timedelta(hours=1)
"""For so long after a removal the entry that tells of it may not have arrived."""

# The columns of chain.Row. Each is some 600 bytes and stands for up to 10,000 entries.
SELECT_TOLD = """
SELECT seq, recorded_at, prev_hash, hash, payload, version, time, event_id::text, type, source, site, actor, subject,
       causationid::text, correlationid::text, outcome, reason, issue, trace_id, client_address, client_agent
FROM entry WHERE type = $1 AND payload IS NOT NULL ORDER BY seq
"""
SELECT_NOW = "SELECT now()"
NEAR = 4096  # entries come one behind the other: for so many of them the same few are looked at


class StillOnItsWay(Exception):
    """A body went a moment ago, and the entry that says so is not in the log yet: neither valid nor broken."""


class Covers:
    """What the log says of removed bodies, read once it is asked for; in one snapshot of the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._held: list[Cover] | None = None
        self._now: datetime | None = None
        self._near: list[Cover] = []
        self._near_seqs = range(0)

    async def fault(self, fields: Sequence[Any], erased_at: datetime) -> Fault | None:
        """What is wrong with an entry (the fields of `Row`) without a body. Raises `StillOnItsWay`."""
        row = Row(*fields)
        if self._held is None:
            self._now = await self._connection.fetchval(SELECT_NOW)
            self._held = await self._read()
        if row.seq not in self._near_seqs:
            self._near_seqs = range(row.seq, row.seq + NEAR)
            self._near = [one for one in self._held if one.first_seq < row.seq + NEAR and one.last_seq >= row.seq]
        if covered(self._near, row.seq, row.type, row.recorded_at):
            return None
        if self._now is not None and self._now - ON_ITS_WAY < erased_at <= self._now:
            raise StillOnItsWay(f"the body of entry {row.seq} was removed a moment ago")
        return Fault(row.seq, f"entry {row.seq} has no body, and no later entry says that it was removed")

    async def _read(self) -> list[Cover]:
        covers = [cover_of(*one) async for one in told_by_log(self._connection, ERASED_TYPE)]
        return [one for one in covers if one is not None]


async def told_by_log(connection: Connection, type_: str) -> AsyncIterator[tuple[int, datetime, Any]]:
    """Number, time and event of each entry of a type that is itself what was taken in: it fits its own link, and its
    digest is the tree's. Those without a body, and those that do not fit, are passed over.
    """
    number, digests = -1, b""
    for row in await connection.fetch(SELECT_TOLD, type_):
        seq, payload = row["seq"], row["payload"]
        if check((row,), Link(seq - 1, row["prev_hash"]), orjson.loads).fault is not None:
            continue
        if number != (seq - 1) // WIDTH:
            number = (seq - 1) // WIDTH
            digests = await tree.entry_digests(connection, number) or b""
        at = (seq - 1) % WIDTH * 32
        digest = tree.digest_of(list(row), len(payload), hashlib.sha256(payload).digest())
        if digest == digests[at : at + 32]:
            yield seq, row["recorded_at"], orjson.loads(payload)
