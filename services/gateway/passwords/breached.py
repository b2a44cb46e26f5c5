"""Passwords that others have lost, from a file on this machine: nothing is asked of anybody outside.

Known are the two forms in which Have I Been Pwned gives its list of SHA-1 (`PwnedPasswordsDownloader`): a folder with a
file for each beginning of five hex digits (``21BD1`` or ``21BD1.txt``, each line ``<other 35 digits>:<count>``), and a
file of lines ``<40 digits>:<count>`` in their order.
"""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path

PREFIX = 5
DIGITS = 40


class BreachedList:
    """``path`` None: there is no list, and nothing is in it. Raises `OSError` at once if the path can't be read."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None and not path.is_dir():
            path.open("rb").close()

    def holds(self, password: str) -> bool:
        """Whether the password (normalised) is listed. Reads the disk; raises `OSError`."""
        if self._path is None:
            return False
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
        if self._path.is_dir():
            return _in_folder(self._path, digest)
        return _in_file(self._path, digest)


def _in_folder(folder: Path, digest: bytes) -> bool:
    """A range that is not there holds nothing: the list need not be whole."""
    name = digest[:PREFIX].decode()
    for path in (folder / name, folder / f"{name}.txt"):
        if path.is_file():
            with path.open("rb") as lines:
                return any(line.partition(b":")[0].strip().upper() == digest[PREFIX:] for line in lines)
    return False


def _in_file(path: Path, digest: bytes) -> bool:
    """Binary search in bytes: 40 GB take about 35 looks."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as lines:
            low, high = 0, len(lines)
            while low < high:
                start = lines.rfind(b"\n", low, (low + high) // 2) + 1 or low
                found = lines[start : start + DIGITS].upper()
                if found == digest:
                    return True
                if found < digest:
                    end = lines.find(b"\n", start)
                    low = len(lines) if end < 0 else end + 1
                else:
                    high = start
    return False
