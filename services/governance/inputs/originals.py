"""Reports as the tools wrote them: fetched to be judged, kept to be looked at, removed when their time is over."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import tempfile
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import IO, BinaryIO, cast

from libs.common.contracts.blobs import Blob
from libs.common.contracts.governance import reports as contract
from libs.common.contracts.governance.reports import ReportRecord, StoredReport
from libs.common.contracts.governance.signals import SignalKey, SignalReceipts
from libs.common.objects import Bucket, ObjectGone
from libs.common.problems import Invalid, NotFound, TooLarge
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Read, Table, Tx
from services.governance.domain.readers.reports import MAX_REPORT_BYTES, TABLE

MEMORY_BYTES = 1024 * 1024  # of one report while it is read; the rest lies in a file without a name
SPLIT = "split it into parts (part=unit, part=integration)"
MAX_REMOVED = 500  # in one run of the job
# Many are kept because they could not be read, so none is promised to be XML or JSON: the name's ending says the kind.
MEDIA_TYPE = "application/octet-stream"

# The same bytes may come again and again, from any site: they are kept once, and begin anew each time.
KEEP_ORIGINAL = """
WITH kept AS (
    INSERT INTO originals (sha256, size, content, stored_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (sha256) DO UPDATE
    SET content = EXCLUDED.content, stored_at = greatest(originals.stored_at, EXCLUDED.stored_at), removed_at = NULL
)
INSERT INTO signal_reports (signal_id, sha256, format) SELECT signal_id, $1, $6 FROM unnest($5::bigint[]) AS signal_id
ON CONFLICT DO NOTHING
"""
SELECT_ORIGINAL = """
SELECT signals.received_at, link.sha256, link.format, originals.size, originals.content, originals.removed_at,
    originals.sha256 IS NOT NULL AS known
FROM signals LEFT JOIN signal_reports AS link USING (signal_id) LEFT JOIN originals USING (sha256)
WHERE signals.site = $1 AND signals.signal_id = $2
"""
REMOVE_ORIGINALS = """
UPDATE originals SET content = NULL, removed_at = $2 WHERE sha256 IN (
    SELECT sha256 FROM originals WHERE removed_at IS NULL AND stored_at < $1 ORDER BY stored_at LIMIT $3
)
"""
FORGET_ORIGINALS = """
DELETE FROM originals WHERE sha256 IN (
    SELECT sha256 FROM originals WHERE removed_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM signal_reports WHERE signal_reports.sha256 = originals.sha256)
    ORDER BY removed_at LIMIT $1
)
"""


@dataclass(frozen=True, slots=True)
class Original:
    """A report's bytes, open to be read. ``packed`` holds a small one as it is kept, packed by zlib.

    ``lost`` says in a sentence that the bytes are not there any more, though the command is.
    """

    sha256: bytes
    size: int
    file: BinaryIO
    packed: bytes | None
    lost: str = ""

    def head(self, size: int) -> bytes:
        """The first bytes."""
        self.file.seek(0)
        return self.file.read(size)


@asynccontextmanager
async def opened(bucket: Bucket, body: ReportRecord) -> AsyncIterator[Original]:
    """The report of a command, for as long as it is read.

    Raises `Invalid`, `TooLarge`, or NATS errors.
    """
    if body.too_large is not None:
        reason = f"The report has more than {body.too_large.max_bytes} bytes; {SPLIT}."
        yield Original(sha256(b"too large").digest(), 0, io.BytesIO(), None, reason)
        return
    if body.stored is None:
        packed, content = await asyncio.to_thread(unpack, body.content_zlib_base64 or "")
        yield Original(sha256(content).digest(), len(content), io.BytesIO(content), packed)
        return
    if body.stored.size > MAX_REPORT_BYTES:
        _refuse_large()
    with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as file:
        lost = ""
        try:
            await _fetch(bucket, body.stored, file)
        except ObjectGone:
            lost = "The report's content is not in the store any more, so it can't be judged: send it again."
            file.truncate(0)
        file.seek(0)
        yield Original(bytes.fromhex(body.stored.sha256), body.stored.size, cast("BinaryIO", file), None, lost)


async def _fetch(bucket: Bucket, wanted: StoredReport, file: IO[bytes]) -> None:
    """Raises `ObjectGone`, or NATS errors: then the command waits."""
    found = await bucket.find(wanted.sha256)
    if found.size != wanted.size:
        raise ObjectGone(wanted.sha256)
    async for piece in bucket.read(found):
        await asyncio.to_thread(file.write, piece)


def unpack(text: str) -> tuple[bytes, bytes]:
    """The packed bytes in ``content_zlib_base64``, and what they unpack to, at most ``MAX_REPORT_BYTES``.

    Raises `Invalid`, `TooLarge`.
    """
    try:
        packed = base64.b64decode(text, validate=True)
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(packed, MAX_REPORT_BYTES + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise Invalid("content_zlib_base64 must be the report's bytes, packed by zlib, in base64.") from error
    if len(content) > MAX_REPORT_BYTES:
        _refuse_large()
    if not unpacker.eof or unpacker.unused_data:
        raise Invalid("content_zlib_base64 is cut off or has bytes after its end; send it whole.")
    return packed, content


def _refuse_large() -> None:
    raise TooLarge(
        f"The report has more than {MAX_REPORT_BYTES} bytes; {SPLIT}.",
        max_bytes=MAX_REPORT_BYTES,
    )


async def keep(tx: Tx, original: Original, body: ReportRecord, receipts: SignalReceipts) -> None:
    """Remember from which report these signals were read; a small one is kept here, with them."""
    if original.lost:
        return
    await tx.connection.execute(
        KEEP_ORIGINAL,
        original.sha256,
        original.size,
        original.packed,
        tx.now,
        [one.signal_id for one in receipts.items],
        body.format,
    )


async def get_report(retention: timedelta, read: Read, key: SignalKey) -> Blob:
    """The report behind a signal. Raises `NotFound`: no such signal, it has no report, or that was removed."""
    row = await read.pool.fetchrow(SELECT_ORIGINAL, read.site, key.signal_id)
    if row is None:
        raise NotFound(f"There is no signal {key.signal_id} in this site.")
    if row["sha256"] is None:
        raise NotFound(f"Signal {key.signal_id} was not read from a report, or before reports were kept.")
    kept = f"reports are kept for {retention.days} days"
    if not row["known"] or row["removed_at"] is not None:
        when = f" on {row['removed_at']:%Y-%m-%d at %H:%M} UTC" if row["known"] else ""
        raise NotFound(f"The report of signal {key.signal_id} was removed{when}; {kept}.")
    content = row["content"]
    return Blob(
        sha256=row["sha256"].hex(),
        size=row["size"],
        media_type=MEDIA_TYPE,
        filename=f"{row['format']}-{key.signal_id}.{TABLE[row['format']].ending}",
        content_zlib_base64=None if content is None else base64.b64encode(content).decode(),
        gone=f"The report of signal {key.signal_id}, received on {row['received_at']:%Y-%m-%d}, is not kept any more; "
        f"{kept}.",
    )


async def remove_old(bucket: Bucket, retention: timedelta, tx: Tx) -> JobDone | None:
    """Remove reports whose time is over, also those that were uploaded and never recorded; so many in one run.

    In the bucket it is the storing's own time that counts, so the same bytes that were sent again since then stay.
    """
    before = tx.now - retention
    dropped = await bucket.drop_oldest(before, MAX_REMOVED)
    status = await tx.connection.execute(REMOVE_ORIGINALS, before, tx.now, MAX_REMOVED)
    await tx.connection.execute(FORGET_ORIGINALS, MAX_REMOVED)
    removed_count = int(status.rpartition(" ")[2])
    if not dropped and not removed_count:
        return None
    return JobDone(detail={"removed_count": removed_count, "from_bucket_count": len(dropped), "before": before})


def table(bucket: Bucket, retention_days: int) -> Table:
    """What this module answers: reports are kept for so many days."""
    retention = timedelta(days=retention_days)
    job = Job("remove_reports", Schedule("17 * * * *"), partial(remove_old, bucket, retention))
    return Table(queries={contract.get_report: partial(get_report, retention)}, jobs=(job,), buckets=(bucket,))
