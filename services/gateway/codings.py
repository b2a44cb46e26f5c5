"""Content codings of request bodies (RFC 9110, section 8.4): unpacked as they arrive, and never more than a cap.

A few kilobytes can unpack to gigabytes, so at most ``PIECE_BYTES`` are unpacked before the cap is looked at.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol

from starlette.requests import Request

from libs.common.problems import Refusal, TooLarge, UnsupportedMedia

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 256 * 1024
MAX_WINDOW_LOG = 23  # 8 MiB, the largest window that RFC 9659 allows zstd as a content coding


class Broken(ValueError):
    """What came is not the coding that it is said to be; the message says how."""


class Unpacker(Protocol):
    """Unpacks one body. ``feed`` gives pieces of at most ``PIECE_BYTES``; both raise `Broken`."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What can be unpacked now that ``data`` has come."""

    def finish(self) -> None:
        """The body has ended: nothing may be missing."""


class _Plain:
    """No coding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if data:
            yield data

    def finish(self) -> None:
        return


class _Gzip:
    """RFC 1952: members one after another, zeros after the last as tapes have them, and nothing else."""

    def __init__(self) -> None:
        self._member: zlib._Decompress | None = None
        self._members = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member is None:
                data = data.lstrip(b"\x00") if self._members else data
                if not data:
                    return
                self._member = zlib.decompressobj(wbits=31)
            try:
                yield from _inflated(self._member, data)
            except zlib.error as error:
                where = "after its end there are bytes that are no gzip" if self._members else "it is not gzip"
                raise Broken(f"{where} ({error})") from None
            data = b""
            if self._member.eof:
                data, self._member = self._member.unused_data, None
                self._members += 1

    def finish(self) -> None:
        if self._member is not None or not self._members:
            raise Broken("it is cut off")


class _Deflate:
    """RFC 1950, and bare RFC 1951, which some clients send under that name."""

    def __init__(self) -> None:
        self._head = b""
        self._stream: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None:
            data = self._head = self._head + data
            if len(data) < 2:
                return
            wrapped = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(wbits=15 if wrapped else -15)
        if self._stream.eof and data:
            raise Broken("there are bytes after its end")
        try:
            yield from _inflated(self._stream, data)
        except zlib.error as error:
            raise Broken(f"it is not deflate ({error})") from None
        if self._stream.unused_data:
            raise Broken("there are bytes after its end")

    def finish(self) -> None:
        if self._stream is None or not self._stream.eof:
            raise Broken("it is cut off")


def _inflated(stream: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """All that ``data`` gives: input may be used up while output is still to come."""
    while True:
        piece = stream.decompress(data, PIECE_BYTES)
        if piece:
            yield piece
        data = stream.unconsumed_tail
        if stream.eof or (not data and len(piece) < PIECE_BYTES):
            return


class _Zstd:
    """RFC 8878: frames one after another."""

    def __init__(self) -> None:
        self._frame: zstd.ZstdDecompressor | None = None
        self._frames = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._frame is None:
                options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
                self._frame = zstd.ZstdDecompressor(options=options)
            try:
                yield from _unpacked(self._frame, data)
            except zstd.ZstdError as error:
                raise Broken(f"it is not zstd ({error})") from None
            data = b""
            if self._frame.eof:
                data, self._frame = self._frame.unused_data, None
                self._frames += 1

    def finish(self) -> None:
        if self._frame is not None or not self._frames:
            raise Broken("it is cut off")


def _unpacked(frame: zstd.ZstdDecompressor, data: bytes) -> Iterator[bytes]:
    while True:
        piece = frame.decompress(data, PIECE_BYTES)
        if piece:
            yield piece
        data = b""
        if frame.eof or frame.needs_input:
            return


_UNPACKERS: dict[str, Callable[[], Unpacker]] = {
    "": _Plain,
    "identity": _Plain,
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "zstd": _Zstd,
}
READ_CODINGS = "gzip, deflate, zstd"


def coding_of(request: Request) -> str:
    """The body's coding in lower case, empty for none. Raises `UnsupportedMedia` for several or an unknown one."""
    coding = ",".join(request.headers.getlist("content-encoding")).strip().lower()
    if coding not in _UNPACKERS:
        raise UnsupportedMedia(
            f"Content-Encoding {coding[:60]!r} is not read here; send the body as it is, or in one of: {READ_CODINGS}.",
            accept_encoding=READ_CODINGS,
        )
    return "" if coding == "identity" else coding


class Intake:
    """Takes a body as it arrives and hands its unpacked pieces on. Not for several threads at once.

    ``max_bytes`` bounds what is unpacked, and with a little more what may arrive for it. ``take`` and ``end`` raise
    `TooLarge`, or `Refusal` (400) for a body that can't be unpacked.
    """

    def __init__(self, coding: str, max_bytes: int, sink: Callable[[bytes], object]) -> None:
        self.coding = coding
        self.size = 0
        self._arrived = 0
        self._max_bytes, self._max_arrived = max_bytes, allowance(coding, max_bytes)
        self._unpacker = _UNPACKERS[coding]()
        self._sink = sink

    def take(self, data: bytes) -> None:
        """A part of the body, as it came over the wire."""
        self._arrived += len(data)
        if self._arrived > self._max_arrived:
            refuse_large(self._max_bytes, self.coding)
        try:
            for piece in self._unpacker.feed(data):
                self.size += len(piece)
                if self.size > self._max_bytes:
                    refuse_large(self._max_bytes, self.coding)
                self._sink(piece)
        except Broken as error:
            self._refuse(error)

    def end(self) -> None:
        """The body is whole. One without a single byte counts as empty, whatever its coding is said to be."""
        try:
            if self._arrived:
                self._unpacker.finish()
        except Broken as error:
            self._refuse(error)

    def _refuse(self, error: Broken) -> NoReturn:
        raise Refusal(
            f"The body can't be unpacked as Content-Encoding {self.coding} says: {error}; send it whole, or as it is."
        ) from None


def allowance(coding: str, max_bytes: int) -> int:
    """How many bytes may arrive for ``max_bytes``: what can't be packed grows a little, and empty parts cost bytes."""
    return max_bytes + max_bytes // 64 + 1024 if coding else max_bytes


def refuse_large(max_bytes: int, coding: str) -> NoReturn:
    """Raise `TooLarge`."""
    unpacked = " when unpacked" if coding else ""
    raise TooLarge(
        f"The body may have {max_bytes} bytes at the most{unpacked}; send less at a time.", max_bytes=max_bytes
    )
