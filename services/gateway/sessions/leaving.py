"""``POST /api/sign-out``: a person leaves, here and, where the browser came by a provider that can, there too.

The session ends first and whatever the provider does. The page then sends the browser to the address in the answer;
from there it comes back to ``/api/sign-in/{provider}/signed-out``. Source: OpenID Connect RP-Initiated Logout 1.0.
Crash here means: the session has ended, or it has not; who was on the way to the provider begins again.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from libs.common import sealed_links
from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.sessions import SessionKey, end_session
from libs.common.contracts.gateway.sign_in import SIGN_OUT_PATH, SIGNED_OUT_PATH, SignInProvider
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Conflict, Invalid, Refusal, Unauthorized, Unavailable
from libs.common.running import Running
from libs.common.telemetry import log
from libs.common.vault import Vault, VaultError
from services.gateway.access import Access
from services.gateway.bodies import path_values, read_json_object, read_query, validate
from services.gateway.commands import Commands
from services.gateway.context import context_of
from services.gateway.domain.scope import RESERVED_SITE
from services.gateway.domain.sessions import cookie
from services.gateway.domain.sign_in import safe_next
from services.gateway.identity.session_callers import name_for
from services.gateway.seals import Sealed
from services.gateway.sessions.provider import Providers
from services.gateway.sessions.sign_in import Rules, base_of

PLACE = "sign-out"
TICKET_LIFE = timedelta(minutes=10)
HEADERS = ("Location", "Retry-After", "Preference-Applied")
SELECT_PROVIDER = "SELECT provider FROM sessions WHERE session_id = $1"


class Ticket(sealed_links.Ticket):
    """What belongs to one sign-out."""

    provider: str
    state: str
    next: str


class LeavingDoor:
    """Signs people out."""

    def __init__(
        self, running: Running, rules: Rules, access: Access, commands: Commands, providers: Providers, vault: Vault
    ) -> None:
        self._pool, self._clock, self._public_url = running.pool, running.clock, running.settings.public_url
        self._rules, self._access, self._commands = rules, access, commands
        self._providers, self._vault = providers, vault

    async def leave(self, request: Request) -> Response:
        """End the session, and say where the browser goes to leave the provider (null: nowhere).

        Raises `Conflict` for who comes with a token, `Invalid`, and what `Access.admit` does.
        """
        context = context_of(request)
        context.route = SIGN_OUT_PATH
        principal = await self._access.admit(request, "me:write")
        after = read_query(request, frozenset({"next"})).get("next", "/docs")
        if len(after) > 200 or not safe_next(after):
            raise Invalid("next must be a path of this installation, such as /docs, of 200 characters at the most.")
        validate(Nothing, await read_json_object(request))
        if principal.session_id is None:
            raise Conflict("You come with a token, and only a session is signed out; DELETE /api/tokens/… revokes one.")
        named = None if principal.program else await self._provider_of(principal.session_id)
        body = SessionKey(session_id=principal.session_id)
        answer = await self._commands.run(request, end_session, principal, RESERVED_SITE, body, Sealed())
        if answer.status_code not in (200, 202):
            return answer
        name = name_for(request)
        place, ticket = (None, "") if named is None or name is None else await self._way_out(request, named, after)
        told = {"session_id": principal.session_id, "provider_sign_out": place}
        headers = {one: answer.headers[one] for one in HEADERS if one in answer.headers}
        left = Response(orjson.dumps(told), answer.status_code, headers, media_type="application/json")
        if name is not None and not principal.program:
            left.headers.append("Set-Cookie", cookie(name, "", 0))
            if place is not None:
                life_s = int(TICKET_LIFE.total_seconds())
                left.headers.append("Set-Cookie", cookie(_ticket_name(name), ticket, life_s))
        return left

    async def back(self, request: Request) -> Response:
        """Back from the provider, on to where the person wanted to go. Raises `Unauthorized`."""
        context = context_of(request)
        context.route = SIGNED_OUT_PATH
        await self._access.limit_stranger(context)
        said = request.query_params.get("state", "")[:200]
        name = name_for(request) or ""
        sealed = request.cookies.get(_ticket_name(name), "")
        ticket = sealed_links.unseal(Ticket, self._vault, PLACE, sealed, self._clock())
        if (
            ticket is None
            or ticket.provider != path_values(request)["provider"]
            or not hmac.compare_digest(said.encode(), ticket.state.encode())
        ):
            raise Unauthorized("This answer of the provider belongs to no sign-out of this browser; you are out here.")
        answer = RedirectResponse(ticket.next, 303)
        answer.headers.append("Set-Cookie", cookie(_ticket_name(name), "", 0))
        return answer

    async def _provider_of(self, session_id: int) -> str | None:
        try:
            found: str | None = await self._pool.fetchval(SELECT_PROVIDER, session_id, timeout=5)
        except UNREACHABLE as error:
            raise Unavailable("You can't be signed out now: the database can't be reached. Try again.") from error
        return found

    async def _way_out(self, request: Request, named: str, after: str) -> tuple[str | None, str]:
        """The address at the provider and the sealed ticket; none if it has no such address or can't be asked."""
        try:
            provider, _ = await self._rules.of(named)
            ticket = Ticket(
                until=self._clock() + TICKET_LIFE, provider=named, state=secrets.token_urlsafe(32), next=after
            )
            place = await self._address(request, provider, ticket.state)
            return place, sealed_links.seal("", self._vault, PLACE, ticket)
        except (Refusal, VaultError) as error:  # the person is out here, and that is what was asked first
            log.warning("a provider's sign-out can't be reached", provider=named, error=str(error))
            return None, ""

    async def _address(self, request: Request, provider: SignInProvider, state: str) -> str | None:
        back = base_of(request, self._public_url).rstrip("/") + SIGNED_OUT_PATH.format(provider=provider.name)
        return await self._providers.way_out(provider, back, state)


def _ticket_name(session_name: str) -> str:
    return session_name.removesuffix("session") + "sign-out"
