"""May this caller do this here? Token, rate limit, permission, site: in that order, and no to all that is not said."""

from __future__ import annotations

import base64
import re
from functools import cache

from prometheus_client import Counter
from starlette.requests import Request

from libs.common.contracts.base import Command, Operation
from libs.common.contracts.roles import SELF_SERVICE, may
from libs.common.problems import Forbidden, Invalid, NotFound, TooMany, Unauthorized
from libs.common.series import PERMISSION_CHECKS
from services.gateway.context import Context, context_of
from services.gateway.domain.scope import ALL, RESERVED_SITE, Verdict, choose
from services.gateway.identity import Identity, Principal
from services.gateway.limits import Limiter

HOW = "Send your token in the header `Authorization: Bearer hg_…`."
SITE = re.compile(r"[a-z0-9-]{1,40}")


class Access:
    """The checks, with the limits of this process."""

    def __init__(self, identity: Identity, per_token: Limiter, per_address: Limiter) -> None:
        self._identity = identity
        self._per_token = per_token
        self._per_address = per_address

    async def admit(self, request: Request, permission: str, *, basic: bool = False) -> Principal:
        """The caller, if its token is valid, within its rate limit, and its role holds the permission.

        ``basic``: the token may come by HTTP Basic, too.

        Raises `Unauthorized`, `TooMany`, `Forbidden` or `Unavailable`.
        """
        context = context_of(request)
        principal = await self._authenticate(request, context, basic=basic)
        context.who = principal.username
        self.limit_known(context, str(principal.token_id), "This token")
        allowed = may(principal.role, permission)
        _checks("allowed" if allowed else "denied", principal.role).inc()
        if not allowed:
            raise Forbidden(
                f"This needs the permission {permission}, which the role {principal.role} does not hold.",
                permission=permission,
            )
        return principal

    def limit_known(self, context: Context, key: str, who: str) -> None:
        """Count a request of a known caller; raises `TooMany`. ``who`` begins the sentence."""
        allowance = self._per_token.hit(key)
        context.headers.update(allowance.headers())
        if not allowance.allowed:
            raise TooMany(
                f"{who} may make {allowance.limit} requests in a minute; wait {allowance.reset_s} s.",
                retry_after_s=allowance.reset_s,
            )

    def limit_stranger(self, context: Context) -> None:
        """Count a request without a valid token against its address; raises `TooMany`."""
        allowance = self._per_address.hit(context.address)
        context.headers.update(allowance.headers())
        if not allowance.allowed:
            raise TooMany(
                f"This address may make {allowance.limit} requests without a valid token in a minute; wait "
                f"{allowance.reset_s} s, and check the token.",
                retry_after_s=allowance.reset_s,
            )

    async def _authenticate(self, request: Request, context: Context, *, basic: bool) -> Principal:
        try:
            username, secret = (basic and login_of(request)) or (None, secret_of(request))
            principal = await self._identity.by_secret(secret)
            if principal is None or username not in (None, principal.username):
                of_whom = "" if username is None else ", or of another user than the one named"
                raise Unauthorized(
                    f"The token is unknown, expired or revoked, or its user is not active{of_whom}. " + HOW
                )
        except Unauthorized:
            self.limit_stranger(context)
            if basic:  # beside the challenge of the answer itself: else no calendar asks its user for a password
                context.headers["WWW-Authenticate"] = 'Basic realm="headgate", charset="UTF-8"'
            raise
        return principal

    async def site_of(
        self, principal: Principal, operation: Operation, asked: str | None, *, names_object: bool
    ) -> str:
        """The site that the request concerns. Raises `Invalid`, `Forbidden` or `NotFound`."""
        if not operation.sited:
            needs_all = isinstance(operation, Command) and operation.permission not in SELF_SERVICE
            if needs_all and ALL not in principal.sites:
                raise Forbidden("This changes the whole installation and needs the site scope *, which you don't have.")
            return RESERVED_SITE
        return await self.allowed_site(principal, asked, names_object=names_object)

    async def allowed_site(self, principal: Principal, asked: str | None, *, names_object: bool) -> str:
        """The site asked for, or the reserved one; raises like `site_of`."""
        if asked is not None and not SITE.fullmatch(asked):
            raise Invalid("site must be 1 to 40 of the characters a-z, 0-9 and '-'.")
        choice = choose(principal.sites, asked, names_object=names_object)
        if choice.verdict is Verdict.HIDDEN:
            raise NotFound(f"There is no such thing in the site {choice.site}; name another one with ?site=.")
        if choice.verdict is Verdict.FORBIDDEN:
            raise Forbidden(
                f"The site {choice.site} is not in your scope; give one of yours with ?site=.",
                sites=list(principal.sites[:50]),
            )
        if asked is not None and not await self._identity.site_exists(asked):
            raise NotFound(f"There is no site {asked}; GET /api/sites lists them.")
        return choice.site


@cache
def _checks(result: str, role: str) -> Counter:
    """The series; roles are few, and looking it up by its labels costs more than counting."""
    return PERMISSION_CHECKS.labels(result, role)


def login_of(request: Request) -> tuple[str, str] | None:
    """User name and secret of `Authorization: Basic` (RFC 7617); None if the caller sent another kind, or more than it.

    Raises `Unauthorized` for what can't be read.
    """
    values = request.headers.getlist("authorization")
    scheme, _, packed = values[0].strip().partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "basic" or "x-admin-token" in request.headers:
        return None
    try:
        username, colon, secret = base64.b64decode(packed.strip(), validate=True).decode().partition(":")
    except ValueError:
        username = colon = secret = ""
    if not colon:
        raise Unauthorized(
            "What was sent by HTTP Basic can't be read. Send your user name, and a token as the password."
        )
    return username, secret


def secret_of(request: Request) -> str:
    """The secret from `Authorization: Bearer` or `X-Admin-Token`; raises `Unauthorized` saying how to send it."""
    found: set[str] = set()
    for value in request.headers.getlist("authorization"):
        scheme, _, secret = value.strip().partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise Unauthorized("Only the scheme Bearer is known. " + HOW)
        found.add(secret.strip())
    found.update(value.strip() for value in request.headers.getlist("x-admin-token"))
    if not found:
        raise Unauthorized("This needs a token. " + HOW)
    if len(found) > 1:
        raise Unauthorized("Two different tokens were sent; send one, in one header.")
    return found.pop()
