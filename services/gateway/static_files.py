"""Files for browsers: read once, packed once, and answered with what lets a browser keep them."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.answers import unchanged

FOR_EVER = "public, max-age=31536000, immutable"
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent. ``packed`` is the body in gzip, None if that saves nothing."""

    digest: str
    kind: str
    body: bytes
    packed: bytes | None

    @property
    def sent_bytes(self) -> int:
        """How many bytes a browser loads."""
        return len(self.body if self.packed is None else self.packed)


def digest_of(body: bytes) -> str:
    """Tells files apart: the beginning of their SHA-256."""
    return hashlib.sha256(body).hexdigest()[:16]


def asset_of(name: str, body: bytes, packed: bytes | None = None) -> Asset:
    """Pack it, unless somebody did. The ending of its name must be one of `KINDS`."""
    if packed is None:
        packed = gzip.compress(body, 9, mtime=0)
    return Asset(
        digest=digest_of(body),
        kind=KINDS[name[name.rindex(".") :]],
        body=body,
        packed=packed if len(packed) < len(body) else None,
    )


def file_answer(request: Request, found: Asset, caching: str = FOR_EVER) -> Response:
    """The file, in gzip for who takes that; 304 for who has it."""
    body, headers = found.body, {"ETag": f'"{found.digest}"', "Cache-Control": caching}
    if found.packed is not None:
        headers["Vary"] = "Accept-Encoding"
        if _takes_gzip(request):
            body = found.packed
            headers |= {"ETag": f'"{found.digest}-gzip"', "Content-Encoding": "gzip"}
    if unchanged(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, media_type=found.kind)


def _takes_gzip(request: Request) -> bool:
    """Whether ``Accept-Encoding`` names gzip and does not refuse it (RFC 9110, 12.5.3)."""
    for part in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = part.replace(" ", "").partition(";q=")
        if name == "gzip":
            return weight.strip("0.") != "" or not weight
    return False
