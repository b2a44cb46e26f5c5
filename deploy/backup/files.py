"""The files of a backup: packed (zstd), sealed if there is a key, hashed and written to disk as they come."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Protocol

from deploy.backup.manifest import BackupError, Part
from deploy.backup.sealing import Keys, Sealer, SealError, opened

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

READ_BYTES = 1024 * 1024
ZSTD_LEVEL = 3
Moved = Callable[[int], None]
"""Told how many bytes came through, for progress and pace."""


class Readable(Protocol):
    """A file. Opening and reading it raise OSError."""

    def open(self, mode: Literal["rb"], /) -> IO[bytes]: ...


class Shelf(Protocol):
    """Where files lie."""

    def __truediv__(self, name: str, /) -> Readable: ...


@dataclass
class Pace:
    """Bounds a stream of bytes: `took` sleeps so long that ``bytes_per_s`` is not exceeded (0: no bound)."""

    bytes_per_s: int = 0
    _began: float = 0.0
    _moved: int = 0

    def took(self, count: int) -> None:
        """So many bytes came through."""
        if not self.bytes_per_s:
            return
        now = time.monotonic()
        if not self._began:
            self._began = now
        self._moved += count
        early = self._moved / self.bytes_per_s - (now - self._began)
        if early > 0:
            time.sleep(min(early, 1.0))


def place_of(backup_id: str, file: str) -> str:
    """What a sealed file is bound to."""
    return f"{backup_id}\n{file}"


class PartWriter:
    """Writes one file; ``packed`` says that its content is packed already. `close` returns what the manifest says."""

    def __init__(self, folder: Path, file: str, backup_id: str, keys: Keys, *, packed: bool, moved: Moved) -> None:
        self._path, self._file, self._moved = folder / file, file, moved
        self._out: IO[bytes] = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._pack = None if packed else zstd.ZstdCompressor(level=ZSTD_LEVEL)
        self._seal = Sealer(keys.all[0], place_of(backup_id, file)) if keys.all else None
        self._hash, self._size, self._plain = hashlib.sha256(), 0, 0
        if self._seal:
            self._put(self._seal.begin())

    def write(self, data: bytes) -> None:
        """Add content. Raises OSError."""
        self._plain += len(data)
        self._seal_and_put(self._pack.compress(data) if self._pack else data)
        self._moved(len(data))

    def close(self) -> Part:
        """Finish the file and bring it to the disk."""
        if self._pack:
            self._seal_and_put(self._pack.flush())
        if self._seal:
            self._put(self._seal.end())
        self._out.flush()
        os.fsync(self._out.fileno())
        self._out.close()
        return Part(
            file=self._file, size_bytes=self._size, plain_bytes=self._plain, sha256=self._hash.hexdigest()
        )  # fmt: skip

    def abandon(self) -> None:
        """Let go of a file that will not be finished."""
        self._out.close()

    def _seal_and_put(self, data: bytes) -> None:
        self._put(self._seal.add(data) if self._seal else data)

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        self._out.write(data)


def raw(path: Readable, part: Part, moved: Moved) -> Iterator[bytes]:
    """The file's bytes as they lie there. Raises `BackupError` at the end if they are not those of the manifest."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(READ_BYTES):
                digest.update(piece)
                size += len(piece)
                moved(len(piece))
                yield piece
    except OSError as error:
        raise BackupError(f"{part.file} can't be read: {error.strerror}.") from error
    if size != part.size_bytes or digest.hexdigest() != part.sha256:
        what = f"it has {size} bytes instead of {part.size_bytes}" if size != part.size_bytes else "its SHA-256 differs"
        raise BackupError(f"{part.file} is damaged: {what}.")


def content(
    folder: Shelf, part: Part, backup_id: str, keys: Keys, key_id: str | None, *, packed: bool, moved: Moved
) -> Iterator[bytes]:
    """What was written into a part, piece by piece. Nothing of it is proved before the end was reached.

    Raises `BackupError` for a file that is damaged, altered, or not to be opened with the keys at hand.
    """
    pieces = lying = raw(folder / part.file, part, moved)
    try:
        if key_id is not None:
            pieces = opened(lying, keys.find(key_id), place_of(backup_id, part.file))
        yield from pieces if packed else _unpacked(pieces)
    except (SealError, zstd.ZstdError) as error:
        for _ in lying:  # if the file is not what was written, then that is what is to be said
            pass
        raise BackupError(f"{part.file} can't be {'opened' if key_id else 'unpacked'}: {error}.") from None


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    unpack = zstd.ZstdDecompressor()
    for piece in pieces:
        if unpack.eof:
            raise zstd.ZstdError("there is something behind its end")
        yield unpack.decompress(piece, READ_BYTES)
        while not unpack.needs_input and not unpack.eof:
            yield unpack.decompress(b"", READ_BYTES)
    if not unpack.eof:
        raise zstd.ZstdError("its end is missing")
