"""Large bodies, kept outside messages: a bucket holds objects named by the SHA-256 of their content.

The layout is that of JetStream's Object Store (NATS ADR-20), so that ``nats object ls`` and ``get`` read it: chunks on
``$O.<bucket>.C.<nuid>``, then one description on ``$O.<bucket>.M.<name in base64url>`` that replaces the one before.
Content is stored packed by gzip. The client's own object store is not used here: storing would need the right to purge,
and reading waits for ever when a chunk is gone (and breaks on the ack subjects of nats-server 2.15).

Crash here means: chunks without a description are left behind, which nobody finds; `Bucket.drop_oldest` removes them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO
from uuid import uuid4

import nats.js.errors
import orjson
from nats.js.api import RawStreamMsg

from libs.common.buckets import bucket_name, chunk_subject, description_subject, stream_name
from libs.common.bus import NATS_ERRORS, Bus
from libs.common.problems import Unavailable
from libs.common.telemetry import log

CHUNK_BYTES = 1024 * 1024
PIECE_BYTES = 256 * 1024
ORPHAN_AFTER = timedelta(hours=1)  # far longer than a storing takes
STORE_FULL = 10077  # JetStream: maximum bytes exceeded


class ObjectGone(LookupError):
    """There is no whole object of this name: it was never stored, or its time is over."""


class ObjectAltered(ObjectGone):
    """What lies there is not what its name says; ``how`` says what is wrong with it."""

    def __init__(self, name: str, how: str) -> None:
        super().__init__(name)
        self.how = how


@dataclass(frozen=True, slots=True)
class Stored:
    """A description of an object. ``size`` is in bytes as unpacked; ``stored_at`` is the server's own time."""

    name: str
    size: int
    nuid: str
    chunks: int
    seq: int
    stored_at: datetime


class Bucket:
    """One bucket of the topology. `bind` it to a connection before use; which service may do what, the server says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._bus: Bus | None = None

    def bind(self, bus: Bus) -> Bucket:
        """Use this connection."""
        self._bus = bus
        self._bucket = bucket_name(bus.topology.namespace, self.name)
        self._stream = stream_name(bus.topology.namespace, self.name)
        return self

    @property
    def bus(self) -> Bus:
        """The connection; a bucket that is not bound has none."""
        if self._bus is None:
            raise RuntimeError(f"the bucket {self.name} is not bound to a connection")
        return self._bus

    async def put(self, name: str, size: int, packed: IO[bytes]) -> None:
        """Store what ``packed`` holds from its beginning on: a gzip of ``size`` bytes whose SHA-256 in hex is ``name``.

        Returns once all of it is on disk. What lies there under the same name is replaced, so its time begins anew.
        Raises `Unavailable`: then there may be chunks, which go when their time is over.
        """
        nuid, subject = uuid4().hex, ""
        digest, stored, chunks = hashlib.sha256(), 0, 0
        packed.seek(0)
        try:
            if not self.bus.connected:
                raise Unavailable("The message bus can't be reached; try again in a few seconds.")
            subject = chunk_subject(self._bucket, nuid)
            while chunk := await asyncio.to_thread(packed.read, CHUNK_BYTES):
                await self._store(subject, chunk, {})
                digest.update(chunk)
                stored, chunks = stored + len(chunk), chunks + 1
            described = {
                "name": name,
                "bucket": self._bucket,
                "nuid": nuid,
                "size": stored,
                "chunks": chunks,
                "digest": f"SHA-256={base64.urlsafe_b64encode(digest.digest()).decode()}",
                "options": {"max_chunk_size": CHUNK_BYTES},
                "metadata": {"content-encoding": "gzip", "unpacked-size": str(size)},
            }
            subject = description_subject(self._bucket, name)
            await self._store(subject, orjson.dumps(described), {"Nats-Rollup": "sub"})
        except NATS_ERRORS as error:
            log.warning("object not stored", bucket=self.name, subject=subject, error=repr(error))
            if isinstance(error, nats.js.errors.APIError) and error.err_code == STORE_FULL:
                raise Unavailable(
                    f"The store of {self.name} is full; try again later, and tell the operator.", retry_after_s=60
                ) from error
            raise Unavailable("The message bus can't store the request now; try again in a few seconds.") from error

    async def _store(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        async with self.bus.storing():
            await self.bus.js.publish(subject, payload, timeout=10, stream=self._stream, headers=headers or None)

    async def find(self, name: str) -> Stored:
        """The description of an object. Raises `ObjectGone`, or NATS errors."""
        try:
            message = await self.bus.js.get_msg(self._stream, subject=description_subject(self._bucket, name))
        except nats.js.errors.NotFoundError:
            raise ObjectGone(name) from None
        return _described(message)

    async def chunks(self, stored: Stored) -> AsyncIterator[bytes]:
        """The chunks in their order, packed. Raises `ObjectGone` when one is missing, or NATS errors."""
        subject, seq = chunk_subject(self._bucket, stored.nuid), 1
        for _ in range(stored.chunks):
            message = await self._chunk(stored, subject, seq)
            seq = (message.seq or 0) + 1
            yield message.data or b""

    async def _chunk(self, stored: Stored, subject: str, seq: int) -> RawStreamMsg:
        """The next chunk: from any replica, which is quick, and if that one lags behind, from the leader."""
        for direct in (True, False):
            try:
                return await self.bus.js.get_msg(self._stream, subject=subject, seq=seq, next=True, direct=direct)
            except nats.js.errors.NotFoundError:
                continue
        raise ObjectGone(stored.name)

    async def read(self, stored: Stored) -> AsyncGenerator[bytes, None]:
        """The content in pieces of at most 256 KiB.

        The last piece only comes if size and SHA-256 are right, so a reader that counts never takes broken content for
        whole. Raises `ObjectGone`, and `ObjectAltered` for content that is not what its name says, or NATS errors.
        """
        unpacker, digest, size, held = zlib.decompressobj(wbits=31), hashlib.sha256(), 0, b""
        async for chunk in self.chunks(stored):
            data = chunk
            while True:
                try:
                    piece = await asyncio.to_thread(unpacker.decompress, data, PIECE_BYTES)
                except zlib.error as error:
                    raise ObjectAltered(stored.name, f"it can't be unpacked ({error})") from error
                if piece:
                    digest.update(piece)
                    size += len(piece)
                    if size > stored.size:
                        raise ObjectAltered(stored.name, f"it has more than {stored.size} bytes")
                    if held:
                        yield held
                    held = piece
                data = unpacker.unconsumed_tail
                if unpacker.eof or (not data and len(piece) < PIECE_BYTES):
                    break
        if not unpacker.eof or size != stored.size:
            raise ObjectAltered(stored.name, f"it ends after {size} bytes instead of {stored.size}")
        if digest.hexdigest() != stored.name:
            raise ObjectAltered(stored.name, f"its SHA-256 is {digest.hexdigest()}")
        yield held

    async def read_part(self, stored: Stored, start: int, size: int, sha256: str) -> AsyncGenerator[bytes, None]:
        """A file of ``size`` bytes that lies in the content, behind ``start`` others, in pieces; nothing more is read.

        Its last piece only comes if its SHA-256 (hex) is right. Raises as `read` does.
        """
        digest, passed, left, held = hashlib.sha256(), 0, size, b""
        async with contextlib.aclosing(self.read(stored)) as pieces:
            async for piece in pieces:
                part = piece[max(start - passed, 0) :][:left]
                passed += len(piece)
                if part:
                    digest.update(part)
                    left -= len(part)
                    if held:
                        yield held
                    held = part
                if not left and passed >= start:
                    break
        if left:
            raise ObjectAltered(stored.name, f"it ends {left} bytes before the end of what lies in it")
        if digest.hexdigest() != sha256:
            raise ObjectAltered(stored.name, f"the SHA-256 of what lies in it is {digest.hexdigest()}")
        yield held

    async def drop(self, name: str) -> None:
        """Remove an object, if it is there. Raises NATS errors."""
        with contextlib.suppress(ObjectGone):
            stored = await self.find(name)
            subject = description_subject(self._bucket, name)
            await self.bus.js.purge_stream(self._stream, subject=subject, seq=stored.seq + 1)
            await self.bus.js.purge_stream(self._stream, subject=chunk_subject(self._bucket, stored.nuid))

    async def drop_oldest(self, before: datetime, limit: int) -> list[str]:
        """Remove objects stored before a time, and chunks that belong to none; returns the names of the objects.

        At most ``limit`` of each; the oldest first. An object that was stored again meanwhile stays: only what was
        looked at is removed. Raises NATS errors.
        """
        names: list[str] = []
        js = self.bus.js
        for _ in range(limit):
            message = await self._oldest(description_subject(self._bucket, "*"))
            if message is None or _time(message) >= before:
                break
            await js.purge_stream(self._stream, subject=message.subject, seq=(message.seq or 0) + 1)
            with contextlib.suppress(ObjectGone):  # removed by other tools, or not written by us
                stored = _described(message)
                await js.purge_stream(self._stream, subject=chunk_subject(self._bucket, stored.nuid))
                names.append(stored.name)
        for _ in range(limit):
            # A description is younger than its chunks, if only by moments: whoever may still find it needs them.
            message = await self._oldest(chunk_subject(self._bucket, "*"))
            if message is None or before - _time(message) < ORPHAN_AFTER:
                break
            await js.purge_stream(self._stream, subject=message.subject)
        return names

    async def drop_unnamed(self, named: Collection[str], before: datetime) -> list[str]:
        """Remove objects that are none of ``named`` and were stored before a time, and chunks that belong to none;
        returns the names of the objects.

        For a bucket of few objects that live long: it lists them all. Raises NATS errors.
        """
        dropped: list[str] = []
        info = await self.bus.js.stream_info(self._stream, subjects_filter=f"$O.{self._bucket}.>")
        chunks, used = set[str](), set[str]()
        for subject in info.state.subjects or {}:
            if subject.startswith(chunk_subject(self._bucket, "")):
                chunks.add(subject)
                continue
            with contextlib.suppress(ObjectGone, nats.js.errors.NotFoundError):
                stored = _described(await self.bus.js.get_msg(self._stream, subject=subject))
                used.add(chunk_subject(self._bucket, stored.nuid))
                if stored.name not in named and stored.stored_at < before:
                    await self.drop(stored.name)
                    dropped.append(stored.name)
        for subject in sorted(chunks - used):
            message = await self._oldest(subject)
            if message is not None and before - _time(message) >= ORPHAN_AFTER:
                await self.bus.js.purge_stream(self._stream, subject=subject)
        return dropped

    async def _oldest(self, subject: str) -> RawStreamMsg | None:
        try:
            return await self.bus.js.get_msg(self._stream, subject=subject, seq=1, next=True)
        except nats.js.errors.NotFoundError:
            return None


def _time(message: RawStreamMsg) -> datetime:
    if message.time is None:
        raise ValueError("the server told no time")
    return message.time.astimezone(UTC)


def _described(message: RawStreamMsg) -> Stored:
    """The description in a message. Raises `ObjectGone` for one that says it was deleted, or can't be read."""
    try:
        found = orjson.loads(message.data or b"")
        if found.get("deleted"):
            raise ObjectGone(str(found.get("name")))
        return Stored(
            name=str(found["name"]),
            size=int(found["metadata"]["unpacked-size"]),
            nuid=str(found["nuid"]),
            chunks=int(found["chunks"]),
            seq=message.seq or 0,
            stored_at=_time(message),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ObjectGone(f"{message.subject} can't be read") from error
