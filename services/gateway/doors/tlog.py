"""The static log, exactly as C2SP tlog-tiles says: ``/audit/checkpoint`` and ``/audit/tile/…``, for tools of others.

Whoever may read the audit log may read these; with the setting ``audit_public`` anybody may: they hold hashes only.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.audit.tree import get_log, get_tile
from libs.common.contracts.base import Query
from libs.common.problems import NotFound
from services.gateway.access import Access
from services.gateway.answers import etag_of, service_problem, unchanged
from services.gateway.bodies import path_values, read_query
from services.gateway.commands import SOURCE
from services.gateway.context import context_of
from services.gateway.domain.scope import RESERVED_SITE
from services.gateway.questions import Questions

CHECKPOINT = "/audit/checkpoint"
TILE = "/audit/tile/{path:path}"
# A tile never changes within a log, but after an accepted loss another log stands under the same paths. A cache asks
# again so soon; its ETag is of the bytes, so what has stayed the same is not sent again (docs/decisions/0052).
TILE_CACHING = "max-age=600, must-revalidate"


class StaticLog:
    """The routes, and who may read them."""

    def __init__(self, access: Access, questions: Questions, *, public: bool) -> None:
        self._access, self._questions, self._public = access, questions, public

    def routes(self) -> list[Route]:
        """The two routes."""
        return [
            Route(CHECKPOINT, self.checkpoint, methods=["GET"]),
            Route(TILE, self.tile, methods=["GET"]),
        ]

    async def checkpoint(self, request: Request) -> Response:
        """The last signed note, with the cosignatures of witnesses. Raises `NotFound` if there is none."""
        answer = await self._ask(request, CHECKPOINT, get_log, {})
        if isinstance(answer, Response):
            return answer
        note = answer.get("published") or answer["checkpoint"]
        if note is None:
            raise NotFound("This log has no signed checkpoint yet; GET /api/audit/log says why.")
        return self._file(request, note.encode(), "text/plain; charset=utf-8", "no-cache")

    async def tile(self, request: Request) -> Response:
        """A tile or bundle. Raises `NotFound` for what the last checkpoint does not reach."""
        path = path_values(request)["path"][:60]
        answer = await self._ask(request, TILE, get_tile, {"path": path or "-"})
        if isinstance(answer, Response):
            return answer
        content = base64.b64decode(answer["content_base64"])
        return self._file(request, content, "application/octet-stream", TILE_CACHING)

    def _file(self, request: Request, content: bytes, kind: str, caching: str) -> Response:
        shared = "public" if self._public else "private"
        headers = {"ETag": etag_of(content), "Cache-Control": f"{shared}, {caching}"}
        if not self._public:
            headers["Vary"] = "Authorization"
        if unchanged(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(content, 200, headers, media_type=kind)

    async def _ask(self, request: Request, route: str, query: Query, params: dict[str, Any]) -> Any:
        """The service's answer, or the problem that it is as a response."""
        context = context_of(request)
        context.route = route
        if self._public:
            await self._access.limit_stranger(context)
            actor = ""
        else:
            actor = (await self._access.admit(request, query.permission)).username
        read_query(request, frozenset())
        envelope = CloudEvent(
            id=context.request_id,
            source=SOURCE,
            type=query.type,
            time=context.received_at,
            site=RESERVED_SITE,
            actor=actor,
            correlationid=context.request_id,
            traceparent=context.traceparent,
        )
        data = {"params": params, "sites": ["*"], "permissions": [query.permission]}
        reply = await self._questions.ask(query, envelope, orjson.dumps(data))
        if not 200 <= reply.status < 300:
            return service_problem(request, reply.status, reply.body)
        return orjson.loads(reply.body)
