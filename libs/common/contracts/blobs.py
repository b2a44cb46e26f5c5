"""Answers that are files: a service says which, the edge hands the bytes on."""

from __future__ import annotations

import base64
import hashlib
import zlib

from libs.common.contracts.base import Open


class Inside(Open):
    """Where a file lies in one of the bucket: the SHA-256 of that (hex), and behind how many bytes it begins."""

    sha256: str
    start_bytes: int


class Blob(Open):
    """A file as an answer, see `Http.file`. ``sha256`` (hex) and ``size`` (bytes) are of the file itself.

    A small one comes along in ``content_zlib_base64``; without that it lies in the operation's bucket under its
    SHA-256, or ``inside`` another file there. ``gone`` is what the caller is told if it does not lie there any more.
    ``may_be_kept``: who asked may keep it, and asks each time whether it has changed. ``headers``: what the answer says
    of it beside.
    """

    sha256: str
    size: int
    media_type: str
    filename: str
    content_zlib_base64: str | None = None
    inside: Inside | None = None
    headers: dict[str, str] = {}
    gone: str = "The file is not kept any more."
    may_be_kept: bool = False

    @classmethod
    def of(cls, content: bytes, *, media_type: str, filename: str, may_be_kept: bool = False) -> Blob:
        """A small file that comes along."""
        return cls(
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            media_type=media_type,
            filename=filename,
            content_zlib_base64=base64.b64encode(zlib.compress(content)).decode(),
            may_be_kept=may_be_kept,
        )
