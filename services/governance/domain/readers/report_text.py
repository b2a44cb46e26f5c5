"""The text of a report, whatever its encoding, in pieces: a report of 64 MiB is never held as one string.

The encoding comes from a byte order mark, from where the zero bytes stand, or from the XML declaration. A declaration
that can't be true is not believed, and single bytes that don't fit are read as Windows-1252: an odd letter in a
message is no reason to refuse a report. Characters that XML forbids (terminal colours, NUL, U+FFFE) are dropped.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from libs.judge.report_base import MAX_REPORT_BYTES, BadReport

CHUNK_BYTES = 256 * 1024
_MAX_REFERENCE = 64  # of "&#x0000...1b;": what a piece may keep back for the next one

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = {
    "utf-32-le": [False, True, True, True],
    "utf-32-be": [True, True, True, False],
    "utf-16-le": [False, True, False, True],
    "utf-16-be": [True, False, True, False],
}
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']""")
# ASCII is part of UTF-8; the others are Python's own and no encoding of a file.
_NO_CHARSETS = frozenset({"ascii", "idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
_ASCII = bytes(range(32, 127))
# By https://www.w3.org/TR/xml/#charsets. JSON strings may not hold them raw either.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]{1,60})|([0-9]{1,60}));")


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are no UTF-8, read as Windows-1252, and as Latin-1 where that has no letter either."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in wrong), error.end


codecs.register_error("headgate-windows", _as_windows)


class Source:
    """The bytes of a report, to be read from their beginning as often as needed.

    ``content``: the bytes, or an open seekable binary file. ``what`` names the format in sentences. ``mixed`` tells
    after reading whether bytes did not fit the encoding. Raises BadReport for an empty or too large report.
    """

    def __init__(self, content: bytes | BinaryIO, what: str) -> None:
        self.what = what
        self.mixed = False
        self._file: BinaryIO = io.BytesIO(content) if isinstance(content, bytes) else content
        size = self._file.seek(0, io.SEEK_END)
        if size > MAX_REPORT_BYTES:
            raise BadReport(
                f"The {what} report has {size} bytes, and at most {MAX_REPORT_BYTES} are read: "
                "split it into parts (part=unit, part=integration)."
            )
        if next(self.text(), "") == "":
            raise BadReport(f"The {what} report is empty: send the file that the tool wrote.")

    def text(self) -> Iterator[str]:
        """The text in pieces, without leading space, a byte order mark or forbidden characters."""
        self._file.seek(0)
        chunk = self._file.read(CHUNK_BYTES)
        encoding, skipped = _encoding(chunk)
        strict = encoding == "utf-8"
        decoder = codecs.getincrementaldecoder(encoding)("strict" if strict else "replace")
        chunk = chunk[skipped:]
        begun = False
        while True:
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                # The decoder keeps what it held before this piece, so the piece can be read again.
                self.mixed = True
                decoder.errors = "headgate-windows"
                text = decoder.decode(chunk, final=not chunk)
            text = _FORBIDDEN.sub("", text)
            if not begun:
                text = text.lstrip("\ufeff \t\r\n")
                begun = bool(text)
            if text:
                yield text
            if not chunk:
                return
            chunk = self._file.read(CHUNK_BYTES)

    def xml_text(self) -> Iterator[str]:
        """The same, also without references (``&#27;``) to characters that XML forbids."""
        kept = ""
        for piece in self.text():
            text = kept + piece
            cut = text.rfind("&", -_MAX_REFERENCE)
            cut = len(text) if cut < 0 or ";" in text[cut:] else cut
            kept = text[cut:]
            text = text[:cut]
            yield _REFERENCE.sub(_allowed, text) if "&#" in text else text
        yield kept

    def utf8(self) -> BinaryIO:
        """The text as a readable file of UTF-8 bytes, for parsers that want one."""
        return io.BufferedReader(_Utf8(self.text()), CHUNK_BYTES)


class _Utf8(io.RawIOBase):
    def __init__(self, pieces: Iterator[str]) -> None:
        super().__init__()
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        if not self._left:
            self._left = memoryview(next(self._pieces, "").encode())
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        count = min(len(target), len(self._left))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _allowed(reference: re.Match[str]) -> str:
    code = int(reference[1], 16) if reference[1] else int(reference[2])
    return "" if code > 0x10FFFF or _FORBIDDEN.match(chr(code)) else reference[0]


def _encoding(head: bytes) -> tuple[str, int]:
    """The codec's name, and how many bytes of byte order mark come first."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    # Both XML and JSON begin with an ASCII character, so the zero bytes around it tell the width.
    zeros = [byte == 0 for byte in head[:4]]
    for name, pattern in _WIDE.items():
        if zeros == pattern:
            return name, 0
    declared = _DECLARED.match(head)
    return (_trusted(declared[1].decode()) if declared else "utf-8"), 0


def _trusted(name: str) -> str:
    """The declared codec if it is a text encoding in which the declaration itself can be read, else UTF-8."""
    try:
        codec = codecs.lookup(name)
        if codec.name in _NO_CHARSETS or _ASCII.decode(name) != _ASCII.decode():
            return "utf-8"
    except (LookupError, ValueError):
        return "utf-8"
    return codec.name
