"""``POST /api/sign-in`` and ``POST /api/passwords``: who comes has no token, but a password, or a code for one.

All who are not let in are answered alike, and as fast: names that there are not, wrong passwords, who is not active.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta

import asyncpg
from starlette.requests import Request
from starlette.responses import Response

from libs.common import sealed_links
from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway.passwords import (
    SET_PATH,
    SIGN_IN_PATH,
    PasswordOfCode,
    PasswordSignIn,
    enter_by_password,
    set_password,
)
from libs.common.contracts.gateway.second_factors import FactorProof
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Forbidden, Unauthorized, Unavailable
from libs.common.service import Clock
from libs.common.vault import Vault
from services.gateway.access import Access
from services.gateway.bodies import read_json_object, read_query, validate
from services.gateway.commands import Commands
from services.gateway.context import context_of
from services.gateway.domain.scope import RESERVED_SITE
from services.gateway.domain.sessions import cookie
from services.gateway.identity.bootstrap import digest_of
from services.gateway.identity.callers import Principal
from services.gateway.identity.session_callers import name_for
from services.gateway.identity.token_addresses import place_of
from services.gateway.passwords.checking import AWAY, Checker
from services.gateway.passwords.keeping import WRONG, WRONG_CODE
from services.gateway.passwords.tries import Shown
from services.gateway.seals import Sealed
from services.gateway.second_factors.checking import Factors
from services.gateway.sessions.door import NO_HTTPS, opened
from services.gateway.sessions.sign_in import ROLE

PLACE = "browser"
KNOWN_FOR = timedelta(days=90)

SELECT_CODE = """
SELECT code_sha256 FROM password_code JOIN users USING (username)
WHERE username = $1 AND expires_at > $2 AND users.active AND users.owner IS NULL
"""


class Browser(sealed_links.Ticket):
    """A browser in which this person came in before: what others fail at by the name does not bar it."""

    username: str
    browser: str


class PasswordDoor:
    """Lets people in by their passwords, and takes those that are chosen with a code."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        access: Access,
        commands: Commands,
        checker: Checker,
        factors: Factors,
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._pool, self._access, self._commands, self._checker = pool, access, commands, checker
        self._factors, self._vault, self._clock = factors, vault, clock

    async def sign_in(self, request: Request) -> Response:
        """A session, with its cookie. Raises `Unauthorized`, `TooMany`, `Forbidden` without HTTPS, `Unavailable`."""
        context = context_of(request)
        context.route = SIGN_IN_PATH
        self._checker.stop_when_crowded(place_of(context.address))
        self._access.enter_stranger(context)
        await self._access.limit_stranger(context)
        read_query(request, frozenset())
        said = validate(PasswordSignIn, await read_json_object(request))
        assert isinstance(said, PasswordSignIn)  # noqa: S101  what was asked for
        name = name_for(request)
        if name is None:
            raise Forbidden(NO_HTTPS)
        place, browser = place_of(context.address), self._browser(request, name, said.username)
        known_by = Shown("name", said.username) if browser is None else Shown("browser", browser)
        judged = await self._checker.judge(said.username, said.password, place, (known_by, Shown("address", place)))
        proof = await self._factors.shown(said.username, said.code)
        if judged.revision is None or proof == FactorProof():
            raise Unauthorized(WRONG)
        context.who = said.username
        secret = secrets.token_urlsafe(32)
        fields = {
            "revision": judged.revision,
            "tries": judged.tries.model_dump(),
            "proof": None if proof is None else proof.model_dump(),
            "secret_sha256": digest_of(secret).hex(),
            "address": place,
            "agent": context.agent,
        }
        caller = Principal(said.username, ROLE, (RESERVED_SITE,), 0, context.received_at)
        answer = await self._commands.run(request, enter_by_password, caller, RESERVED_SITE, Nothing(), Sealed(fields))
        if answer.status_code not in (200, 202):
            return answer
        answer = opened(answer, name, secret)
        if "Set-Cookie" in answer.headers:
            ticket = Browser(
                until=self._clock() + KNOWN_FOR, username=said.username, browser=browser or secrets.token_urlsafe(16)
            )
            sealed = sealed_links.seal("", self._vault, PLACE, ticket)
            answer.headers.append("Set-Cookie", cookie(_browser_name(name), sealed, int(KNOWN_FOR.total_seconds())))
        return answer

    def _browser(self, request: Request, name: str, username: str) -> str | None:
        """By what this browser is counted, if this person came in here before."""
        shown = request.cookies.get(_browser_name(name), "")
        ticket = sealed_links.unseal(Browser, self._vault, PLACE, shown, self._clock())
        return ticket.browser if ticket is not None and ticket.username == username else None

    async def choose(self, request: Request) -> Response:
        """The password of a person with a code. Raises `Unauthorized`, `Invalid` saying what is wrong with it."""
        context = context_of(request)
        context.route = SET_PATH
        self._access.enter_stranger(context)
        await self._access.limit_stranger(context)
        read_query(request, frozenset())
        said = validate(PasswordOfCode, await read_json_object(request))
        assert isinstance(said, PasswordOfCode)  # noqa: S101  what was asked for
        code = digest_of(said.code)
        try:
            kept = await self._pool.fetchval(SELECT_CODE, said.username, self._clock(), timeout=5)
        except UNREACHABLE as error:
            raise Unavailable(AWAY) from error
        if not hmac.compare_digest(kept or bytes(len(code)), code):
            raise Unauthorized(WRONG_CODE)
        context.who = said.username
        sealed = await self._checker.chosen(said.username, said.password, place_of(context.address))
        caller = Principal(said.username, ROLE, (RESERVED_SITE,), 0, context.received_at)
        fields = Sealed({"password": sealed, "code_sha256": code.hex()})
        return await self._commands.run(request, set_password, caller, RESERVED_SITE, Nothing(), fields)


def _browser_name(session_name: str) -> str:
    return session_name.removesuffix("session") + "browser"
