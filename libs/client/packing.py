"""Files on their way to the gateway: packed once, with little memory, and sent as often as it takes."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from libs.client.errors import UsageProblem
from libs.common.contracts.governance.reports import MAX_REPORT_BYTES

CHUNK_BYTES: Final = 256 * 1024
MEMORY_BYTES: Final = 1024 * 1024  # of one file; the rest lies in a file without a name


class PackedFile:
    """A file packed by gzip, which may be sent several times. ``size`` and ``packed_size`` are in bytes.

    ``sha256`` (hex) is of what it holds; ``proofs`` are headers that say who sends it.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115  closed by `close`
        self.size = self.packed_size = 0
        self.sha256 = ""
        self.proofs: dict[str, str] = {}
        self.told: Callable[[int], None] = lambda _: None

    @classmethod
    def of(cls, source: IO[bytes], name: str) -> PackedFile:
        """Pack what ``source`` holds. Raises `UsageProblem` for more than the gateway ever takes."""
        made, packer, digest = cls(), zlib.compressobj(6, wbits=31), hashlib.sha256()
        while chunk := source.read(CHUNK_BYTES):
            made.size += len(chunk)
            if made.size > MAX_REPORT_BYTES:
                made.close()
                raise UsageProblem(f"{name} is larger than {MAX_REPORT_BYTES >> 20} MiB, the largest report taken.")
            digest.update(chunk)
            made._file.write(packer.compress(chunk))
        made._file.write(packer.flush())
        made.packed_size = made._file.tell()
        made.sha256 = digest.hexdigest()
        return made

    @property
    def headers(self) -> dict[str, str]:
        """What the request says about the body."""
        return {"Content-Encoding": "gzip", "Content-Length": str(self.packed_size), **self.proofs}

    def __iter__(self) -> Iterator[bytes]:
        """The body from its beginning, each time; `told` hears how many bytes have been sent."""
        self._file.seek(0)
        while chunk := self._file.read(CHUNK_BYTES):
            yield chunk
            self.told(self._file.tell())

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


def pack_input(name: str) -> PackedFile:
    """The file of this name, or standard input for ``-``, packed. Raises `UsageProblem`."""
    try:
        if name == "-":
            return PackedFile.of(sys.stdin.buffer, "What comes on standard input")
        with Path(name).open("rb") as file:
            return PackedFile.of(file, name)
    except OSError as error:
        raise UsageProblem(f"{name} can't be read: {error.strerror}.") from error


def write_output(file: IO[bytes], name: str) -> None:
    """Copy a file to the one of this name, or to standard output for ``-``. Raises `UsageProblem`."""
    file.seek(0)
    try:
        if name == "-":
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        with Path(name).open("wb") as target:
            shutil.copyfileobj(file, target)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageProblem(f"{name} can't be written: {error.strerror}.") from error
