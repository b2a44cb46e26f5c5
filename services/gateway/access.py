"""May this caller do this here? Token or session, rate limit, permission, site: in that order.

No to all that is not said.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import cache, partial

from prometheus_client import Counter as Series
from pydantic import BaseModel
from starlette.requests import Request

from libs.common.contracts.base import Command, Operation
from libs.common.contracts.governance.signals import SignalRecord
from libs.common.contracts.roles import ROLES, SELF_SERVICE, WITHIN_SITES
from libs.common.problems import Forbidden, Invalid, NotFound, TooMany, Unauthorized
from libs.common.series import PERMISSION_CHECKS
from libs.judge.token_text import ACCESS, has_form
from services.gateway.context import Context, context_of
from services.gateway.domain.rates import Rate, of_method, of_stranger
from services.gateway.domain.scope import ALL, RESERVED_SITE, Verdict, choose
from services.gateway.identity.callers import FromElsewhere, Identity, Principal
from services.gateway.identity.session_callers import Sessions
from services.gateway.identity.token_addresses import place_of
from services.gateway.limits.allowance import Allowance
from services.gateway.limits.counting import Limits
from services.gateway.second_factors.demands import Demands

HOW = "Send your token in the header `Authorization: Bearer hg_…`."
NO_SUBJECT = (
    "Your token is bound to subjects, so it may do what names one of them, and nothing that may be about others; GET "
    "/api/me lists them."
)
NAMES_NO_SUBJECT = frozenset({"me:read", "token:read", "token:write"})
WITH_SUBJECTS = frozenset({"governance", "tracker"})  # elsewhere the word means another thing
SITE = re.compile(r"[a-z0-9-]{1,40}")
AT_ONCE = 100
STRANGERS_AT_ONCE = 50


class Access:
    """The checks, with the limits of this process."""

    def __init__(
        self, identity: Identity, sessions: Sessions, limits: Limits, demands: Demands, at_once: int = AT_ONCE
    ) -> None:
        self._identity = identity
        self._sessions = sessions
        self._limits = limits
        self._demands = demands
        self._at_once = at_once
        self._running: Counter[str] = Counter()

    async def admit(
        self,
        request: Request,
        permission: str,
        *,
        basic: bool = False,
        by_subject: bool = False,
        rate: Rate | None = None,
        cost: int = 1,
    ) -> Principal:
        """The caller, if its token is valid, within its rate limit, and role and token hold the permission.

        ``basic``: the token may come by HTTP Basic, too. ``by_subject``: the route asks `allowed_subjects` itself, so
        that a token which is bound to subjects may come in. ``rate``: the class in which it is counted (if not
        said, by the method); ``cost``: for how many requests.

        Raises `Unauthorized`, `TooMany`, `Forbidden` or `Unavailable`.
        """
        context = context_of(request)
        principal = await self._authenticate(request, context, basic=basic)
        context.who = principal.username
        rate = rate or of_method(request.method)
        await self.limit_known(context, principal.key, "You", rate, cost)
        self._enter(context, principal.key)
        if principal.session_id is not None:
            await self._demands.admit(context, request.method, principal, self.again(request, permission))
        allowed = principal.may(permission)
        _checks("allowed" if allowed else "denied", principal.role if principal.role in ROLES else "own").inc()
        if not principal.narrowing.allows(permission):
            raise Forbidden(
                f"This needs the permission {permission}, to which your token is not bound; GET /api/me lists what it "
                "may.",
                permission=permission,
            )
        if not allowed:
            raise Forbidden(
                f"This needs the permission {permission}, which the role {principal.role} does not hold.",
                permission=permission,
            )
        if principal.narrowing.subjects is not None and not by_subject and permission not in NAMES_NO_SUBJECT:
            raise Forbidden(NO_SUBJECT)
        return principal.acting(permission)

    def allowed_subjects(
        self, principal: Principal, operation: Operation, said: BaseModel, *, names_object: bool
    ) -> None:
        """Whether a token that is bound to subjects may do this: each subject that is named must be one of its.

        An operation that names none, or a thing by its number, may be about any. Raises `Forbidden`.
        """
        narrowing = principal.narrowing
        if narrowing.subjects is None or operation.permission in NAMES_NO_SUBJECT:
            return
        named = None if names_object or operation.service not in WITH_SUBJECTS else subjects_named(said)
        if not named:
            raise Forbidden(NO_SUBJECT)
        for name in named:
            if not narrowing.has_subject(name):
                raise Forbidden(f"Your token is not for the subject {name}.", subjects=list(narrowing.subjects[:50]))

    def _enter(self, context: Context, key: str) -> None:
        """Count what a caller has running at once, until the answer is given; raises `TooMany`."""
        if self._running[key] >= self._at_once:
            raise TooMany(
                f"You have {self._at_once} requests running, which is as many as you may have at once, with all tokens "
                "and sessions together; wait for their answers.",
                retry_after_s=1,
            )
        self._count_in(context, key)

    def _count_in(self, context: Context, key: str) -> None:
        self._running[key] += 1
        context.at_end.append(partial(self._leave, key))

    def _leave(self, key: str) -> None:
        self._running[key] -= 1
        if self._running[key] <= 0:
            del self._running[key]

    async def limit_known(self, context: Context, key: str, who: str, rate: Rate = "auth-write", cost: int = 1) -> None:
        """Count a request of a known caller; raises `TooMany` and `Unavailable`. ``who`` begins the sentence."""
        allowance = await self._limits.hit(rate, key, cost)
        context.headers.update(allowance.headers(rate))
        if not allowance.allowed:
            raise TooMany(
                f"{who} may make {allowance.limit} requests of the class {rate} in a minute; wait "
                f"{allowance.reset_s} s.",
                retry_after_s=allowance.reset_s,
            )

    async def limit_stranger(self, context: Context) -> None:
        """Count a request without a valid token against its address (IPv6: its network).

        Raises `TooMany` and `Unavailable`.
        """
        rate = of_stranger(context.route)
        allowance = await self._limits.hit(rate, place_of(context.address))
        context.headers.update(allowance.headers(rate))
        if not allowance.allowed:
            raise _too_many_strangers(allowance)

    def stop_refused_stranger(self, context: Context) -> None:
        """Before anything is done for somebody unknown: raises `TooMany` if the address was refused a moment ago."""
        rate = of_stranger(context.route)
        if (allowance := self._limits.full(rate, place_of(context.address))) is not None:
            context.headers.update(allowance.headers(rate))
            raise _too_many_strangers(allowance)

    def enter_stranger(self, context: Context) -> None:
        """Before a stranger's body is read: one address can't take all places of the gateway. Raises `TooMany`."""
        self.stop_refused_stranger(context)
        key = f"address {place_of(context.address)}"
        if self._running[key] >= STRANGERS_AT_ONCE:
            raise TooMany(
                f"This address has {STRANGERS_AT_ONCE} such requests running, which is as many as it may have at once; "
                "wait for their answers.",
                retry_after_s=1,
            )
        self._count_in(context, key)

    async def _authenticate(self, request: Request, context: Context, *, basic: bool) -> Principal:
        try:
            if (cookie := self._sessions.shown(request)) is not None:
                return await self._sessions.admit(request, cookie, partial(self.stop_refused_stranger, context))
            username, secret = (basic and login_of(request)) or (None, secret_of(request))
            stop = partial(self.stop_refused_stranger, context)
            if username is None and has_form(ACCESS, secret):
                return await self._sessions.admit_program(context, secret, stop)
            principal = await self._identity.by_secret(secret, context.address, stop)
            if principal is None or username not in (None, principal.username):
                of_whom = "" if username is None else ", or of another user than the one named"
                raise Unauthorized(f"The token is unknown or revoked, or its user is not active{of_whom}. " + HOW)
        except Forbidden as refusal:
            if isinstance(refusal, FromElsewhere):  # somebody may have got hold of it, as its owner must be able to see
                context.who = refusal.who
            await self.limit_stranger(context)
            raise
        except Unauthorized:
            await self.limit_stranger(context)
            if basic:  # beside the challenge of the answer itself: else no calendar asks its user for a password
                context.headers["WWW-Authenticate"] = 'Basic realm="headgate", charset="UTF-8"'
            raise
        return principal

    def again(self, request: Request, permission: str) -> Callable[[], Awaitable[Principal | None]]:
        """Who the caller is at any later moment, past every memory, for that deed; None: nobody any more.

        For long answers.
        """
        if (cookie := self._sessions.shown(request)) is not None:
            look = partial(self._sessions.current, cookie)
        elif has_form(ACCESS, secret := secret_of(request)):
            look = partial(self._sessions.current, secret)
        else:
            look = partial(self._identity.current, secret, context_of(request).address)

        async def now() -> Principal | None:
            found = await look()
            if found is None or (found.session_id is not None and await self._demands.must_begin(found)):
                return None
            return found.acting(permission)

        return now

    async def site_of(
        self, principal: Principal, operation: Operation, asked: str | None, *, names_object: bool
    ) -> str:
        """The site that the request concerns. Raises `Invalid`, `Forbidden` or `NotFound`."""
        if not operation.sited:
            needs_all = isinstance(operation, Command) and operation.permission not in SELF_SERVICE | WITHIN_SITES
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


def _too_many_strangers(allowance: Allowance) -> TooMany:
    return TooMany(
        f"This address may make {allowance.limit} requests without a valid token in a minute; wait "
        f"{allowance.reset_s} s, and check the token.",
        retry_after_s=allowance.reset_s,
    )


@cache
def _checks(result: str, role: str) -> Series:
    """The series; roles are few, and looking it up by its labels costs more than counting."""
    return PERMISSION_CHECKS.labels(result, role)


def subjects_named(said: BaseModel) -> list[str] | None:
    """The subjects that a request is about; None where it may be about others than it names.

    Events of a batch that don't say their own have that of the batch. Fields such as ``subjects`` and ``subject_label``
    name more than one subject, or let the content name it.
    """
    for name in type(said).model_fields:
        if name.startswith("subject") and name != "subject" and getattr(said, name) is not None:
            return None
    common = getattr(said, "subject", None) or None
    found = [one.subject or common for one in said.signals] if isinstance(said, SignalRecord) else [common]
    return None if None in found else [name for name in found if name is not None]


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
