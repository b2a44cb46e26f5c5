"""The integrity batch: asks who keeps evidence for a sample, hashed anew, tells the gates and keeps the result."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import asyncpg

from libs.common import job_runs
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Nothing, Query
from libs.common.contracts.blobs import Blob
from libs.common.contracts.gateway.sites import every_site
from libs.common.contracts.governance.signals import OutsideEvent, SignalRecord, record_signals
from libs.common.contracts.integrity import SampleWanted, TableIntegrity, integrity_query
from libs.common.contracts.jobs import JobStatus, JobTrigger
from libs.common.contracts.operations import integrity as contract
from libs.common.contracts.operations.integrity import (
    JOB,
    Integrity,
    IntegrityKey,
    IntegrityRun,
    IntegrityWanted,
    Unasked,
)
from libs.common.contracts.preflight import Overall
from libs.common.integrity import Kept, chosen, in_bucket, in_row, rehash
from libs.common.problems import NotFound, Refusal
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from services.operations import archives
from services.operations.archives import BUCKET, DAILY, DEPLOYMENTS, INTEGRITY, QUALITY, File
from services.operations.asked import Asks

SITE = "global"  # where its runs are kept: it is about the installation
SOURCE = "/headgate/operations"
KIND = "ops.integrity"
ASKED = tuple(name for name, one in CONTRACTS.items() if integrity_query(name).name in one.by_name)
STATUS: dict[Overall, JobStatus] = {"ok": "success", "warning": "warning", "critical": "critical"}
ANSWER_S, ANSWER_IN_JOB_S = 4.0, 9.0  # the edge waits 5 s for an answer; nobody waits for the job
BYTES, BYTES_IN_JOB = 16 * 1024 * 1024, 48 * 1024 * 1024  # of each table

NEWEST = """
SELECT run_id, format, filename, sha256, size FROM archive WHERE kind = $1 ORDER BY stored_at DESC, run_id DESC LIMIT $2
"""
ANYWHERE = """
SELECT run_id, format, filename, sha256, size FROM archive WHERE kind = $1 AND sha256 >= $2 ORDER BY sha256 LIMIT $3
"""
NEWEST_GUIDES = "SELECT path, version, sha256 FROM rollback_guide ORDER BY uploaded_at DESC LIMIT $1"
SELECT_GUIDE = "SELECT content FROM rollback_guide WHERE path = $1 AND version = $2"
Source = asyncpg.Pool | Connection


async def _own(source: Source, wanted: SampleWanted) -> list[TableIntegrity]:
    """What this service keeps itself: files of each kind, and guides."""
    found, place = [], f"{int(wanted.place * (2**32 - 1)):08x}"
    for kind in (DAILY, DEPLOYMENTS, QUALITY, INTEGRITY):
        newest = await source.fetch(NEWEST, kind, wanted.sample_per_table)
        anywhere = await source.fetch(ANYWHERE, kind, place, wanted.sample_per_table)
        sample = chosen([_file(row) for row in newest], [_file(row) for row in anywhere], wanted.sample_per_table)
        found.append(await rehash(f"{kind}_files", sample, wanted))
    guides = await source.fetch(NEWEST_GUIDES, wanted.sample_per_table)
    return [*found, await rehash("rollback_guides", [_guide(source, row) for row in guides], wanted)]


def _file(row: asyncpg.Record) -> Kept:
    return Kept(f"run {row['run_id']} {row['filename']}", row["sha256"], row["size"], in_bucket(BUCKET, row["sha256"]))


def _guide(source: Source, row: asyncpg.Record) -> Kept:
    content = partial(source.fetchval, SELECT_GUIDE, row["path"], row["version"])
    return Kept(f"{row['path']} version {row['version']}", row["sha256"], None, in_row(content))


async def look(
    asker: Asks, source: Source, wanted: IntegrityWanted, now: datetime, *, timeout_s: float, max_bytes: int
) -> Integrity:
    """Have every service that keeps evidence look at a sample. Which old ones are read follows from ``now``."""
    place = int.from_bytes(hashlib.sha256(str(now).encode()).digest()[:4], "big") / 2**32
    asked = SampleWanted(**wanted.model_dump(), place=place, max_bytes=max_bytes)

    async def ask(service: str) -> list[TableIntegrity] | Refusal:
        question = CONTRACTS[service].by_name[integrity_query(service).name]
        assert isinstance(question, Query)  # noqa: S101 - declared so
        try:
            tables: list[TableIntegrity] = await asker.ask(question, asked, timeout_s=timeout_s)
        except Refusal as refusal:
            return refusal
        return tables

    answers = await asyncio.gather(_own(source, asked), *(ask(service) for service in ASKED))
    named = list(zip(("operations", *ASKED), answers, strict=True))
    unread = [Unasked(service=name, reason=one.detail) for name, one in named if isinstance(one, Refusal)]
    tables = [table for _, one in named if not isinstance(one, Refusal) for table in one]
    return summed(tables, unread, wanted, now)


def summed(
    tables: Sequence[TableIntegrity], unread: Sequence[Unasked], wanted: IntegrityWanted, now: datetime
) -> Integrity:
    """All tables together, and what is to be said of them."""
    counts = {
        name: sum(getattr(one, name) for one in tables)
        for name in (
            "checked_count", "missing_blob_count", "missing_hash_count", "digest_mismatch_count", "read_error_count",
            "skipped_count",
        )
    }  # fmt: skip
    wrong = counts["digest_mismatch_count"] + counts["read_error_count"]
    missing = counts["missing_blob_count"] + counts["missing_hash_count"]
    checked = counts["checked_count"]
    unseen = [one.table for one in tables if one.skipped_count and not one.checked_count]
    status: Overall = "critical" if wrong else "warning" if missing or unread or unseen or not checked else "ok"
    said = [
        (counts["digest_mismatch_count"], "not what was stored"),
        (counts["read_error_count"], "unreadable"),
        (counts["missing_blob_count"], "missing"),
        (counts["missing_hash_count"], "without a SHA-256"),
    ]
    parts = [f"{count} {words}" for count, words in said if count]
    parts += [f"{one.service} could not be asked: {one.reason}" for one in unread]
    parts += [f"all of {name} are too large to be read in the time" for name in unseen]
    message = f"of {checked} read: {', '.join(parts)}" if parts else f"{checked} were read, all are what was stored"
    if counts["skipped_count"] and not unseen:
        message += f" ({counts['skipped_count']} were too large to be read in the time)"
    if not checked and not parts:
        message = "there was nothing to check"
    issues = [issue for table in tables for issue in table.issues]
    return Integrity(
        status=status,
        message=message,
        checked_at=now,
        sample_per_table=wanted.sample_per_table,
        issue_count=wrong + missing,
        issues=issues[: wanted.max_issues],
        tables=[one.model_copy(update={"issues": []}) for one in tables],
        unread=list(unread),
        **counts,
    )


async def sample_now(read: Read, wanted: IntegrityWanted) -> Integrity:
    """A sample, looked at now; nobody is told."""
    return await look(read, read.pool, wanted, read.now, timeout_s=ANSWER_S, max_bytes=BYTES)


async def run(tx: Tx, wanted: IntegrityWanted, trigger: JobTrigger, timeout_s: float = ANSWER_IN_JOB_S) -> IntegrityRun:
    """Look, tell the gates of every site, and keep the result: one transaction."""
    found = await look(tx, tx.connection, wanted, tx.now, timeout_s=timeout_s, max_bytes=BYTES_IN_JOB)
    sites = await tx.ask(every_site, Nothing())
    run_id = await job_runs.next_run_id(tx)
    kept = IntegrityRun(
        **found.model_dump(), run_id=run_id, trigger=trigger, archive_file=None, archive_sha256=None, archive_error=None
    )
    name = f"evidence-integrity-{tx.now:%Y%m%dT%H%M%SZ}-run-{run_id}.json"
    file = File("json", name, kept.model_copy(update={"archive_file": name}).model_dump_json(indent=1).encode())
    try:
        await archives.store(tx, run_id, (file,), kind=INTEGRITY)
        kept = kept.model_copy(update={"archive_file": name, "archive_sha256": file.sha256})
    except archives.KEPT_BACK as error:
        kept = kept.model_copy(update={"archive_error": archives.reason(error)})
    for site in sites:
        tx.send(record_signals, _signal(kept), site=site)
    tx.emit(contract.evidence_checked, kept, subject=str(run_id), site=SITE)
    detail = kept.model_dump(mode="json", exclude={"run_id", "trigger"})
    await job_runs.record(tx, JOB, JobDone(STATUS[kept.status], detail), trigger=trigger, run_id=run_id)
    return kept


def _signal(run: IntegrityRun) -> SignalRecord:
    data = {
        **run.model_dump(include=_TOLD),
        "unread_count": len(run.unread),
    }
    told = OutsideEvent(id=f"{run.run_id}-{KIND}", source=SOURCE, type=KIND, time=run.checked_at, data=data)
    return SignalRecord(signals=[told])


_TOLD = {
    "status", "checked_count", "missing_blob_count", "missing_hash_count", "digest_mismatch_count", "read_error_count",
}  # fmt: skip


async def run_by_hand(tx: Tx, wanted: IntegrityWanted) -> IntegrityRun:
    """A batch that a person asks for."""
    return await run(tx, wanted, "api", ANSWER_S)


async def run_by_clock(tx: Tx) -> None:
    """The daily one."""
    await run(tx, IntegrityWanted(), "schedule")


async def newest(source: Source) -> IntegrityRun | None:
    """The newest batch that did not fail."""
    found = await job_runs.latest(source, SITE, JOB)
    if found is None or found.status == "failed":
        return None
    return IntegrityRun(**found.detail, run_id=found.run_id, trigger=found.trigger)


async def latest(read: Read, _params: Nothing) -> IntegrityRun:
    """The newest. Raises `NotFound`."""
    found = await newest(read.pool)
    if found is None:
        raise NotFound(f"No batch was run yet, or the newest one failed; run one with POST {contract.BASE}/run.")
    return found


async def get_file(read: Read, wanted: IntegrityKey) -> Blob:
    """A batch's file. Raises `NotFound`."""
    found = await archives.find(read.pool, wanted.integrity_run_id, "json", kind=INTEGRITY)
    if found is None:
        raise NotFound(
            f"The run {wanted.integrity_run_id} has no archive; GET {contract.BASE}/latest names the newest."
        )
    return found


TABLE = Table(
    commands={contract.run_integrity: run_by_hand},
    queries={
        contract.sample_integrity: sample_now,
        contract.latest_integrity: latest,
        contract.get_integrity_file: get_file,
    },
    jobs=(Job(JOB, Schedule("35 1 * * *"), run_by_clock, keeps_record=True),),
)
