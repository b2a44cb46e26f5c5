"""Shows archives, hands them out, and verifies what lies in the store by reading it again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import IO

from libs.common.bus import NATS_ERRORS
from libs.common.columns import listed, names_of
from libs.common.contracts.audit import archives as contract
from libs.common.contracts.audit.archives import Archive, ArchiveCsvWanted, ArchiveMonth, ArchiveVerified
from libs.common.contracts.base import Nothing
from libs.common.contracts.blobs import Blob, Inside
from libs.common.objects import Bucket, ObjectGone
from libs.common.personal import PERMISSION
from libs.common.problems import Forbidden, NotFound, TooLarge, TooMany, Unavailable
from libs.common.service import Read, Table
from libs.tlog.archive_check import ArchiveProblem, Told, Verified, check_archive
from libs.tlog.archives import csv_name
from libs.tlog.notes import Verifier
from services.audit.archives.scratch import NoScratch, fetched, local
from services.audit.domain.chain import verify_entries

# What is verified within the time of an answer: each entry some 0.1 ms, each one in the tree some 3 µs.
MAX_VERIFIED_BYTES = 256 * 1024 * 1024
MAX_VERIFIED_ENTRIES = 20_000
MAX_VERIFIED_TREE = 500_000
MEDIA_TYPE = "application/zip"
GONE = "The file of this archive is not in the store any more: restore the bucket, or tell whoever keeps copies."

_ARCHIVE = listed(names_of(Archive))
LIST_ARCHIVES = f"SELECT {_ARCHIVE} FROM archive ORDER BY month DESC LIMIT 2000"  # noqa: S608 - names of our own
SELECT_ARCHIVE = f"SELECT {_ARCHIVE} FROM archive WHERE month = $1"  # noqa: S608
SELECT_CSV = """
SELECT start_bytes, size_bytes, sha256, signature FROM archive_csv WHERE manifest_sha256 = $1 AND format_version = $2
"""

_busy = asyncio.Lock()


async def list_archives(read: Read, _params: Nothing) -> list[Archive]:
    """All of them, the newest month first."""
    return [Archive(**row) for row in await read.pool.fetch(LIST_ARCHIVES)]


async def get_archive(read: Read, wanted: ArchiveMonth) -> Archive:
    """One of them. Raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_ARCHIVE, wanted.month)
    if row is None:
        raise NotFound(f"{wanted.month} has no archive; `headgate audit archive make {wanted.month}` makes it.")
    return Archive(**row)


async def get_content(read: Read, wanted: ArchiveMonth) -> Blob:
    """The file. Raises `NotFound`, and `Forbidden` for who may not see all sites: it holds the entries of all."""
    _check_scope(read)
    found = await get_archive(read, wanted)
    return Blob(sha256=found.sha256, size=found.size_bytes, media_type=MEDIA_TYPE, filename=found.filename, gone=GONE)


def _check_scope(read: Read) -> None:
    if "*" not in read.sites:
        raise Forbidden("An archive holds the entries of all sites, and your scope does not; ask an auditor of all.")
    if PERMISSION not in read.permissions:  # those of before addresses were sealed say them in clear
        raise Forbidden(f"An archive may hold addresses of people, so it takes the permission {PERMISSION}, too.")


async def get_csv(read: Read, wanted: ArchiveCsvWanted) -> Blob:
    """One of the CSV files in it, read from the stored archive. Raises as `get_content` does.

    Its SHA-256 is the one that the signed manifest names; the signature in the headers is over this file alone.
    """
    _check_scope(read)
    found = await get_archive(read, ArchiveMonth(month=wanted.month))
    row = await read.pool.fetchrow(SELECT_CSV, found.manifest_sha256, wanted.format_version)
    if row is None:
        raise NotFound(
            f"The archive of {wanted.month} was made before its CSV files could be had alone; they lie in it: "
            f"GET /api/audit/archives/{wanted.month}/content."
        )
    return Blob(
        sha256=row["sha256"],
        size=row["size_bytes"],
        media_type="text/csv",
        filename=csv_name(wanted.month, wanted.format_version),
        inside=Inside(sha256=found.sha256, start_bytes=row["start_bytes"]),
        headers={
            "X-Audit-Archive-Signature": row["signature"],
            "X-Audit-Archive-SHA256": row["sha256"],
            "X-Audit-Archive-Format-Version": wanted.format_version,
        },
        gone=GONE,
    )


async def verify_archive(bucket: Bucket, read: Read, wanted: ArchiveMonth) -> ArchiveVerified:
    """Read the stored file again and verify all of it. Raises `NotFound`; `TooLarge` for one that takes longer than an
    answer may; `TooMany` while another is verified; `Unavailable`.
    """
    found = await get_archive(read, wanted)
    if (
        found.size_bytes > MAX_VERIFIED_BYTES
        or found.entry_count > MAX_VERIFIED_ENTRIES
        or found.last_seq > MAX_VERIFIED_TREE
    ):
        raise TooLarge(
            f"The archive of {found.month} takes longer than an answer may: have it verified in the background by "
            f"POST /api/audit/archive-verifications (headgate audit archive verify {found.month} does so and waits), "
            f"or get it and verify it yourself: headgate audit archive get {found.month}."
        )
    if _busy.locked():
        raise TooMany("An archive is being verified already; ask again in a few seconds.")
    async with _busy:
        problem, files, entries = await _check(bucket, found)
    return ArchiveVerified(
        month=found.month,
        state=found.state,
        valid=problem is None,
        problem=problem,
        sha256=found.sha256,
        file_count=files,
        entry_count=entries,
        verified_at=read.now,
    )


async def _check(bucket: Bucket, found: Archive) -> tuple[str | None, int, int]:
    """What does not hold, or None; how many files and entries were looked at. Raises `Unavailable`."""
    try:
        async with fetched(bucket, found.sha256) as file:
            return await asyncio.to_thread(local, judged, file, found)
    except ObjectGone:
        return "The file is not in the store, or is not what was stored: its SHA-256 is another one.", 0, 0
    except NoScratch as error:
        raise Unavailable(str(error)) from error
    except NATS_ERRORS as error:
        raise Unavailable("The store can't be read now; try again in a few seconds.") from error


def judged(file: IO[bytes], found: Archive, told: Told = lambda *_: None) -> tuple[str | None, int, int]:
    """What does not hold in the file of an archive, or None; how many files and entries were looked at."""
    try:
        seen = check_file(file, found.verifier, told)
    except ArchiveProblem as error:
        return f"{error}.", 0, 0
    if (seen.manifest_sha256, seen.manifest["month"]) != (found.manifest_sha256, found.month):
        return "The file in the store is the archive of something else.", seen.file_count, seen.entry_count
    if seen.erased_count:
        problem = (
            f"Entry {seen.erased_seq} has no body ({seen.erased_count} in all): it was gone before this archive was "
            "made, so nothing holds it. GET /api/audit/verify says whether the log tells of it."
        )
        return problem, seen.file_count, seen.entry_count
    return None, seen.file_count, seen.entry_count


def check_file(file: IO[bytes], verifier: str, told: Told = lambda *_: None) -> Verified:
    """Verify a file against the key that signed it, as it was noted. Raises `ArchiveProblem`."""
    return check_archive(file, [Verifier.read(verifier)], chain_problem, told)


def chain_problem(lines: Iterator[bytes]) -> str | None:
    """What does not fit in the chain of these entries, or None."""
    try:
        walk = verify_entries(lines)
    except ValueError as error:
        if isinstance(error, ArchiveProblem):
            raise
        return str(error)
    return walk.fault.problem if walk.fault else None


def table(bucket: Bucket) -> Table:
    """What this module answers."""
    return Table(
        queries={
            contract.list_archives: list_archives,
            contract.get_archive: get_archive,
            contract.get_archive_content: get_content,
            contract.get_archive_csv: get_csv,
            contract.verify_archive: partial(verify_archive, bucket),
        },
        buckets=(bucket,),
    )
