"""``POST /api/sessions``: a person's token is exchanged for a session, whose secret only the cookie has."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.session_policy import MAX_LIFE_HOURS
from libs.common.contracts.gateway.sessions import PATH, open_session
from libs.common.problems import Conflict, Forbidden
from services.gateway.access import Access
from services.gateway.bodies import read_json_object, read_query, validate
from services.gateway.commands import Commands
from services.gateway.context import context_of
from services.gateway.domain.scope import RESERVED_SITE
from services.gateway.domain.sessions import cookie, csrf_token
from services.gateway.identity.bootstrap import digest_of
from services.gateway.identity.session_callers import name_for
from services.gateway.identity.token_addresses import place_of
from services.gateway.seals import Sealed

ONCE = "The session's cookie was set once, by the first answer to this Idempotency-Key. Open another session."
HEADERS = ("Location", "Retry-After", "Preference-Applied")
NO_HTTPS = (
    "A session needs HTTPS, or a browser on this very machine (http://localhost). Behind a proxy that speaks TLS, name "
    "it in HEADGATE_TRUSTED_PROXIES."
)


def life_s_of(told: Mapping[str, Any]) -> int:
    """For how long a browser keeps the cookie, in seconds; of a session that is still being stored, the longest."""
    if "opened_at" not in told:
        return MAX_LIFE_HOURS * 3600
    began, over = (datetime.fromisoformat(told[name]) for name in ("opened_at", "ends_at"))
    return int((over - began).total_seconds())


def opened(answer: Response, name: str, secret: str) -> Response:
    """What a browser is told of its session, from what became of the command (200 or 202): with the cookie ``name``,
    unless an earlier answer to the same Idempotency-Key set it.
    """
    told = orjson.loads(answer.body)
    first = answer.status_code == 202 or told["fingerprint"] == digest_of(secret).hex()[:16]
    told |= {"csrf_token": csrf_token(secret)} if first else {"note": ONCE}
    status = 201 if answer.status_code == 200 else 202
    headers = {one: answer.headers[one] for one in HEADERS if one in answer.headers}
    if first:
        headers["Set-Cookie"] = cookie(name, secret, life_s_of(told))
    return Response(orjson.dumps(told), status, headers, media_type="application/json")


class SessionDoor:
    """Opens sessions."""

    def __init__(self, access: Access, commands: Commands) -> None:
        self._access, self._commands = access, commands

    async def receive(self, request: Request) -> Response:
        """The session, with its cookie. Raises `Forbidden`, `Conflict`, `Invalid` and what `Access.admit` does."""
        context = context_of(request)
        context.route = PATH
        principal = await self._access.admit(request, "me:write")
        read_query(request, frozenset())
        validate(Nothing, await read_json_object(request))
        if principal.session_id is not None:
            raise Conflict("You come with a session already; another one is opened with a token.")
        name = name_for(request)
        if name is None:
            raise Forbidden(NO_HTTPS)
        secret = secrets.token_urlsafe(32)
        fields = {
            "secret_sha256": digest_of(secret).hex(),
            "token_id": principal.token_id,
            "address": place_of(context.address),
            "agent": context.agent,
        }
        answer = await self._commands.run(request, open_session, principal, RESERVED_SITE, Nothing(), Sealed(fields))
        return answer if answer.status_code not in (200, 202) else opened(answer, name, secret)
