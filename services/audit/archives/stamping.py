"""Has frozen archives stamped by a time-stamping authority (RFC 3161), and hands the stamps out.

What is stamped are the four lines that are signed of an archive, which name its manifest's SHA-256. Crash anywhere: a
stamp that was given and not stored is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from libs.common.contracts.audit import archives as contract
from libs.common.contracts.audit.archives import STAMP_JOB, ArchiveMonth
from libs.common.contracts.blobs import Blob
from libs.common.outbound import Outbound, OutboundError
from libs.common.problems import NotFound
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Read, Table, Tx
from libs.tlog.archives import signed_text
from libs.tlog.stamps import MAX_REPLY_BYTES, QUERY_TYPE, REPLY_TYPE, StampProblem, make_query, stamped_at

SELECT_UNSTAMPED = """
SELECT month, origin, manifest_sha256 FROM archive
WHERE state = 'frozen' AND NOT EXISTS (
    SELECT FROM archive_stamp WHERE archive_stamp.manifest_sha256 = archive.manifest_sha256
) ORDER BY month LIMIT 1
"""
INSERT_STAMP = """
INSERT INTO archive_stamp (manifest_sha256, reply, stamped_at, asked_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
SELECT_STAMP = "SELECT reply FROM archive JOIN archive_stamp USING (manifest_sha256) WHERE month = $1"


@dataclass(frozen=True, slots=True)
class Authority:
    """Where the authority is asked, and what calls it."""

    url: str
    outbound: Callable[[], Outbound]


async def stamp(authority: Authority, tx: Tx) -> JobDone | None:
    """Have the oldest frozen archive stamped that is not; None: all are."""
    row = await tx.connection.fetchrow(SELECT_UNSTAMPED)
    if row is None:
        return None
    text = signed_text(row["origin"], row["month"], row["manifest_sha256"])
    query, nonce = make_query(text)
    try:
        reply = await _ask(authority, query)
        at = stamped_at(reply, text, nonce)
    except OutboundError as error:
        return JobDone("warning", {"month": row["month"], "problem": f"No time stamp: {error.sentence}"})
    except StampProblem as error:
        return JobDone("warning", {"month": row["month"], "problem": f"No time stamp: {error}."})
    await tx.connection.execute(INSERT_STAMP, row["manifest_sha256"], reply, at, tx.now)
    return JobDone(detail={"month": row["month"], "stamped_at": at})


async def _ask(authority: Authority, query: bytes) -> bytes:
    outbound = authority.outbound()
    try:
        answer = await outbound.post(authority.url, {"Content-Type": QUERY_TYPE, "Accept": REPLY_TYPE}, query)
    finally:
        await outbound.close()
    if answer.status != 200 or len(answer.head) >= MAX_REPLY_BYTES:
        raise StampProblem(f"the authority answered {answer.status} with {len(answer.head)} bytes")
    return answer.head


async def get_stamp(read: Read, wanted: ArchiveMonth) -> Blob:
    """The authority's reply, as it came. Raises `NotFound`."""
    reply = await read.pool.fetchval(SELECT_STAMP, wanted.month)
    if reply is None:
        raise NotFound(
            f"The archive of {wanted.month} has no time stamp: it is not frozen, or HEADGATE_AUDIT_TSA_URL is not set, "
            "or the authority was not reached yet (`headgate jobs runs` says why)."
        )
    return Blob.of(reply, media_type=REPLY_TYPE, filename=f"audit-archive-{wanted.month}.tsr")


def table(authority: Authority | None) -> Table:
    """What this module answers; without an authority nobody is asked."""
    jobs = () if authority is None else (Job(STAMP_JOB, Schedule("43 * * * *"), partial(stamp, authority), looks=True),)
    return Table(queries={contract.get_archive_stamp: get_stamp}, jobs=jobs)
