"""Small disks of one's own: a tmpfs to fill up, and a loop-mounted ext4 to pull the power from. They need root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CannotMount(RuntimeError):
    """This machine does not let us mount; the message says what is missing."""


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise CannotMount(f"{' '.join(command)}: {done.stderr.strip() or done.returncode} (mounting needs root)")


@contextmanager
def tmpfs(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of that size. Raises `CannotMount`."""
    folder.mkdir(mode=0o700, parents=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))


@contextmanager
def ext4(image: Path, folder: Path, megabytes: int = 0) -> Iterator[Path]:
    """An ext4 in a file, made first if a size is given. Raises `CannotMount`."""
    if megabytes:
        with image.open("wb") as file:
            file.truncate(megabytes * 1024 * 1024)
        _run("mkfs.ext4", "-q", "-F", str(image))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _run("mount", "-o", "loop", str(image), str(folder))
    try:
        folder.chmod(0o700)
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))


def fill(folder: Path, *, leave_bytes: int = 0) -> Path:
    """Write a file that leaves only so much; returns it, to be removed when space is wanted again."""
    filler = folder / "filler"
    state = os.statvfs(folder)
    left = state.f_bavail * state.f_frsize - leave_bytes
    with filler.open("wb") as file:
        try:
            while left > 0:
                left -= file.write(b"\0" * min(left, 1 << 20))
                file.flush()
        except OSError:
            pass  # full, as asked
    return filler
