"""Series of recovery: how old the newest good backup and the newest rehearsal that held are, and the room for more."""

from __future__ import annotations

import asyncpg
from prometheus_client import CollectorRegistry, Gauge

from libs.common.contracts.operations.rehearsals import JOB as REHEARSAL
from services.operations.backups import told
from services.operations.rehearsals import SITE

BACKUP_AT = Gauge(
    "headgate_backup_timestamp_seconds",
    "Recovery point of the newest good backup; before the first one: when the installation was first checked",
)
REHEARSED_AT = Gauge(
    "headgate_rehearsal_valid_timestamp_seconds",
    "When the newest rehearsal ended in which a backup was restored whole; 0 before the first one",
)
FREE = Gauge("headgate_backup_free_bytes", "Room that is left where backups lie, if anybody can say", ["place"])
SIZE = Gauge("headgate_backup_size_bytes", "Size of the newest good backup")

SELECT_HELD_AT = "SELECT max(finished_at) FROM job_run WHERE job_name = $1 AND site = $2 AND status = 'success'"


async def measure(pool: asyncpg.Pool, _registry: CollectorRegistry) -> None:
    """Set the gauges by what was told."""
    known = await told.known(pool)
    held_at = await pool.fetchval(SELECT_HELD_AT, REHEARSAL, SITE)
    since = known.good_at or known.watched_since
    BACKUP_AT.set(since.timestamp() if since else 0)
    REHEARSED_AT.set(held_at.timestamp() if held_at else 0)
    SIZE.set(known.size_bytes)
    FREE.clear()
    if known.latest is not None and known.latest.free_bytes is not None:
        FREE.labels(known.latest.place).set(known.latest.free_bytes)
