"""``POST /api/sign-in/{provider}/backchannel-logout``: a provider says that a person has left it.

It comes without a token of ours, but with one that it has signed. Each refusal says its reason, since the provider's
log is all that its administrators see. Source: OpenID Connect Back-Channel Logout 1.0.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from libs.common.contracts.gateway.sign_in import LOGOUT_PATH, SignInProvider, SignOutSealed, sign_out
from libs.common.problems import Refusal
from libs.judge.attestation import BadSignature
from libs.judge.identity import LEEWAY
from services.gateway.access import Access
from services.gateway.bodies import path_values, read_query, receive
from services.gateway.commands import Commands
from services.gateway.context import context_of
from services.gateway.domain.scope import RESERVED_SITE
from services.gateway.domain.sign_out import NoLogout, sign_out_of
from services.gateway.identity.callers import Principal
from services.gateway.seals import Sealed
from services.gateway.sessions.provider import Providers
from services.gateway.sessions.sign_in import ACTOR, Rules

ROLE = "provider"  # of no user: it holds no permission
MAX_FORM_BYTES = 16 * 1024  # twice the longest token
NO_TOKEN = "The body must be a form with one logout_token."  # noqa: S105


class SignOutDoor:
    """Takes logout tokens."""

    def __init__(self, rules: Rules, access: Access, commands: Commands, providers: Providers) -> None:
        self._rules, self._access, self._commands, self._providers = rules, access, commands, providers

    async def receive(self, request: Request) -> Response:
        """End what the token says. Raises `Refusal` (400, as the standard has it), `NotFound`, `Unavailable`."""
        context = context_of(request)
        context.route = LOGOUT_PATH
        read_query(request, frozenset())
        try:
            provider, _ = await self._rules.of(path_values(request)["provider"])
            form = bytearray()
            await receive(request, MAX_FORM_BYTES, form.extend)
            body = await self._judge(provider, _token_in(bytes(form)))
        except Refusal:
            await self._access.limit_stranger(context)
            raise
        context.who = ACTOR + provider.name
        await self._access.limit_known(context, context.who, "This provider")
        caller = Principal(context.who, ROLE, (RESERVED_SITE,), 0, context.received_at)
        answer = await self._commands.run(request, sign_out, caller, RESERVED_SITE, body, Sealed())
        # A command that was taken is applied; the provider need not ask what became of it.
        return Response(status_code=200) if answer.status_code in (200, 202) else answer

    async def _judge(self, provider: SignInProvider, token: str) -> SignOutSealed:
        try:
            header, claims = await self._providers.signed(provider, token)
            found = sign_out_of(header, claims)
        except BadSignature as error:
            raise Refusal(f"{str(error).rstrip('.').replace('identity token', 'logout token')}.") from None
        except NoLogout as error:
            raise Refusal(str(error)) from None
        return SignOutSealed(
            provider=provider.name,
            issuer=provider.issuer,
            sub=found.sub,
            sid=found.sid,
            used_sha256=sha256(f"logout\n{provider.issuer}\n{found.jti}".encode()).hexdigest(),
            used_until=datetime.fromtimestamp(claims["exp"], UTC) + LEEWAY + timedelta(minutes=1),
        )


def _token_in(form: bytes) -> str:
    """The one field. Raises `Refusal`."""
    try:
        found = parse_qs(form.decode("ascii"), strict_parsing=True, max_num_fields=10).get("logout_token", [])
    except ValueError:
        found = []
    if len(found) != 1:
        raise Refusal(NO_TOKEN)
    return found[0]
