"""``POST /api/federation/token``: a job shows the identity token of its CI system and gets a token for minutes.

It comes without a token of ours. What it shows is judged here at the edge and never travels further; what a rule gives
is stored by `services.gateway.identity.federation`. Each refusal says its reason, since that is all the author sees.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import asyncpg
from nats.aio.msg import Msg
from starlette.requests import Request
from starlette.responses import Response

from libs.common import versions
from libs.common.bus import Bus
from libs.common.contracts.gateway.accounts import PREFIX
from libs.common.contracts.gateway.federation import (
    FEDERATION,
    PATH,
    Exchange,
    Federation,
    FederationIssuer,
    FederationLogin,
    exchange_identity,
)
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Conflict, Refusal, Unauthorized, Unavailable
from libs.common.service import Clock
from libs.common.versions import EVERYWHERE
from libs.judge.attestation import BadSignature
from libs.judge.identity import LEEWAY, Issuer, UnknownKey, issuer_of, verify_claims
from services.gateway.access import Access
from services.gateway.bodies import parse_json, read_body, read_query, validate
from services.gateway.commands import Commands
from services.gateway.context import context_of
from services.gateway.domain.federation import NoRule, rule_for
from services.gateway.domain.scope import RESERVED_SITE
from services.gateway.hearing import Hearing
from services.gateway.identity.bootstrap import digest_of, make_secret
from services.gateway.identity.callers import Principal
from services.gateway.identity.issuer_keys import IssuerKeys
from services.gateway.seals import Sealed

ROLE = "federated"  # of no user: it holds no permission
FRESH_S = 5.0
MAX_SUB = 255
MAX_LOGIN_BYTES = 16 * 1024


class FederatedLogin:
    """Takes identity tokens. The rules are remembered for at most 5 s, and until they change."""

    def __init__(self, pool: asyncpg.Pool, access: Access, commands: Commands, keys: IssuerKeys, clock: Clock) -> None:
        self._pool, self._access, self._commands, self._keys, self._clock = pool, access, commands, keys, clock
        self._hearing = Hearing()
        self._rules: tuple[Federation, float] | None = None

    async def start(self, bus: Bus) -> None:
        """Hear of new rules."""
        await self._hearing.start(bus, self._on_change, FEDERATION.published)

    async def stop(self) -> None:
        """Hear no more."""
        await self._hearing.stop()

    async def receive(self, request: Request) -> Response:
        """The token, shown in this answer only. Raises `Unauthorized` with the reason, `Invalid`, `Unavailable`."""
        context = context_of(request)
        context.route = PATH
        read_query(request, frozenset())
        self._access.enter_stranger(context)
        try:
            said = validate(FederationLogin, await parse_json(await read_body(request, MAX_LOGIN_BYTES)))
            assert isinstance(said, FederationLogin)  # noqa: S101  what was asked for
            exchange = await self._judge(said)
        except Refusal as refusal:
            if refusal.status < 500:
                await self._access.limit_stranger(context)
            raise
        actor = PREFIX + exchange.rule.account
        context.who = actor
        await self._access.limit_known(context, f"rule {exchange.rule.name}", "This rule")
        caller = Principal(actor, ROLE, (RESERVED_SITE,), 0, context.received_at)
        secret = make_secret()
        sealed = Sealed({"secret_sha256": digest_of(secret).hex()}, secret)
        return await self._commands.run(request, exchange_identity, caller, RESERVED_SITE, exchange, sealed)

    async def _judge(self, said: FederationLogin) -> Exchange:
        rules = await self._current()
        try:
            listed = [one for one in rules.issuers if one.issuer == issuer_of(said.token)]
            issuer, claims = await self._verify(said.token, listed)
            rule = rule_for(rules.rules, issuer, claims, said.rule)
        except (BadSignature, NoRule) as error:
            raise Unauthorized(f"{str(error).rstrip('.')}.") from None
        # What was signed, not the signature: of some there are two forms.
        used = sha256(said.token.rpartition(".")[0].encode()).hexdigest()
        return Exchange(
            rule=rule,
            issuer=issuer,
            sub=_printable(claims.get("sub")),
            used_sha256=used,
            used_until=datetime.fromtimestamp(claims["exp"], UTC) + LEEWAY + timedelta(minutes=1),
        )

    async def _verify(self, token: str, listed: list[FederationIssuer]) -> tuple[str, dict[str, Any]]:
        """Name of the issuer, and the claims. Raises `BadSignature` and `Unavailable`."""
        for anew in (False, True):
            known = [
                Issuer(one.name, one.issuer, one.audience, (), await self._keys.of(one, anew=anew)) for one in listed
            ]
            try:
                issuer, claims = verify_claims(token, known, self._clock())
            except UnknownKey:
                if anew:
                    raise
                continue  # the issuer may have changed its keys
            return issuer.name, claims
        raise AssertionError("the second look returns or raises")

    async def _current(self) -> Federation:
        if self._rules is not None and self._rules[1] > time.monotonic():
            return self._rules[0]
        began_s = time.monotonic()
        try:
            rules = (await versions.current(self._pool, FEDERATION, EVERYWHERE)).content
        except Conflict as error:
            raise Unavailable(error.detail) from None
        except UNREACHABLE as error:
            raise Unavailable("The rules can't be read now: the database can't be reached. Try again.") from error
        self._keys.forget({one.issuer for one in rules.issuers})
        self._rules = rules, began_s + FRESH_S
        return rules

    async def _on_change(self, _: Msg) -> None:
        self._rules = None


def _printable(sub: Any) -> str:
    """Who the issuer says it is, for people to read."""
    return "".join(sign for sign in str(sub or "?") if sign.isprintable())[:MAX_SUB]
