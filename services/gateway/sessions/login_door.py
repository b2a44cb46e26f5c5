"""``POST /api/logins`` and ``…/renew``: a person's program is signed in, and gets the next token of its login.

The secrets are made here and never travel further, or by the program itself, which then sends a digest only.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.logins import PATH, RENEW_PATH, LoginRenew, LoginRenewSealed, open_login, renew_login
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Conflict, Unauthorized, Unavailable
from libs.judge.token_text import ACCESS, REFRESH, has_form
from services.gateway.access import Access
from services.gateway.bodies import parse_json, read_json_object, read_query, receive, validate
from services.gateway.commands import Commands
from services.gateway.context import Context, context_of
from services.gateway.domain.scope import RESERVED_SITE
from services.gateway.identity.bootstrap import digest_of, make_secret
from services.gateway.identity.callers import Principal
from services.gateway.identity.token_addresses import place_of
from services.gateway.seals import Sealed
from services.gateway.sessions.logins import OVER, REUSED

ROLE = "renewing"  # of no user: it holds no permission
MAX_BODY_BYTES = 4_096
ONCE = "The secrets were shown once, by the first answer to this Idempotency-Key. Log in again."
HEADERS = ("Location", "Retry-After", "Preference-Applied")
SELECT_LOGIN_OF = """
SELECT session_id, username FROM sessions WHERE session_id = (
    SELECT session_id FROM logins WHERE refresh_sha256 = $1
    UNION ALL SELECT session_id FROM login_past WHERE refresh_sha256 = $1 LIMIT 1
)
"""


class LoginDoor:
    """Opens and renews logins."""

    def __init__(self, pool: asyncpg.Pool, access: Access, commands: Commands) -> None:
        self._pool, self._access, self._commands = pool, access, commands

    async def open(self, request: Request) -> Response:
        """The login with its secrets. Raises `Conflict`, `Forbidden`, `Invalid` and what `Access.admit` does."""
        context = context_of(request)
        context.route = PATH
        principal = await self._access.admit(request, "me:write")
        read_query(request, frozenset())
        validate(Nothing, await read_json_object(request))
        if principal.program:
            raise Conflict("You come with a login already; another one is opened with a token, or in a browser.")
        access, refresh = make_secret(ACCESS), make_secret(REFRESH)
        fields: dict[str, Any] = {
            "secret_sha256": digest_of(access).hex(),
            "refresh_sha256": digest_of(refresh).hex(),
            "address": place_of(context.address),
            "agent": context.agent,
        }
        if principal.session_id is None:
            fields["token_id"] = principal.token_id
        else:
            fields["caller_session_id"] = principal.session_id
        answer = await self._commands.run(request, open_login, principal, RESERVED_SITE, Nothing(), Sealed(fields))
        return _shown(answer, 201, access, {"access_token": access, "refresh_token": refresh})

    async def renew(self, request: Request) -> Response:
        """The next token. Raises `Unauthorized` with the reason, `Conflict`, `Invalid`, `TooMany`, `Unavailable`."""
        context = context_of(request)
        context.route = RENEW_PATH
        self._access.enter_stranger(context)
        read_query(request, frozenset())
        try:
            body = bytearray()
            await receive(request, MAX_BODY_BYTES, body.extend)
            said = validate(LoginRenew, await parse_json(bytes(body)))
            assert isinstance(said, LoginRenew)  # noqa: S101  what was asked for
            session_id, username = await self._whose(said.refresh_token)
        except Unauthorized:
            await self._access.limit_stranger(context)
            raise
        context.who = username
        await self._access.limit_known(context, f"session {session_id}", "This login")
        access, made = make_secret(ACCESS), make_secret(REFRESH)
        sealed = LoginRenewSealed(
            session_id=session_id,
            refresh_sha256=digest_of(said.refresh_token).hex(),
            next_sha256=said.next_sha256 or digest_of(made).hex(),
            secret_sha256=digest_of(access).hex(),
            address=place_of(context.address),
        )
        answer = await self._run(request, context, sealed, username)
        shown = {"access_token": access} if said.next_sha256 else {"access_token": access, "refresh_token": made}
        return _shown(answer, 200, access, shown)

    async def _run(self, request: Request, context: Context, sealed: BaseModel, username: str) -> Response:
        caller = Principal(username, ROLE, (RESERVED_SITE,), 0, context.received_at)
        answer = await self._commands.run(request, renew_login, caller, RESERVED_SITE, sealed, Sealed())
        if answer.status_code == 200 and orjson.loads(answer.body)["state"] == "reused":
            await self._access.limit_stranger(context)
            raise Unauthorized(REUSED)
        return answer

    async def _whose(self, secret: str) -> tuple[int, str]:
        """The number of the login, and whose it is. Nothing is proven by that but that there was such a secret."""
        row = None
        if has_form(REFRESH, secret):
            try:
                row = await self._pool.fetchrow(SELECT_LOGIN_OF, digest_of(secret), timeout=5)
            except UNREACHABLE as error:
                raise Unavailable("No login can be renewed now: the database can't be reached. Try again.") from error
        if row is None:
            raise Unauthorized(OVER)
        return row["session_id"], row["username"]


def _shown(answer: Response, status: int, access: str, secrets: dict[str, str]) -> Response:
    """The answer with its secrets, if they are those that were stored."""
    if answer.status_code not in (200, 202):
        return answer
    told = {name: value for name, value in orjson.loads(answer.body).items() if value is not None}
    if answer.status_code == 200:
        told.pop("state", None)
    if answer.status_code == 202 or told["fingerprint"] == digest_of(access).hex()[:16]:
        told |= secrets
    else:
        told["note"] = ONCE
    headers = {one: answer.headers[one] for one in HEADERS if one in answer.headers}
    code = status if answer.status_code == 200 else 202
    return Response(orjson.dumps(told), code, headers, media_type="application/json")
