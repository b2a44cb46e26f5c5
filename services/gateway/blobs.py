"""Files as answers: a service names them, their bytes come from the answer itself or, piece by piece, from a bucket."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from libs.common.bus import NATS_ERRORS
from libs.common.contracts.blobs import Blob
from libs.common.objects import Bucket, ObjectGone
from libs.common.problems import NotFound, Unavailable
from services.gateway.answers import unchanged

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


async def blob_answer(request: Request, blob: Blob, bucket: Bucket | None) -> Response:
    """The file to download; without a bucket it has come along.

    Raises `NotFound` if it is gone, `Unavailable` if the bucket can't be asked.

    If the content turns out wrong on the way, the last piece is missing and the connection broken: by its length a
    reader sees that it is not whole.
    """
    headers = {
        "ETag": f'"{blob.sha256}"',
        "Vary": "Authorization",
        "Content-Disposition": f'attachment; filename="{safe_name(blob.filename)}"',
        # Whatever a tool wrote, no browser runs it in our name.
        "Content-Security-Policy": "default-src 'none'; sandbox",
        **blob.headers,
    }
    if blob.may_be_kept:
        headers["Cache-Control"] = "private, no-cache"
    if unchanged(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if blob.content_zlib_base64 is not None:
        content = zlib.decompress(base64.b64decode(blob.content_zlib_base64))
        return Response(content, 200, headers, media_type=blob.media_type)
    if bucket is None:
        raise NotFound(blob.gone)
    try:
        if blob.inside is None:
            pieces = bucket.read(await bucket.find(blob.sha256))
        else:
            stored = await bucket.find(blob.inside.sha256)
            pieces = bucket.read_part(stored, blob.inside.start_bytes, blob.size, blob.sha256)
        first = await anext(pieces)  # what can't be read at all is an answer, not a broken connection
    except ObjectGone:
        raise NotFound(blob.gone) from None
    except NATS_ERRORS as error:
        raise Unavailable("The file can't be read from the message bus now; try again in a few seconds.") from error
    headers["Content-Length"] = str(blob.size)
    if request.method == "HEAD":
        await pieces.aclose()
        return Response(None, 200, headers, media_type=blob.media_type)
    return StreamingResponse(_all(first, pieces), 200, headers, media_type=blob.media_type)


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def safe_name(text: str) -> str:
    """A file's name that needs no quoting anywhere: letters, digits, dot, dash and underscore, at most 100."""
    return _UNSAFE.sub("-", text).strip(".-")[-100:] or "file"
