"""From which addresses tokens come: noted in memory, stored once a minute, kept for 90 days.

Crash here means: at most a minute of notes is lost.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta

import asyncpg

from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Table, Tx

MAX_NOTED = 10_000
MAX_OF_TOKEN = 100  # whoever comes from more is shared by any measure
KEPT = timedelta(days=90)

# Each token's newest hundred: what is there already is always renewed.
STORE = f"""
INSERT INTO token_address (token_id, address, first_used_at, last_used_at)
SELECT used.token_id, used.address, used.at, used.at
FROM unnest($1::bigint[], $2::text[], $3::timestamptz[]) AS used (token_id, address, at)
JOIN tokens USING (token_id) JOIN users USING (username)
WHERE (users.active OR users.erased_at IS NULL) AND (
    (SELECT count(*) FROM token_address WHERE token_address.token_id = used.token_id) < {MAX_OF_TOKEN}
    OR EXISTS (
        SELECT FROM token_address
        WHERE token_address.token_id = used.token_id AND token_address.address = used.address
    )
)
ORDER BY used.token_id, used.address
ON CONFLICT (token_id, address) DO UPDATE
SET last_used_at = greatest(token_address.last_used_at, excluded.last_used_at)
"""  # noqa: S608  only a constant of ours is put in
DELETE_OLD = """
WITH gone AS (DELETE FROM token_address WHERE last_used_at < $1 RETURNING 1) SELECT count(*) FROM gone
"""


def place_of(address: str) -> str:
    """The address; of IPv6 the network of 64 bits, within which one machine changes its address all the time."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Network((found, 64), strict=False))
    return str(found)


class Addresses:
    """What was noted since it was stored last."""

    def __init__(self) -> None:
        self._noted: dict[tuple[int, str], datetime] = {}

    def note(self, token_id: int, address: str, now: datetime) -> None:
        """Note that a token came from here."""
        key = token_id, place_of(address)
        if key in self._noted or len(self._noted) < MAX_NOTED:
            self._noted[key] = now

    async def store(self, pool: asyncpg.Pool) -> None:
        """Write what was noted, in one statement. Raises what the database raises; then it is lost without harm."""
        noted, self._noted = self._noted, {}
        if noted:
            rows = [(token_id, address, at) for (token_id, address), at in sorted(noted.items())]
            await pool.execute(STORE, *(list(column) for column in zip(*rows, strict=True)), timeout=5)


async def forget(tx: Tx) -> JobDone | None:
    """Remove addresses from which a token has not come for 90 days."""
    count = await tx.connection.fetchval(DELETE_OLD, tx.now - KEPT)
    return JobDone(detail={"removed_count": count}) if count else None


TABLE = Table(jobs=(Job("token_addresses", Schedule("41 3 * * *"), forget, looks=True),))
