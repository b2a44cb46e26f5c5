"""Bodies that may be too large for a message: packed into a file while they arrive, then stored in a bucket.

Crash here means: the file goes with the process, and nothing was acknowledged.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import tempfile
import zlib
from typing import IO, Any

from starlette.requests import Request

from libs.common.objects import Bucket
from libs.common.problems import Unavailable
from services.gateway.bodies import receive

INLINE_BYTES = 64 * 1024  # what is not larger travels in the command: storing it apart would take longer than judging
MEMORY_BYTES = 1024 * 1024  # of one body; the rest lies in a file without a name
MAX_AT_ONCE = 32  # bodies larger than a message may be; each may take a file of the largest size


class Upload:
    """A body that was read to its end. ``sha256`` (hex) and ``size`` are of what it unpacks to."""

    def __init__(self, sha256: str, size: int, content: bytes | None, packed: IO[bytes] | None) -> None:
        self.sha256, self.size = sha256, size
        self._content, self._packed = content, packed

    def fields(self) -> dict[str, Any]:
        """What the command says of it: the content itself, or what it will be stored under."""
        if self._content is not None:
            return {"content_zlib_base64": base64.b64encode(zlib.compress(self._content, 6)).decode()}
        return {"stored": {"sha256": self.sha256, "size": self.size}}

    async def store(self, bucket: Bucket) -> None:
        """Put it into the bucket unless it travels in the command. Raises `Unavailable`; then nothing is promised."""
        if self._packed is not None:
            await bucket.put(self.sha256, self.size, self._packed)

    def close(self) -> None:
        """Let the file go."""
        if self._packed is not None:
            self._packed.close()


class _Spool:
    """Takes pieces: few are kept as they are, many go packed into a file. Used by one thread at a time."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self.content: bytearray | None = bytearray()
        self._packed: IO[bytes] | None = None
        self._packer = zlib.compressobj(1, wbits=31)

    def take(self, piece: bytes) -> None:
        self.digest.update(piece)
        self.size += len(piece)
        if self.content is not None and self.size <= INLINE_BYTES:
            self.content += piece
            return
        if self._packed is None:
            # Closed by `Upload.close`, or by `close` if there will be no upload.
            self._packed = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115
            self._packed.write(self._packer.compress(bytes(self.content or b"")))
            self.content = None
        self._packed.write(self._packer.compress(piece))

    def end(self) -> Upload:
        if self._packed is not None:
            self._packed.write(self._packer.flush())
        content = bytes(self.content) if self.content is not None else None
        return Upload(self.digest.hexdigest(), self.size, content, self._packed)

    def close(self) -> None:
        if self._packed is not None:
            self._packed.close()


class Uploads:
    """Reads large bodies, so many at once and no more."""

    def __init__(self, bucket: Bucket, max_bytes: int) -> None:
        self.bucket, self.max_bytes = bucket, max_bytes
        self._at_once = 0

    async def read(self, request: Request) -> Upload:
        """The body to its end; the caller closes it. Raises `Unavailable` if too many come at once, and what
        `services.gateway.bodies.read_body` raises."""
        declared = request.headers.get("content-length", "")
        small = declared.isdigit() and int(declared) <= INLINE_BYTES and "content-encoding" not in request.headers
        if not small and self._at_once >= MAX_AT_ONCE:
            raise Unavailable("Too many large bodies arrive now; try again in a few seconds.")
        self._at_once += not small
        spool = _Spool()
        try:
            await receive(request, self.max_bytes, spool.take, threaded=not small)
            return await asyncio.to_thread(spool.end)
        except BaseException:
            spool.close()
            raise
        finally:
            self._at_once -= not small
