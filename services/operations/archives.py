"""Archives: files of runs in the bucket, and the table that says of which run each is and how long it is kept."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from libs.common.buckets import CHECKS
from libs.common.bus import NATS_ERRORS
from libs.common.contracts.blobs import Blob
from libs.common.contracts.operations import daily as contract
from libs.common.contracts.operations.daily import ArchiveKey
from libs.common.objects import Bucket, ObjectGone
from libs.common.problems import NotFound, Unavailable
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx

BUCKET = Bucket(CHECKS.name)
# Kinds of files, each kept for its own time.
DAILY, DEPLOYMENTS, QUALITY, INTEGRITY = "check", "deploy_smoke", "quality_report", "evidence_integrity"
# When the bucket can't store: what was to be archived still counts, and says so.
KEPT_BACK: tuple[type[BaseException], ...] = (Unavailable, *NATS_ERRORS)
HTML = "text/html; charset=utf-8"
MEDIA_TYPES = {"json": "application/json", "csv": "text/csv", "html": HTML, "html_ko": HTML}
REMOVED_AT_ONCE = 500
GONE = "This archive is not kept any more."

INSERT_ARCHIVE = """
INSERT INTO archive (run_id, format, filename, sha256, size, stored_at, kind) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
SELECT_NEWEST = """
SELECT run_id, format, filename, sha256, size FROM archive WHERE run_id = (
    SELECT run_id FROM archive WHERE kind = $1 ORDER BY stored_at DESC, run_id DESC LIMIT 1
)
"""
SELECT_OF_RUNS = "SELECT run_id, format, filename, sha256 FROM archive WHERE run_id = ANY ($1::bigint[])"
SELECT_ARCHIVE = "SELECT filename, sha256, size FROM archive WHERE run_id = $1 AND format = $2 AND kind = $3"
REMOVE_ARCHIVES = """
DELETE FROM archive WHERE (run_id, format) IN (
    SELECT run_id, format FROM archive WHERE kind = $1 AND stored_at < $2 ORDER BY stored_at LIMIT $3
) RETURNING sha256
"""
STILL_NAMED = "SELECT sha256 FROM archive WHERE sha256 = ANY ($1::text[])"


@dataclass(frozen=True, slots=True)
class File:
    """A file to be kept: ``name`` as it is downloaded."""

    format: str
    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Under which it lies in the bucket."""
        return hashlib.sha256(self.content).hexdigest()


def reason(error: BaseException) -> str:
    """Why something was kept back, in words."""
    return error.detail if isinstance(error, Unavailable) else repr(error)


async def store(tx: Tx, run_id: int, files: Sequence[File], *, kind: str = DAILY) -> None:
    """Put files into the bucket, then note whose they are. Raises one of `KEPT_BACK` if the bucket can't store them.

    If the transaction does not commit, the files lie there without a name until their time is over.
    """
    for file in files:
        await BUCKET.put(file.sha256, len(file.content), io.BytesIO(gzip.compress(file.content)))
        size = len(file.content)
        await tx.connection.execute(INSERT_ARCHIVE, run_id, file.format, file.name, file.sha256, size, tx.now, kind)


async def newest(source: asyncpg.Pool | Connection) -> dict[str, str]:
    """The files of the newest daily check: ``ok``, or what is wrong with it in the bucket. Raises NATS errors."""
    rows = await source.fetch(SELECT_NEWEST, DAILY)
    return {row["filename"]: await _state(row["sha256"], row["size"]) for row in rows}


async def _state(sha256: str, size: int) -> str:
    """The content itself is read: that it is listed proves nothing."""
    try:
        found = await BUCKET.find(sha256)
        read = [piece async for piece in BUCKET.read(found)]
    except ObjectGone:
        return "is gone, or is not what was stored"
    return "ok" if sum(map(len, read)) == size else "has another size than what was stored"


async def of_runs(source: asyncpg.Pool, run_ids: Sequence[int]) -> dict[int, dict[str, tuple[str, str]]]:
    """Of each run the files that lie in the bucket now: (name, SHA-256) by format. Raises NATS errors."""
    found: dict[int, dict[str, tuple[str, str]]] = {}
    for row in await source.fetch(SELECT_OF_RUNS, list(run_ids)):
        try:
            await BUCKET.find(row["sha256"])
        except ObjectGone:
            continue
        found.setdefault(row["run_id"], {})[row["format"]] = row["filename"], row["sha256"]
    return found


async def find(source: asyncpg.Pool, run_id: int, format_: str, *, kind: str = DAILY) -> Blob | None:
    """A file of a run, to be downloaded."""
    row = await source.fetchrow(SELECT_ARCHIVE, run_id, format_, kind)
    return None if row is None else Blob(**dict(row), media_type=MEDIA_TYPES[format_], gone=GONE)


async def get_archive(read: Read, wanted: ArchiveKey) -> Blob:
    """A file of a daily check. Raises `NotFound`."""
    found = await find(read.pool, wanted.check_run_id, wanted.kind)
    if found is None:
        raise NotFound(
            f"The run {wanted.check_run_id} has no archive as {wanted.kind}; list them under …/checks/archive.json."
        )
    return found


async def remove_old(kept: Mapping[str, timedelta], tx: Tx) -> JobDone | None:
    """Remove of each kind what is older, from the table and then from the bucket.

    If that does not commit, rows name what is gone; the next run removes them.
    """
    sums: set[str] = set()
    for kind, retention in kept.items():
        rows = await tx.connection.fetch(REMOVE_ARCHIVES, kind, tx.now - retention, REMOVED_AT_ONCE)
        sums |= {row["sha256"] for row in rows}
    named = {row["sha256"] for row in await tx.connection.fetch(STILL_NAMED, sorted(sums))} if sums else set()
    for sha256 in sorted(sums - named):
        await BUCKET.drop(sha256)
    # What no row names: its transaction did not commit.
    longest = tx.now - max(kept.values())
    dropped = await BUCKET.drop_oldest(longest, REMOVED_AT_ONCE)
    detail: Mapping[str, object] = {"removed_count": len(sums), "from_bucket_count": len(sums - named) + len(dropped)}
    return JobDone(detail=detail) if sums or dropped else None


def table(retention_days: Mapping[str, int]) -> Table:
    """What this module answers; archives of each kind are kept for so many days."""
    kept = {kind: timedelta(days=days) for kind, days in retention_days.items()}

    async def job(tx: Tx) -> JobDone | None:
        return await remove_old(kept, tx)

    return Table(
        queries={contract.get_archive: get_archive},
        jobs=(Job("remove_check_files", Schedule("47 1 * * *"), job),),
        buckets=(BUCKET,),
    )
