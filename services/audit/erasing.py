"""Removes the bodies of entries whose time is over, by classes of actions; hashes and digests stay, so all verifies.

Only what lies in a frozen archive, which is read back first and believed only if the log says that it was made
(`archives.believing`). The database has one function for it, with bounds of its own; the login can't change an entry
otherwise (docs/decisions/0039, 0055).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

from libs.common.contracts.audit.erasures import (
    DEFAULT_CLASS,
    JOB,
    LEAST_DAYS,
    MOST_DAYS,
    BodiesErased,
    bodies_erased,
)
from libs.common.objects import Bucket
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Table, Tx
from libs.tlog.notes import Signer
from services.audit.archives.believing import Archived, doubt
from services.audit.domain.months import first_from
from services.audit.domain.retention import CLASS

PAGE = 10_000  # the most that the function takes
MAX_PAGES = 10  # of a class in one run

SELECT_PLACE = "SELECT after_seq FROM erasing WHERE class = $1"
SAVE_PLACE = """
INSERT INTO erasing (class, after_seq) VALUES ($1, $2)
ON CONFLICT (class) DO UPDATE SET after_seq = EXCLUDED.after_seq
"""
SELECT_ARCHIVE = """
SELECT month, sha256, manifest_sha256, verifier, first_seq, last_seq FROM archive
WHERE state = 'frozen' AND first_seq <= $1 AND last_seq >= $1
"""
SELECT_END = "SELECT max(last_seq) FROM archive WHERE state = 'frozen'"
SELECT_FIRST = "SELECT first_seq FROM archive WHERE state = 'frozen' AND first_seq > $1 ORDER BY first_seq LIMIT 1"
SELECT_RECORDED_AT = "SELECT recorded_at FROM entry WHERE seq = $1"
ERASE = "SELECT erase_bodies($1, $2, $3, $4, $5)"


def read_retention(setting: Mapping[str, int]) -> dict[str, int]:
    """Days by class, as it is set. Raises `ValueError` with a sentence for the operator."""
    for name, days in setting.items():
        if name != DEFAULT_CLASS and not CLASS.fullmatch(name):
            raise ValueError(
                f"HEADGATE_AUDIT_RETENTION: {name!r} is no class; it is `default`, or how actions begin, such as "
                "`metrics.` or `tracker.item.`"
            )
        if not LEAST_DAYS <= days <= MOST_DAYS:
            raise ValueError(f"HEADGATE_AUDIT_RETENTION: {name} must be {LEAST_DAYS} to {MOST_DAYS} days, not {days}")
    return dict(setting)


Doubt = Callable[[Archived], Awaitable[str | None]]
"""Why nothing in an archive may be removed, or None."""


async def erase(classes: Mapping[str, int], bucket: Bucket, signer: Signer | None, tx: Tx) -> JobDone | None:
    """Go on with each class, up to the first archive in doubt; None: there was nothing to remove."""
    total, problems = 0, list[str]()
    judged: dict[Archived, str | None] = {}

    async def doubted(archive: Archived) -> str | None:
        if archive not in judged:  # read back once, however many classes it holds
            judged[archive] = await doubt(tx.connection, bucket, signer, archive)
        return judged[archive]

    for name, days in sorted(classes.items()):
        count, problem = await _erase_class(classes, doubted, tx, name, days)
        total += count
        if problem is not None and problem not in problems:  # others may be further, or not so far
            problems.append(problem)
    if problems:
        return JobDone("warning", {"erased_count": total, "problem": " ".join(problems)})
    return JobDone(detail={"erased_count": total}) if total else None


async def _erase_class(
    classes: Mapping[str, int], doubted: Doubt, tx: Tx, name: str, days: int
) -> tuple[int, str | None]:
    """How many bodies of a class were removed, and why it could not go on; how far it came is kept."""
    connection, before, total = tx.connection, tx.now - timedelta(days=days), 0
    end = await connection.fetchval(SELECT_END)
    if end is None:
        return 0, None
    end = await first_from(before, end, partial(_recorded_at, connection)) - 1
    at: int = await connection.fetchval(SELECT_PLACE, name) or 0
    prefix = "" if name == DEFAULT_CLASS else name
    finer = [other for other in classes if other not in (name, DEFAULT_CLASS) and other.startswith(prefix)]
    problem: str | None = None
    for _ in range(MAX_PAGES):
        if at >= end:
            break
        archive = await _archive_of(connection, at + 1)
        if archive is None:  # of before the first archive: not archived, so it stays
            following = await connection.fetchval(SELECT_FIRST, at)
            at = following - 1 if following else end
            continue
        if (problem := await doubted(archive)) is not None:
            break
        to = min(at + PAGE, archive.last_seq, end)
        count = await connection.fetchval(ERASE, at, to, prefix, finer, before)
        if count:
            told = BodiesErased(
                retention_class=name,
                first_seq=at + 1,
                last_seq=to,
                erased_count=count,
                recorded_before=before,
                archive_month=archive.month,
                archive_sha256=archive.sha256,
            )
            tx.emit(bodies_erased, told, subject=f"{name}/{at + 1}", site="global")
        at, total = to, total + count
    await connection.execute(SAVE_PLACE, name, at)
    return total, problem


async def _recorded_at(connection: Connection, seq: int) -> datetime:
    found: datetime | None = await connection.fetchval(SELECT_RECORDED_AT, seq)
    if found is None:
        raise LookupError(f"entry {seq} is missing: GET /api/audit/verify names it")
    return found


async def _archive_of(connection: Connection, seq: int) -> Archived | None:
    row = await connection.fetchrow(SELECT_ARCHIVE, seq)
    return None if row is None else Archived(*row)


def table(classes: Mapping[str, int], bucket: Bucket, signer: Signer | None) -> Table:
    """What this module answers; without classes nothing is ever removed."""
    if not classes:
        return Table()
    return Table(
        jobs=(Job(JOB, Schedule("7 2 * * *"), partial(erase, classes, bucket, signer), looks=True),), buckets=(bucket,)
    )
