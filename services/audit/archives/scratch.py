"""A stored archive as a scratch file of this machine, to be looked at where it can be read in any order."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import IO, Any, TypeVar

from libs.common.objects import Bucket

T = TypeVar("T")


class NoScratch(Exception):
    """The scratch file can't be used: that says nothing of the archive. Its text is a sentence.

    No `OSError`: those mean that a server is away, which is waited for.
    """


def local(work: Callable[..., T], *arguments: Any) -> T:
    """What ``work`` on a scratch file returns. Raises `NoScratch` for its `OSError`."""
    try:
        return work(*arguments)
    except OSError as error:
        raise NoScratch(
            f"The scratch file can't be used, so it can't be checked here ({error.strerror or error}): make room in "
            f"{_folder()}, or have another machine verify it."
        ) from error


@asynccontextmanager
async def fetched(
    bucket: Bucket, sha256: str, told: Callable[[int], Awaitable[None]] | None = None
) -> AsyncIterator[IO[bytes]]:
    """The file of this SHA-256 out of the store; ``told`` hears how many bytes are read, and what it raises ends it.

    Raises `ObjectGone`, NATS errors, and `NoScratch`, also before anything is read if there is no room for it.
    """
    stored = await bucket.find(sha256)
    free = local(shutil.disk_usage, _folder()).free
    if free < stored.size:
        raise NoScratch(
            f"There is no room to check it here: it has {stored.size} bytes, {_folder()} has {free} left. Make room, "
            "or have another machine verify it."
        )
    file: IO[bytes] = local(tempfile.TemporaryFile)
    try:
        size = 0
        async for piece in bucket.read(stored):
            await asyncio.to_thread(local, file.write, piece)
            size += len(piece)
            if told is not None:
                await told(size)
        await asyncio.to_thread(local, file.flush)
        yield file
    finally:
        with suppress(OSError):  # what could not be written is tried once more
            file.close()


def _folder() -> str:
    """Where scratch files lie. Raises `NoScratch` where nothing can be written at all."""
    try:
        return tempfile.gettempdir()
    except OSError as error:
        raise NoScratch(f"No scratch file can be made, so it can't be checked here: {error.strerror}.") from error
