"""Archives: the files of daily checks in the bucket, and the table that says of which run each is."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from libs.common.buckets import CHECKS
from libs.common.contracts.blobs import Blob
from libs.common.contracts.operations import daily as contract
from libs.common.contracts.operations.daily import ArchiveKey
from libs.common.objects import Bucket, ObjectGone
from libs.common.problems import NotFound
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx

BUCKET = Bucket(CHECKS.name)
MEDIA_TYPES = {"json": "application/json", "csv": "text/csv"}
REMOVED_AT_ONCE = 500
GONE = "This archive is not kept any more."

INSERT_ARCHIVE = """
INSERT INTO archive (run_id, format, filename, sha256, size, stored_at) VALUES ($1, $2, $3, $4, $5, $6)
"""
SELECT_NEWEST = """
SELECT run_id, format, filename, sha256, size FROM archive WHERE run_id = (
    SELECT run_id FROM archive ORDER BY stored_at DESC, run_id DESC LIMIT 1
)
"""
SELECT_OF_RUNS = "SELECT run_id, format, filename, sha256 FROM archive WHERE run_id = ANY ($1::bigint[])"
SELECT_ARCHIVE = "SELECT filename, sha256, size FROM archive WHERE run_id = $1 AND format = $2"
REMOVE_ARCHIVES = "DELETE FROM archive WHERE stored_at < $1"


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


async def store(tx: Tx, run_id: int, files: Sequence[File]) -> None:
    """Put files into the bucket, then note whose they are. Raises `Unavailable` if the bucket can't store them.

    If the transaction does not commit, the files lie there without a name until their time is over.
    """
    for file in files:
        await BUCKET.put(file.sha256, len(file.content), io.BytesIO(gzip.compress(file.content)))
        size = len(file.content)
        await tx.connection.execute(INSERT_ARCHIVE, run_id, file.format, file.name, file.sha256, size, tx.now)


async def newest(source: asyncpg.Pool | Connection) -> dict[str, str]:
    """The files of the newest run, each with ``ok`` or what is wrong with it in the bucket. Raises NATS errors."""
    rows = await source.fetch(SELECT_NEWEST)
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


async def get_archive(read: Read, wanted: ArchiveKey) -> Blob:
    """A file of a run. Raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_ARCHIVE, wanted.check_run_id, wanted.kind)
    if row is None:
        raise NotFound(
            f"The run {wanted.check_run_id} has no archive as {wanted.kind}; list them under …/checks/archive.json."
        )
    return Blob(**dict(row), media_type=MEDIA_TYPES[wanted.kind], gone=GONE)


async def remove_old(retention: timedelta, tx: Tx) -> JobDone | None:
    """Remove what is older, from the bucket and then from the table."""
    before: datetime = tx.now - retention
    dropped = await BUCKET.drop_oldest(before, REMOVED_AT_ONCE)
    status = await tx.connection.execute(REMOVE_ARCHIVES, before)
    removed = int(status.rpartition(" ")[2])
    detail: Mapping[str, object] = {"removed_count": removed, "from_bucket_count": len(dropped), "before": before}
    return JobDone(detail=detail) if dropped or removed else None


def table(retention_days: int) -> Table:
    """What this module answers; archives are kept for so many days."""

    async def job(tx: Tx) -> JobDone | None:
        return await remove_old(timedelta(days=retention_days), tx)

    return Table(
        queries={contract.get_archive: get_archive},
        jobs=(Job("remove_check_files", Schedule("47 1 * * *"), job),),
        buckets=(BUCKET,),
    )
