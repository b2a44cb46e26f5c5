"""Makes the archive of a month and keeps it: put into the bucket first, then named by a row, in one transaction.

Crash anywhere: at most a file lies in the bucket that no row names. The next try makes the same bytes of the same log
under the same name; what stays unnamed is removed by a job.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import IO, Any

from libs.common.bus import NATS_ERRORS
from libs.common.columns import listed, names_of
from libs.common.contracts.audit import archives as contract
from libs.common.contracts.audit.archives import JOB, Archive, ArchiveMonth, Archiving, archive_made
from libs.common.contracts.audit.rollovers import name_after
from libs.common.contracts.base import Nothing
from libs.common.objects import Bucket, ObjectGone
from libs.common.problems import Conflict, NotFound, Unavailable
from libs.common.schedules import Schedule
from libs.common.service import Connection, Job, JobDone, Read, Table, Tx
from libs.tlog.archives import (
    CHECKPOINT,
    ENTRIES_NDJSON,
    KEYS,
    README,
    REHEARSAL,
    Packer,
    csv_name,
    sign_csv,
    write_manifest,
)
from libs.tlog.notes import Checkpoint, Signer
from services.audit import checkpoints, tree
from services.audit.archives import parts
from services.audit.archives.listing import Listing, csv_head, size_of
from services.audit.domain import months
from services.audit.guard import StillFilling, look
from services.audit.outside import Outside

REMOVED_AFTER = timedelta(hours=1)  # far longer than making takes
PACKING = 4  # of gzip: bodies shrink to a tenth, hashes not at all
TEXT = """Headgate audit archive {month}: entries {first_seq} to {last_seq} of {origin}.

manifest.json names every file with its SHA-256; manifest.json.note is the signature over it, by the log's key.
checkpoint and tile/ are the signed tree over all entries up to the last one, as C2SP tlog-tiles lays them out.
entries.ndjson holds the entries, oldest first; the CSV files hold the same for spreadsheets.

Verify all of it without any server:
    headgate audit archive verify {filename} --key KEY
KEY is the log's public key as you noted it elsewhere. The file keys lists those that this archive names itself.
The format, to check it by a program of your own: docs/audit-log.md, "Archives".
"""

_ARCHIVE = listed(names_of(Archive))
_PLACES = ", ".join(f"${number}" for number in range(1, len(names_of(Archive)) + 1))
_REPLACED = ", ".join(f"{name} = EXCLUDED.{name}" for name in names_of(Archive) if name != "month")
UPSERT_ARCHIVE = f"""
INSERT INTO archive ({_ARCHIVE}) VALUES ({_PLACES})
ON CONFLICT (month) DO UPDATE SET {_REPLACED} WHERE archive.state = 'open' RETURNING month
"""  # noqa: S608 - names of our own
INSERT_CSV = """
INSERT INTO archive_csv (manifest_sha256, format_version, start_bytes, size_bytes, sha256, signature)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
"""
SELECT_STATE = "SELECT state, last_seq FROM archive WHERE month = $1"
SELECT_NEWEST_FROZEN = "SELECT month, last_seq FROM archive WHERE state = 'frozen' ORDER BY month DESC LIMIT 1"
SELECT_NAMED = "SELECT sha256 FROM archive"
SELECT_RECORDED_AT = "SELECT recorded_at FROM entry WHERE seq = $1"
SELECT_KEYS = "SELECT verifier FROM log_key WHERE first_size <= $1 ORDER BY first_size, verifier"
LOCK_MONTH = "SELECT pg_advisory_xact_lock(hashtext('audit archive ' || $1))"


class Maker:
    """What makes archives: the key, what is signed outside, and the bucket."""

    def __init__(self, signer: Signer | None, outside: Outside, bucket: Bucket) -> None:
        self._signer, self._outside, self._bucket = signer, outside, bucket

    async def make_by_hand(self, tx: Tx, body: ArchiveMonth) -> Archive:
        """Archive a month. Raises `Conflict` for one that is frozen, or that can't be signed (yet); `NotFound` for one
        without entries; `Unavailable` if the bucket or another service can't be reached.
        """
        return await self.make(tx, body.month, tx.actor)

    async def make_by_clock(self, tx: Tx) -> JobDone | None:
        """Archive the oldest month that is over and has no archive; None: all have one."""
        if self._signer is None:
            return None
        month = await self._oldest_missing(tx.connection, tx.now)
        if month is None:
            return None
        try:
            made = await self.make(tx, month, "service:audit")
        except Conflict as refusal:
            return JobDone("warning", {"month": month, "problem": refusal.detail})
        return JobDone(detail={"month": month, "sha256": made.sha256, "entry_count": made.entry_count})

    async def archiving(self, read: Read, _params: Nothing) -> Archiving:
        """How archiving stands, whether or not it could go on."""
        async with read.pool.acquire() as connection:
            newest = await connection.fetchrow(SELECT_NEWEST_FROZEN)
            waiting = await self._oldest_missing(connection, read.now)
        return Archiving(
            verifier=self._signer.verifier.text if self._signer else None,
            frozen_month=newest["month"] if newest else None,
            waiting_month=waiting,
            waiting_since=months.window(waiting)[1] + months.SETTLED if waiting else None,
        )

    async def _oldest_missing(self, connection: Connection, now: datetime) -> str | None:
        end = (await tree.read_head(connection)).seq
        if not end:
            return None
        newest = await connection.fetchrow(SELECT_NEWEST_FROZEN)
        first_seq = newest["last_seq"] + 1 if newest else 1
        if first_seq > end:
            return None
        month = months.month_of(await _reader(connection)(first_seq))
        if newest and month <= newest["month"]:  # a straggler of a month that is frozen: it belongs to the next one
            month = months.after(newest["month"])
        return month if months.is_over(month, now) else None

    async def make(self, tx: Tx, month: str, actor: str) -> Archive:
        """See `make_by_hand`."""
        connection = tx.connection
        await connection.execute(LOCK_MONTH, month)
        before = await connection.fetchrow(SELECT_STATE, month)
        if before is not None and before["state"] == "frozen":
            raise Conflict(f"The archive of {month} is frozen and never replaced; GET /api/audit/archives/{month}.")
        point, signer = await self._point(connection)
        over = months.is_over(month, tx.now)
        first_seq, last_seq = await _stretch(connection, month, point.size, over)
        if over and last_seq == point.size:
            following = await connection.fetchval(SELECT_RECORDED_AT, last_seq + 1)
            if following is not None and following < months.window(month)[1]:
                raise Conflict("The month's newest entries are not signed yet; try again in a few seconds.")
        point = Checkpoint(point.origin, last_seq, await tree.root_at(connection, last_seq))
        told = _told(month, point, first_seq)
        with tempfile.TemporaryFile() as file:
            packer = Packer(file)
            kept, manifest_sha256 = await self._pack(tx, packer, told, signer, point)
            sha256, size = await asyncio.to_thread(_digest, file)
            await self._store(file, sha256, size)
        made = Archive(
            month=month,
            state="frozen" if over else "open",
            filename=_filename(month),
            sha256=sha256,
            size_bytes=size,
            manifest_sha256=manifest_sha256,
            verifier=signer.verifier.text,
            checkpoint=signer.sign(point.text),
            made_at=tx.now,
            made_by=actor,
            **{name: kept[name] for name in _KEPT},
        )
        if await connection.fetchval(UPSERT_ARCHIVE, *made.model_dump().values()) is None:
            raise Conflict(f"The archive of {month} was frozen meanwhile.")
        await connection.executemany(INSERT_CSV, _csv_rows(packer, month, manifest_sha256, signer))
        tx.emit(archive_made, made, subject=month, site="global")
        return made

    async def _point(self, connection: Connection) -> tuple[Checkpoint, Signer]:
        """The newest checkpoint that anybody was shown, compared with what is kept outside, and who signs."""
        if self._signer is None:
            raise Conflict("The log is not signed, so an archive would prove nothing: set HEADGATE_AUDIT_KEY_FILE.")
        head = await tree.read_head(connection)
        signed = await checkpoints.newest(connection)
        rollovers = await checkpoints.rollover_count(connection)
        if signed is None or signed.rollover != rollovers or not head.whole:
            raise Conflict("The log has no checkpoint yet, or entries are still taken into its tree; try again later.")
        try:
            _, problem = await look(connection, head, self._outside)
        except StillFilling:
            raise Conflict("Entries are still being taken into the tree; try again in a minute.") from None
        except NATS_ERRORS as error:
            raise Unavailable("NATS, which keeps the last checkpoint, can't be reached; try again.") from error
        if problem is not None:
            raise Conflict(problem)
        origin = name_after(self._signer.verifier.name, rollovers)
        return Checkpoint(origin, signed.size, signed.root), self._signer.named(origin)

    async def _pack(
        self, tx: Tx, packer: Packer, told: dict[str, Any], signer: Signer, point: Checkpoint
    ) -> tuple[dict[str, Any], str]:
        """Write the archive; what its manifest says, and the manifest's SHA-256."""
        connection, month = tx.connection, told["month"]
        capsules = parts.Capsules()
        attached = await parts.rehearsal(tx, month, *months.window(month))
        with Listing(parts.MAX_CAPSULES) as listing:
            await listing.write(connection, told["first_seq"], point.size)
            told |= {
                "entry_count": listing.count,
                "initial_prev_hash": listing.first_prev_hash,
                "last_entry_hash": listing.last_hash,
            }
            packer.add(README, TEXT.format(filename=_filename(month), **told).encode())
            packer.add(CHECKPOINT, signer.sign(point.text).encode())
            keys = [row["verifier"] for row in await connection.fetch(SELECT_KEYS, point.size)]
            named = dict.fromkeys([*keys, signer.verifier.text])
            packer.add(KEYS, "".join(f"{one}\n" for one in named).encode())
            packer.add(REHEARSAL, write_manifest(attached))
            for path, source in ((ENTRIES_NDJSON, listing.ndjson), (csv_name(month, "v1"), listing.v1)):
                await asyncio.to_thread(packer.add_file, path, source, size_of(source))
            async for path, content in capsules.files(tx, listing.decisions):
                packer.add(path, content)
            beyond = listing.decision_count - len(listing.decisions)
            told["attachments"] = {
                "dr_rehearsal_attachment": attached,
                "capsules": {
                    "count": capsules.count,
                    "left_out_count": len(capsules.left_out) + beyond,
                    "left_out": capsules.left_out[:1000],
                },
            }
            await _add_v2(packer, listing, told)
        async for path, content in parts.tiles(connection, point.size):
            packer.add(path, content)
        digest = packer.seal(told, signer)
        return told | {
            "capsule_count": capsules.count,
            "capsules_left_out": told["attachments"]["capsules"]["left_out_count"],
            "dr_rehearsal_included": attached["included"],
        }, digest

    async def _store(self, file: IO[bytes], sha256: str, size: int) -> None:
        """Put the file into the bucket, and read it back. Raises `Unavailable`."""
        with tempfile.TemporaryFile() as packed:
            await asyncio.to_thread(_pack, file, packed)
            await self._bucket.put(sha256, size, packed)
        try:
            async for _ in self._bucket.read(await self._bucket.find(sha256)):
                pass
        except ObjectGone as error:
            raise Unavailable("The archive did not read back from the store as it was written; try again.") from error
        except NATS_ERRORS as error:
            raise Unavailable("The archive could not be read back from the store; try again.") from error

    async def remove_unnamed(self, tx: Tx) -> JobDone | None:
        """Remove files that no row names: of transactions that never committed, or replaced since."""
        named = {row["sha256"] for row in await tx.connection.fetch(SELECT_NAMED)}
        dropped = await self._bucket.drop_unnamed(named, tx.now - REMOVED_AFTER)
        return JobDone(detail={"removed": dropped}) if dropped else None


_KEPT = (
    "origin", "first_seq", "last_seq", "entry_count", "root_hash", "initial_prev_hash", "last_entry_hash",
    "capsule_count", "capsules_left_out", "dr_rehearsal_included",
)  # fmt: skip


def _filename(month: str) -> str:
    return f"audit-archive-{month}.zip"


def _told(month: str, point: Checkpoint, first_seq: int) -> dict[str, Any]:
    start, end = months.window(month)
    return {
        "month": month,
        "window_start": start.isoformat(),
        "window_end": end.isoformat(),
        "origin": point.origin,
        "first_seq": first_seq,
        "last_seq": point.size,
        "root_hash": point.root.hex(),
    }


async def _add_v2(packer: Packer, listing: Listing, told: dict[str, Any]) -> None:
    head = csv_head({"format_version": "v2", **told})
    with tempfile.TemporaryFile() as file:
        file.write(head)
        size = len(head) + size_of(listing.v2)
        listing.v2.seek(0)
        await asyncio.to_thread(shutil.copyfileobj, listing.v2, file)
        await asyncio.to_thread(packer.add_file, csv_name(told["month"], "v2"), file, size)


def _csv_rows(packer: Packer, month: str, manifest_sha256: str, signer: Signer) -> list[tuple[str | int, ...]]:
    said = {one["path"]: one for one in packer.files}
    rows: list[tuple[str | int, ...]] = []
    for version in ("v1", "v2"):
        path = csv_name(month, version)
        sha256 = said[path]["sha256"]
        signature = sign_csv(signer, month, version, sha256)
        rows.append((manifest_sha256, version, packer.starts[path], said[path]["size_bytes"], sha256, signature))
    return rows


def _reader(connection: Connection) -> Callable[[int], Awaitable[datetime]]:
    async def read(seq: int) -> datetime:
        found: datetime | None = await connection.fetchval(SELECT_RECORDED_AT, seq)
        if found is None:
            raise LookupError(f"entry {seq} is missing: GET /api/audit/verify names it")
        return found

    return read


async def _stretch(connection: Connection, month: str, size: int, over: bool) -> tuple[int, int]:
    """The first and the last entry of a month among the first ``size``. Raises `NotFound` if there is none.

    Months are frozen in their order, each right behind the one before, so that no entry is in two or in none. Raises
    `Conflict` where ``over`` and an older month has to be archived first.
    """
    start, end = months.window(month)
    newest = await connection.fetchrow(SELECT_NEWEST_FROZEN)
    if newest is not None and newest["month"] > month:
        raise NotFound(f"The log has no entries of {month} (UTC); {newest['month']} behind it is archived.")
    read, behind = _reader(connection), newest["last_seq"] + 1 if newest else 1
    first_seq = max(behind, await months.first_from(start, size, read))
    last_seq = max(behind, await months.first_from(end, size, read)) - 1
    if behind < first_seq <= last_seq:
        earlier = months.month_of(await read(behind))
        if newest is not None and earlier <= newest["month"]:
            first_seq = behind  # taken in by a clock that was late: the next archive has it
        elif over:
            raise Conflict(f"Months are archived in their order: archive {earlier} first.")
    if last_seq < first_seq:
        raise NotFound(f"The log has no signed entries of {month} (UTC); a checkpoint follows within seconds.")
    return first_seq, last_seq


def _digest(file: IO[bytes]) -> tuple[str, int]:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(1024 * 1024):
        digest.update(piece)
    return digest.hexdigest(), file.tell()


def _pack(source: IO[bytes], target: IO[bytes]) -> None:
    source.seek(0)
    with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=PACKING, mtime=0) as packer:
        shutil.copyfileobj(source, packer, 1024 * 1024)


def table(signer: Signer | None, outside: Outside, bucket: Bucket) -> Table:
    """What this module answers."""
    maker = Maker(signer, outside, bucket)
    return Table(
        commands={contract.make_archive: maker.make_by_hand},
        queries={contract.get_archiving: maker.archiving},
        jobs=(
            Job(JOB, Schedule("37 * * * *"), maker.make_by_clock, looks=True),
            Job("remove_unnamed_archives", Schedule("53 3 * * *"), maker.remove_unnamed, looks=True),
        ),
        buckets=(bucket, outside),
    )
