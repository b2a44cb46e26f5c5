"""Retention: what is over is written into an archive, read back, and only then removed, in one transaction.

Crash anywhere: the rows are there, and at most an archive of them that nobody lists; the next run makes the same bytes
of the same rows, under the same name.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import asyncpg

from libs.common import versions
from libs.common.bus import NATS_ERRORS
from libs.common.cells import table as as_csv
from libs.common.cloudevents import format_time
from libs.common.columns import listed, names_of
from libs.common.contracts.base import Nothing, Page
from libs.common.contracts.blobs import Blob
from libs.common.contracts.jobs import JobStatus
from libs.common.contracts.notifier import retention as contract
from libs.common.contracts.notifier.retention import (
    KEPT_ARCHIVES_DAYS,
    RETENTION,
    RETENTION_DOCUMENT,
    RETENTION_JOB,
    Archive,
    ArchiveFilter,
    ArchiveKey,
    RetentionBody,
    RetentionRun,
)
from libs.common.job_runs import envelope, latest, record
from libs.common.listing import Listing, newest
from libs.common.objects import Bucket, ObjectGone
from libs.common.problems import NotFound, Unavailable
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from services.notifier.figures import policies

MAX_DROPPED = 500  # archives in one run of the job
MEDIA_TYPE = "text/csv"
# What was sent and answered stays out: heads of requests and answers may hold what is nobody's business for years.
COLUMNS = (
    "delivery_id", "subscription_id", "channel_id", "purpose", "event_id", "event_name", "site", "state", "created_at",
    "last_attempt_at", "ended_at", "attempt_count", "http_status", "took_ms", "error", "verdict",
)  # fmt: skip

_OVER = "state IN ('delivered', 'dead')"  # what only waits, for whatever reason, is never removed
# Held, so that nobody has them sent again while they are written down; whom somebody holds already is left for later.
SELECT_OVER = f"""
SELECT {listed(COLUMNS[:-1])}, (
        SELECT verdict FROM verdict WHERE verdict.site = delivery.site AND verdict.delivery_id = delivery.delivery_id
        ORDER BY verdict_id DESC LIMIT 1) AS verdict
FROM delivery WHERE site = $1 AND created_at < $2 AND {_OVER}
ORDER BY created_at, delivery_id LIMIT $3 FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - names of our own
COUNT_OVER = f"""
SELECT count(*) FROM (
    SELECT FROM delivery WHERE site = $1 AND created_at < $2 AND {_OVER} ORDER BY created_at, delivery_id LIMIT $3
) AS found
"""  # noqa: S608
DELETE_OVER = f"DELETE FROM delivery WHERE delivery_id = ANY ($1::bigint[]) AND {_OVER}"  # noqa: S608
# One step for each site.
SELECT_SITES = f"""
WITH RECURSIVE found AS (
    (SELECT site FROM delivery WHERE {_OVER} ORDER BY site LIMIT 1)
    UNION ALL
    SELECT (SELECT site FROM delivery WHERE {_OVER} AND delivery.site > found.site ORDER BY site LIMIT 1)
    FROM found WHERE found.site IS NOT NULL
)
SELECT site FROM found WHERE site IS NOT NULL ORDER BY site
"""  # noqa: S608
_ARCHIVE = listed(names_of(Archive))
INSERT_ARCHIVE = f"""
INSERT INTO archive (site, sha256, size_bytes, row_count, oldest_at, newest_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {_ARCHIVE}
"""  # noqa: S608
SELECT_ARCHIVE = f"SELECT {_ARCHIVE} FROM archive WHERE site = $1 AND archive_id = $2"  # noqa: S608
DELETE_ARCHIVES = "DELETE FROM archive WHERE created_at < $1"
LIST_ARCHIVES = Listing(table="archive", columns=_ARCHIVE, scope={"site": "text"}, order=newest("archive_id"))


class ArchiveError(Exception):
    """The archive can't be written, or does not read back; ``str`` says why in a sentence."""


@dataclass(frozen=True, slots=True)
class Written:
    """A CSV that lies in the bucket and has been read back."""

    sha256: str
    size: int


async def write(bucket: Bucket, rows: Sequence[asyncpg.Record]) -> Written:
    """Store the rows as CSV and read them back. Raises `ArchiveError`."""
    content = as_csv(COLUMNS, [{name: _cell(value) for name, value in row.items()} for row in rows]).encode()
    written = Written(hashlib.sha256(content).hexdigest(), len(content))
    try:
        await bucket.put(written.sha256, written.size, io.BytesIO(gzip.compress(content, mtime=0)))
        size = 0
        async for piece in bucket.read(await bucket.find(written.sha256)):
            size += len(piece)
    except Unavailable as error:
        raise ArchiveError(f"The archive could not be stored: {error.detail}") from error
    except ObjectGone as error:
        raise ArchiveError("The archive did not read back as it was written.") from error
    except NATS_ERRORS as error:
        raise ArchiveError("The archive could not be read back from the message bus.") from error
    if size != written.size:
        raise ArchiveError("The archive did not read back as it was written.")
    return written


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    return value if isinstance(value, bool | int | float | None) else str(value)


async def clear(bucket: Bucket, tx: Tx, *, dry_run: bool = False) -> JobDone:
    """Archive and remove what the site's policy says. Raises `Conflict` if the policy can't be read."""
    published = await versions.current(tx.connection, RETENTION_DOCUMENT, tx.site)
    policy = published.content
    before = tx.now - timedelta(days=policy.retention_days)
    detail: dict[str, Any] = {"dry_run": dry_run, "policy": policy.model_dump(mode="json"), "before": before}

    def done(status: JobStatus = "success", **more: Any) -> JobDone:
        return JobDone(status, detail | more, policy_version=f"{published.source} {published.version}")

    if dry_run:
        found = await tx.connection.fetchval(COUNT_OVER, tx.site, before, policy.max_delete + 1)
        return done(candidate_count=min(found, policy.max_delete), left_over=found > policy.max_delete)
    rows = await tx.connection.fetch(SELECT_OVER, tx.site, before, policy.max_delete + 1)
    left_over, rows = len(rows) > policy.max_delete, rows[: policy.max_delete]
    counts: dict[str, Any] = {"candidate_count": len(rows), "left_over": left_over}
    if not rows:
        return done(**counts)
    try:
        written = await write(bucket, rows)
    except ArchiveError as error:
        return done("failed", **counts, error=f"{error} Nothing was removed.")
    row = await tx.connection.fetchrow(
        INSERT_ARCHIVE, tx.site, written.sha256, written.size, len(rows), rows[0]["created_at"],
        rows[-1]["created_at"], tx.now,
    )  # fmt: skip
    assert row is not None  # noqa: S101 - an INSERT returns its row
    removed = await tx.connection.execute(DELETE_OVER, [one["delivery_id"] for one in rows])
    return done(
        **counts,
        archived_count=len(rows),
        deleted_count=int(removed.rpartition(" ")[2]),
        archive=Archive(**row).model_dump(mode="json"),
    )


async def run_by_hand(bucket: Bucket, tx: Tx, body: RetentionBody) -> RetentionRun:
    """A run, whatever the policy says of the job. Raises `Conflict`."""
    run = await record(tx, RETENTION_JOB, await clear(bucket, tx, dry_run=body.dry_run))
    return RetentionRun(**envelope(run))


async def run_by_clock(bucket: Bucket, tx: Tx) -> JobDone | None:
    """A run of the job; None: there was nothing to remove, or the policy says no."""
    if not (await versions.current(tx.connection, RETENTION_DOCUMENT, tx.site)).content.enabled:
        return None
    found = await clear(bucket, tx)
    return found if found.detail["candidate_count"] else None


async def latest_retention(read: Read, _params: Nothing) -> RetentionRun:
    """The newest run. Raises `NotFound`."""
    run = await latest(read.pool, read.site, RETENTION_JOB)
    if run is None:
        raise NotFound("The retention has not run at this site; POST …/retention/run runs it.")
    return RetentionRun(**envelope(run))


async def list_archives(read: Read, wanted: ArchiveFilter) -> Page[Archive]:
    """A page of the site's archives, newest first. Raises `Invalid`."""
    found = await LIST_ARCHIVES.page(read.pool, {"site": read.site}, limit=wanted.limit, cursor=wanted.cursor)
    return Page[Archive](items=[Archive(**row) for row in found.rows], next_cursor=found.next_cursor)


async def get_archive(read: Read, key: ArchiveKey) -> Blob:
    """An archive's CSV. Raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_ARCHIVE, read.site, key.archive_id)
    if row is None:
        raise NotFound(f"There is no archive {key.archive_id} in this site; GET …/retention/archives lists them.")
    return Blob(
        sha256=row["sha256"],
        size=row["size_bytes"],
        media_type=MEDIA_TYPE,
        filename=f"deliveries-{row['site']}-{row['newest_at']:%Y%m%d}-{row['archive_id']}.csv",
        gone=f"The archive {key.archive_id} is not kept any more; archives are kept for {KEPT_ARCHIVES_DAYS} days.",
    )


async def drop_archives(bucket: Bucket, tx: Tx) -> JobDone | None:
    """Remove archives whose time is over, and what a crash left in the bucket."""
    before = tx.now - timedelta(days=KEPT_ARCHIVES_DAYS)
    dropped = await bucket.drop_oldest(before, MAX_DROPPED)
    gone = int((await tx.connection.execute(DELETE_ARCHIVES, before)).rpartition(" ")[2])
    return JobDone(detail={"archive_count": gone, "from_bucket_count": len(dropped)}) if gone or dropped else None


async def sites(connection: Connection) -> Sequence[str]:
    """The sites that have deliveries which are over."""
    return [row["site"] for row in await connection.fetch(SELECT_SITES)]


DOCUMENT = versions.table(RETENTION_DOCUMENT)
POLICY = policies.table(RETENTION)


def table(bucket: Bucket) -> Table:
    """What this module answers; archives lie in ``bucket``."""
    return Table(
        commands={contract.run_retention: partial(run_by_hand, bucket)},
        queries={
            contract.latest_retention: latest_retention,
            contract.list_archives: list_archives,
            contract.get_archive: get_archive,
        },
        jobs=(
            Job(RETENTION_JOB, Schedule("*/10 * * * *"), partial(run_by_clock, bucket), sites),
            Job("drop_archives", Schedule("11 4 * * *"), partial(drop_archives, bucket)),
        ),
        buckets=(bucket,),
    )
