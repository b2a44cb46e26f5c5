"""``/api/sign-in``, ``…/{provider}`` and ``…/callback``: a person signs in with a provider of OpenID Connect.

Between the two, what belongs to this sign-in is in a cookie that only this installation can read (`Ticket`, sealed by
the vault), so nobody fills a table by beginning. A ticket counts once, over all gateways.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from libs.common import sealed_links, versions
from libs.common.contracts.gateway.sign_in import (
    CALLBACK_PATH,
    LIST_PATH,
    PATH,
    SIGN_IN,
    SignIn,
    SignInProvider,
    SignInSealed,
    TurnAway,
    sign_in,
    turn_away,
)
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Forbidden, Invalid, NotFound, Unauthorized, Unavailable
from libs.common.service import Clock
from libs.common.vault import Vault, VaultError
from libs.common.versions import EVERYWHERE
from services.gateway.access import Access
from services.gateway.bodies import path_values, read_query
from services.gateway.commands import Commands
from services.gateway.context import context_of
from services.gateway.domain.federation import NoName, NoRule
from services.gateway.domain.scope import RESERVED_SITE
from services.gateway.domain.sessions import cookie
from services.gateway.domain.sign_in import entry, safe_next
from services.gateway.identity.bootstrap import digest_of
from services.gateway.identity.callers import Principal
from services.gateway.identity.session_callers import name_for
from services.gateway.identity.token_addresses import place_of
from services.gateway.seals import Sealed
from services.gateway.sessions.door import NO_HTTPS, life_s_of
from services.gateway.sessions.entering import SELECT_LINK
from services.gateway.sessions.provider import Providers

ROLE = "signing in"  # of no user: it holds no permission
ACTOR = "sign-in:"  # and the provider's name: of no user, since none has a colon
PLACE = "sign-in"
TICKET_LIFE = timedelta(minutes=10)
MAX_SAID = 4_000  # a code, or what went wrong
AGAIN = "Begin again at /api/sign-in/{}."


class Ticket(sealed_links.Ticket):
    """What belongs to one sign-in."""

    provider: str
    state: str
    nonce: str
    verifier: str
    next: str


class Rules:
    """The rules in force, read anew at each sign-in."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def now(self) -> SignIn:
        """Those in force. Raises `Unavailable`."""
        try:
            return (await versions.current(self._pool, SIGN_IN, EVERYWHERE)).content
        except UNREACHABLE as error:
            raise Unavailable("Nobody can sign in now: the database can't be reached. Try again.") from error

    async def of(self, name: str) -> tuple[SignInProvider, SignIn]:
        """A provider by its name, and the rules. Raises `NotFound`, `Unavailable`."""
        rules = await self.now()
        provider = next((one for one in rules.providers if one.name == name), None)
        if provider is None:
            raise NotFound("Nobody signs in here by a provider of that name; an owner publishes them.")
        return provider, rules


class SignInDoor:
    """Sends people to their provider and takes them back. ``public_url``: how browsers reach this installation."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        access: Access,
        commands: Commands,
        providers: Providers,
        vault: Vault,
        clock: Clock,
        public_url: str | None,
    ) -> None:
        self._pool, self._access, self._commands, self._providers = pool, access, commands, providers
        self.rules = Rules(pool)
        self._vault, self._clock, self._public_url = vault, clock, public_url

    async def offer(self, request: Request) -> Response:
        """The names of the providers, for a page that asks people how they come in. Raises `Unavailable`."""
        context = context_of(request)
        context.route = LIST_PATH
        await self._access.limit_stranger(context)
        read_query(request, frozenset())
        names = [{"name": one.name} for one in (await self.rules.now()).providers]
        return Response(orjson.dumps({"providers": names}), media_type="application/json")

    async def begin(self, request: Request) -> Response:
        """To the provider. Raises `NotFound`, `Forbidden` without HTTPS, `Invalid`, `Unavailable`."""
        context = context_of(request)
        context.route = PATH
        await self._access.limit_stranger(context)
        after = read_query(request, frozenset({"next"})).get("next", "/docs")
        if len(after) > 200 or not safe_next(after):
            raise Invalid("next must be a path of this installation, such as /docs, of 200 characters at the most.")
        provider, _ = await self.rules.of(path_values(request)["provider"])
        name, back = self._ways(request, provider)
        ticket = Ticket(
            until=self._clock() + TICKET_LIFE,
            provider=provider.name,
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            next=after,
        )
        try:
            sealed = sealed_links.seal("", self._vault, PLACE, ticket)
        except VaultError as error:
            raise Unavailable(str(error)) from None
        place = await self._providers.address(provider, back, ticket.state, ticket.nonce, ticket.verifier)
        answer = RedirectResponse(place, 302)
        answer.headers.append("Set-Cookie", cookie(_ticket_name(name), sealed, int(TICKET_LIFE.total_seconds())))
        return answer

    async def finish(self, request: Request) -> Response:
        """Back from the provider: a session, and on to where the person wanted to go.

        Raises `Unauthorized` with the reason, `Forbidden`, `Unavailable`.
        """
        context = context_of(request)
        context.route = CALLBACK_PATH
        await self._access.limit_stranger(context)
        # Providers add fields of their own to the answer.
        said = {name: value[:MAX_SAID] for name, value in request.query_params.items()}
        provider, rules = await self.rules.of(path_values(request)["provider"])
        name, back = self._ways(request, provider)
        ticket = self._ticket(request, provider, name, said)
        claims = await self._providers.claims(provider, said["code"], back, ticket.nonce, ticket.verifier)
        sub = claims.get("sub")
        if not isinstance(sub, str) or not 0 < len(sub) <= 255:
            raise Unauthorized("The provider does not say who you are (sub).")
        known = await self._known(provider, sub)
        context.who = known or context.who
        try:
            found = entry(rules.rules, provider.name, provider.login_claim, claims, provider.email_domains)
        except NoName as error:
            raise Forbidden(str(error)) from None
        except NoRule as error:
            if known is not None:
                await self._turn_away(request, provider, sub, str(error))
            raise Forbidden(str(error)) from None
        username = known or found.username
        secret = secrets.token_urlsafe(32)
        # Only what was said: a service of the version before knows no newer field, and takes an order without it.
        newer: dict[str, Any] = {"amr": _methods_in(claims), "acr": _text_in(claims, "acr")}
        body = SignInSealed(
            **{name: value for name, value in newer.items() if value},
            provider=provider,
            rule=found.rule,
            sub=sub,
            username=username,
            sid=_sid_in(claims),
            exact=found.exact,
            state_sha256=sha256(f"sign-in\n{ticket.state}".encode()).hexdigest(),
            state_until=ticket.until,
            secret_sha256=digest_of(secret).hex(),
            address=place_of(context.address),
            agent=context.agent,
        )
        # Until the link is there, a name is what somebody else could have claimed: nothing is booked on who has it.
        caller = Principal(known or ACTOR + provider.name, ROLE, (RESERVED_SITE,), 0, context.received_at)
        answer = await self._commands.run(request, sign_in, caller, RESERVED_SITE, body, Sealed())
        if answer.status_code in (200, 202):  # 202: the session works in a moment
            life_s = life_s_of(orjson.loads(answer.body))
            answer = RedirectResponse(ticket.next, 303)
            answer.headers.append("Set-Cookie", cookie(name, secret, life_s))
        answer.headers.append("Set-Cookie", cookie(_ticket_name(name), "", 0))
        return answer

    async def _turn_away(self, request: Request, provider: SignInProvider, sub: str, reason: str) -> None:
        """What the person has open ends, whether this request waits for it or not. Raises `Unavailable`."""
        body = TurnAway(provider=provider.name, issuer=provider.issuer, sub=sub, reason=reason[:1_000])
        caller = Principal(ACTOR + provider.name, ROLE, (RESERVED_SITE,), 0, context_of(request).received_at)
        await self._commands.run(request, turn_away, caller, RESERVED_SITE, body, Sealed())

    def _ticket(self, request: Request, provider: SignInProvider, name: str, said: dict[str, str]) -> Ticket:
        """What this browser began with, if the answer belongs to it. Raises `Unauthorized`."""
        again = AGAIN.format(provider.name)
        sealed = request.cookies.get(_ticket_name(name), "")
        ticket = sealed_links.unseal(Ticket, self._vault, PLACE, sealed, self._clock())
        if ticket is None or ticket.provider != provider.name:
            raise Unauthorized(f"This sign-in was begun in another browser, or more than 10 minutes ago. {again}")
        if not hmac.compare_digest(said.get("state", "").encode(), ticket.state.encode()):
            raise Unauthorized(f"This answer of the provider belongs to another sign-in (state). {again}")
        if said.get("iss", provider.issuer) != provider.issuer:  # RFC 9207
            raise Unauthorized(f"This answer is of another provider (iss). {again}")
        if not said.get("code"):
            why = "".join(sign for sign in said.get("error", "no code") if sign.isprintable())[:100]
            raise Unauthorized(f"The provider did not let you in: {why}. {again}")
        return ticket

    def _ways(self, request: Request, provider: SignInProvider) -> tuple[str, str]:
        """The session cookie's name for this browser, and the address to which it comes back."""
        name = name_for(request)
        if name is None:
            raise Forbidden(NO_HTTPS)
        base = base_of(request, self._public_url)
        return name, base.rstrip("/") + CALLBACK_PATH.format(provider=provider.name)

    async def _known(self, provider: SignInProvider, sub: str) -> str | None:
        try:
            found: str | None = await self._pool.fetchval(SELECT_LINK, provider.issuer, sub, timeout=5)
        except UNREACHABLE as error:
            raise Unavailable("Nobody can sign in now: the database can't be reached. Try again.") from error
        return found


def base_of(request: Request, public_url: str | None) -> str:
    """How browsers reach this installation. Raises `Unavailable` where only they say so."""
    base = public_url or f"{request.scope['scheme']}://{request.headers['host']}"
    if public_url is None and urlsplit(base).hostname not in ("localhost", "127.0.0.1", "::1"):
        # What a browser calls us is anybody's word, and a code must not be sent there.
        raise Unavailable("Nobody can sign in until HEADGATE_PUBLIC_URL says how browsers reach this installation.")
    return base


def _sid_in(claims: Mapping[str, Any]) -> str | None:
    """What the provider calls this stay, if it says so."""
    return _text_in(claims, "sid")


def _methods_in(claims: Mapping[str, Any]) -> list[str]:
    """How the person came in at the provider (RFC 8176); what can't be read is not said."""
    said = claims.get("amr")
    return [one for one in said if isinstance(one, str) and 0 < len(one) <= 255][:20] if isinstance(said, list) else []


def _text_in(claims: Mapping[str, Any], name: str) -> str | None:
    said = claims.get(name)
    return said if isinstance(said, str) and 0 < len(said) <= 255 else None


def _ticket_name(session_name: str) -> str:
    return session_name.removesuffix("session") + "sign-in"
