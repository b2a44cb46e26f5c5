"""A whole list as one download: page after page is asked and sent on, so that neither side ever holds it all.

Crash here means: the answer breaks off without its end, which HTTP shows to whoever reads it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from libs.common.bus import Reply
from libs.common.cells import table
from libs.common.contracts.base import Whole
from services.gateway.answers import service_problem

PAGE = 500
Ask = Callable[[dict[str, Any]], Awaitable[Reply]]


class BrokenOff(Exception):
    """A page could not be had in the middle of a download."""


async def whole_answer(request: Request, ask: Ask, fields: dict[str, Any], whole: Whole, now: datetime) -> Response:
    """The list from its first page, or from ``cursor``, to its end; ``ask`` asks for one page.

    What is refused at the first page is answered as a problem.
    """
    fields = {"limit": PAGE, **fields}
    first = await ask(fields)
    if first.status != 200:
        return service_problem(request, first.status, first.body)
    name = f"{whole.filename}-{now:%Y%m%dT%H%M%SZ}.{whole.suffix}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Authorization"}
    if request.method == "HEAD":
        return Response(None, 200, headers, media_type=whole.media_type)
    return StreamingResponse(_pieces(ask, fields, first, whole), 200, headers, media_type=whole.media_type)


async def _pieces(ask: Ask, fields: dict[str, Any], first: Reply, whole: Whole) -> AsyncIterator[bytes]:
    reply, begun = first, False
    while True:
        page = orjson.loads(reply.body)
        if whole.csv is None:
            yield b"".join(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in page["items"])
        else:
            text = table(whole.csv.columns, whole.csv.filled(page["items"]))
            yield text.partition("\r\n")[2].encode() if begun else text.encode()
        begun = True
        if not page.get("next_cursor"):
            return
        reply = await ask({**fields, "cursor": page["next_cursor"]})
        if reply.status != 200:
            raise BrokenOff(f"page at {page['next_cursor']}: {reply.status} {reply.body[:300]!r}")
