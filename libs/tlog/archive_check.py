"""Verifies an archive of a month from its file alone: signature, every file, the tree, chain and CSV of its entries.

Memory does not grow with the log: files are read piece by piece, tiles one by one.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, Any, Literal

from libs.tlog.archive_csv import Tables
from libs.tlog.archives import (
    CHECKPOINT,
    ENTRIES_NDJSON,
    FORMAT,
    KEYS,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    PIECE_BYTES,
    SIGNATURE,
    csv_name,
    read_signed,
    safe_path,
)
from libs.tlog.digests import entry_digest, unhashed_problem
from libs.tlog.notes import MAX_NOTE_BYTES, Checkpoint, NoteProblem, Verifier, read_checkpoint
from libs.tlog.tiles import ENTRIES, WIDTH, Growth, Tile, bundle, entries_of, tiles_of

MAX_LINE_BYTES = 64 * 1024 * 1024
CLOCKS_DIFFER = timedelta(hours=1)
MAX_FILES = 2_000_000
MAX_KEYS_BYTES = 1024 * 1024  # some five hundred, of which the larger ones have 1.8 kB

Chain = Callable[[Iterator[bytes]], str | None]
"""Recomputes the chain over the entries (a JSON object a line, oldest first); what does not fit, or None."""

Told = Callable[[Literal["files", "tree", "entries"], int, int], None]
"""Hears what is looked at, how much of it is done, and how much it is: of files in bytes, else in entries."""


class ArchiveProblem(ValueError):
    """What does not hold, as a sentence."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What an archive that holds says of itself: the manifest, and how many files and entries were looked at.

    Of ``erased_count`` entries, from ``erased_seq`` on, it has no bodies. Nothing goes before 90 days, so the entry
    that says that they were removed is behind the month: that is not proven here.
    """

    manifest: Mapping[str, Any]
    checkpoint: Checkpoint
    manifest_sha256: str
    file_count: int
    entry_count: int
    erased_count: int = 0
    erased_seq: int | None = None


def keys_in(file: IO[bytes]) -> list[Verifier]:
    """The keys that an archive names itself: nobody vouches for them. Raises `ArchiveProblem`."""
    with _opened(file) as archive:
        try:
            return Verifier.read_known(filter(None, _text(archive, KEYS, MAX_KEYS_BYTES).splitlines()))
        except NoteProblem as error:
            raise ArchiveProblem(f"{KEYS} can't be used: {error}") from None


def check_archive(file: IO[bytes], keys: Sequence[Verifier], chain: Chain, told: Told = lambda *_: None) -> Verified:
    """Verify all of it. ``told`` hears how far it is; what it raises ends it. Raises `ArchiveProblem`."""
    with _opened(file) as archive:
        manifest, digest = _signed_manifest(archive, keys)
        try:
            point = read_checkpoint(_text(archive, CHECKPOINT), keys)
        except NoteProblem as error:
            raise ArchiveProblem(str(error)) from None
        if point.size != manifest.get("last_seq"):
            raise ArchiveProblem(f"its checkpoint is of size {point.size}, not of its last entry")
        if manifest.get("root_hash") != point.root.hex():
            raise ArchiveProblem("its manifest names another root than its checkpoint")
        count = _check_files(archive, manifest, told)
        _check_tree(archive, point, told)
        walk = _check_entries(archive, manifest, point.size, chain, told)
    return Verified(manifest, point, digest, count, walk.count, walk.erased_count, walk.erased_seq)


def check_manifest(file: IO[bytes], keys: Sequence[Verifier]) -> tuple[dict[str, Any], str]:
    """What it says of itself, if one of the keys has signed that, and its SHA-256; the files that it names are not
    looked at. Raises `ArchiveProblem`.
    """
    with _opened(file) as archive:
        return _signed_manifest(archive, keys)


def _signed_manifest(archive: zipfile.ZipFile, keys: Sequence[Verifier]) -> tuple[dict[str, Any], str]:
    try:
        origin, month, digest = read_signed(_text(archive, SIGNATURE), list(keys))
    except NoteProblem as error:
        raise ArchiveProblem(str(error)) from None
    manifest = _manifest(archive, digest)
    if (manifest.get("origin"), manifest.get("month")) != (origin, month):
        raise ArchiveProblem("the manifest is of another month or log than its signature")
    return manifest, digest


def _opened(file: IO[bytes]) -> zipfile.ZipFile:
    try:
        file.seek(0, 2)
        size = file.tell()
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ArchiveProblem(f"this is no whole ZIP file: {error}") from None
    infos = archive.infolist()
    names = {info.filename for info in infos}
    if len(infos) > MAX_FILES or len(names) != len(infos):
        raise ArchiveProblem("a name is in it twice, or there are too many files")
    if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in infos):
        raise ArchiveProblem("a file in it is packed or encrypted, which no archive of ours has")
    if sum(info.file_size for info in infos) > size:
        raise ArchiveProblem("it promises more than the file holds")
    if bad := next((name for name in names if not safe_path(name)), None):
        raise ArchiveProblem(f"{bad[:80]!r} is no path of an archive")
    return archive


def _read(archive: zipfile.ZipFile, path: str, limit: int) -> bytes:
    try:
        info = archive.getinfo(path)
        if info.file_size > limit:
            raise ArchiveProblem(f"{path} is larger than it ever is")
        return archive.read(info)
    except KeyError:
        raise ArchiveProblem(f"{path} is missing") from None
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise ArchiveProblem(f"{path} was altered: {error}") from None


def _text(archive: zipfile.ZipFile, path: str, limit: int = MAX_NOTE_BYTES) -> str:
    try:
        return _read(archive, path, limit).decode()
    except UnicodeDecodeError:
        raise ArchiveProblem(f"{path} is no text") from None


def _manifest(archive: zipfile.ZipFile, digest: str) -> dict[str, Any]:
    content = _read(archive, MANIFEST, MAX_MANIFEST_BYTES)
    if hashlib.sha256(content).hexdigest() != digest:
        raise ArchiveProblem(f"{MANIFEST} was altered: it is not what was signed")
    manifest: dict[str, Any] = json.loads(content)
    if manifest.get("format") != FORMAT:
        raise ArchiveProblem(f"it has format {manifest.get('format')}, this program reads {FORMAT}: use a newer one")
    return manifest


def _check_files(archive: zipfile.ZipFile, manifest: Mapping[str, Any], told: Told) -> int:
    """Every file that the manifest names is there, as it says, and there is no other."""
    named = {one["path"]: one for one in manifest["files"]}
    there = {info.filename for info in archive.infolist()} - {MANIFEST, SIGNATURE}
    if missing := sorted(named.keys() - there):
        raise ArchiveProblem(f"{missing[0]} is missing")
    if foreign := sorted(there - named.keys()):
        raise ArchiveProblem(f"{foreign[0]} does not belong to it: the manifest does not name it")
    seen, total = 0, sum(one["size_bytes"] for one in named.values())
    for path, one in named.items():
        digest, size = hashlib.sha256(), 0
        try:
            with archive.open(path) as file:
                while piece := file.read(PIECE_BYTES):
                    digest.update(piece)
                    size += len(piece)
                    told("files", seen := seen + len(piece), total)
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError):
            raise ArchiveProblem(f"{path} was altered") from None
        if (size, digest.hexdigest()) != (one["size_bytes"], one["sha256"]):
            raise ArchiveProblem(f"{path} was altered: it is not what the manifest names")
    return len(named)


def _tile(archive: zipfile.ZipFile, tile: Tile) -> bytes:
    return _read(archive, tile.path, WIDTH * 34)


def _digests(archive: zipfile.ZipFile, number: int, size: int) -> list[bytes]:
    width = min(WIDTH, size - number * WIDTH)
    try:
        found = entries_of(_tile(archive, Tile(ENTRIES, number, width)))
    except ValueError as error:
        raise ArchiveProblem(f"tile/entries/{number:03d}: {error}") from None
    if len(found) != width or any(len(one) != 32 for one in found):
        raise ArchiveProblem(f"{Tile(ENTRIES, number, width).path} does not hold {width} digests")
    return found


def _check_tree(archive: zipfile.ZipFile, point: Checkpoint, told: Told) -> None:
    """The digests give every tile and the signed root, and no tile is missing or too much."""
    grown = Growth()
    for first in range(0, point.size, WIDTH):
        grown.add(_digests(archive, first // WIDTH, point.size))
        for level, number, content in grown.finished:
            _require_tile(archive, Tile(level, number), content)
        grown.finished.clear()
        told("tree", grown.size, point.size)
    for place, content in enumerate(grown.edges):
        level = place + ENTRIES
        if content:
            number = (point.size >> (8 * max(level, 0))) // WIDTH
            _require_tile(archive, Tile(level, number, len(content) // 32), content)
    if grown.root() != point.root:
        raise ArchiveProblem("the entries' digests give another root than was signed")
    tiles = sum(info.filename.startswith("tile/") for info in archive.infolist())
    if tiles != sum(1 for _ in tiles_of(point.size)):
        raise ArchiveProblem("there are tiles that the signed tree does not have")


def _require_tile(archive: zipfile.ZipFile, tile: Tile, content: bytes) -> None:
    if _tile(archive, tile) != (bundle(content) if tile.level == ENTRIES else content):
        raise ArchiveProblem(f"{tile.path} is not what the digests of the entries give")


def _check_entries(archive: zipfile.ZipFile, manifest: Mapping[str, Any], size: int, chain: Chain, told: Told) -> _Walk:
    """The month's entries: the whole stretch, chained to what came before, each the one in the signed tree, and each as
    the CSV files have it.
    """
    with ExitStack() as stack:
        file, *both = [
            stack.enter_context(archive.open(name)) if name in archive.NameToInfo else None
            for name in (ENTRIES_NDJSON, csv_name(manifest["month"], "v1"), csv_name(manifest["month"], "v2"))
        ]
        if file is None:
            raise ArchiveProblem(f"{ENTRIES_NDJSON} is missing")
        tables = Tables(both, manifest)
        walk = _Walk(archive, size, manifest["first_seq"], tables)
        total = manifest["entry_count"]
        _require(chain(walk.lines(file, lambda count: told("entries", count, total))))
        _require_stretch(manifest, walk)
        _require(tables.end())
    return walk


def _require_stretch(manifest: Mapping[str, Any], walk: _Walk) -> None:
    """It holds just the entries that the manifest names, of its month, behind those before it."""
    wanted = manifest["first_seq"] - 1, manifest["last_seq"], manifest["entry_count"], manifest["last_entry_hash"]
    if (walk.first_seq - 1, walk.last_seq, walk.count, walk.last_hash) != wanted:
        raise ArchiveProblem(f"it holds entries {walk.first_seq} to {walk.last_seq}, not those that the manifest names")
    _check_month(manifest["month"], walk)
    if walk.prev_hash != manifest["initial_prev_hash"] or (walk.first_seq == 1 and walk.prev_hash != "00" * 32):
        raise ArchiveProblem("its first entry does not link to the one before the month")


def _require(problem: str | None) -> None:
    if problem is not None:
        raise ArchiveProblem(problem)


def _check_month(month: str, walk: _Walk) -> None:
    """None came behind the month, and the last one not before it; an hour more, since clocks differ."""
    try:
        start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise ArchiveProblem(f"{month[:20]!r} is no month") from None
    end = (start + timedelta(days=32)).replace(day=1)
    if walk.newest is not None and walk.newest >= end + CLOCKS_DIFFER:
        raise ArchiveProblem(f"it holds entries that were taken in after {month}")
    if walk.last_at is not None and walk.last_at < start - CLOCKS_DIFFER:
        raise ArchiveProblem(f"its last entry was taken in before {month}")


class _Walk:
    """Passes the lines of the entries on, and compares each with its digest in the tree and with the CSV files."""

    def __init__(self, archive: zipfile.ZipFile, size: int, first_seq: int, tables: Tables) -> None:
        self._archive, self._size, self._tables = archive, size, tables
        self._number, self._held = -1, list[bytes]()
        self.first_seq, self.last_seq, self.count = first_seq, first_seq - 1, 0
        self.prev_hash = self.last_hash = ""
        self.newest: datetime | None = None
        self.last_at: datetime | None = None
        self.erased_count = 0
        self.erased_seq: int | None = None

    def lines(self, file: IO[bytes], told: Callable[[int], None]) -> Iterator[bytes]:
        while line := file.readline(MAX_LINE_BYTES + 1):
            if len(line) > MAX_LINE_BYTES:
                raise ArchiveProblem("a line of the entries is longer than 64 MB")
            self._note(line)
            if self.count % WIDTH == 0:
                told(self.count)
            yield line

    def _note(self, line: bytes) -> None:
        wanted = self.last_seq + 1
        try:
            entry = json.loads(line)
            seq, digest = entry["seq"], entry_digest(entry)
            self.prev_hash = self.prev_hash or str(entry["prev_hash"])
            self.last_hash = str(entry["hash"])
            self.last_at = at = datetime.fromisoformat(entry["recorded_at"])
            self.newest = at if self.newest is None else max(self.newest, at)
            bodiless, erased = entry["payload"] is None, bool(entry.get("erased_at"))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ArchiveProblem(f"entry {wanted} can't be read") from None
        if type(seq) is not int or seq != wanted or seq > self._size:
            raise ArchiveProblem(f"entry {wanted} is missing: the next one is {str(seq)[:20]}")
        _require(unhashed_problem(entry))
        if bodiless and not erased:
            raise ArchiveProblem(f"entry {seq} has no body, and nothing says that it was removed")
        if bodiless:
            self.erased_count, self.erased_seq = self.erased_count + 1, self.erased_seq or seq
        number = (seq - 1) // WIDTH
        if number != self._number:
            self._number, self._held = number, _digests(self._archive, number, self._size)
        if self._held[(seq - 1) % WIDTH] != digest:
            raise ArchiveProblem(f"entry {seq} is another one than was signed: its digest is not that of the tree")
        self._tables.compare(entry)
        self.last_seq, self.count = seq, self.count + 1
