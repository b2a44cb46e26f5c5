"""Whether a caller has shown a second factor lately enough for what it is about to do.

The policy is remembered for a second and dropped when a new one is published. Crash here means: nothing is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import asyncpg
from nats.aio.msg import Msg

from libs.common.bus import Bus
from libs.common.contracts.base import Operation
from libs.common.contracts.gateway.me import get_me
from libs.common.contracts.gateway.second_factor_policy import SECOND_FACTOR_POLICY, SecondFactorPolicy
from libs.common.contracts.gateway.second_factors import begin_factor, confirm_factor
from libs.common.contracts.gateway.sessions import end_session, end_sessions, list_sessions
from libs.common.contracts.gateway.sign_in import SIGN_OUT_PATH
from libs.common.contracts.gateway.step_up import PATH
from libs.common.contracts.roles import held_by
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Conflict, FactorNeeded, StepUpNeeded, Unavailable
from libs.common.service import Clock
from services.gateway.context import Context
from services.gateway.domain.rights import Power
from services.gateway.domain.second_factors import must_begin
from services.gateway.hearing import Hearing
from services.gateway.identity.callers import Principal
from services.gateway.identity.requiring import policy_of, vouched

FRESH_SECONDS = 1.0
AWAY_SECONDS = 5.0  # so long the policy that was read last counts while the database is away, as tokens do
PERSONS_REFUSED = (
    "The policy of second factors lets nobody do this with a token of a person: come with a session, such as one of "
    "headgate login --renewing."
)
ALL_REFUSED = (
    "The policy of second factors lets nobody do this with a token: a person does it with a session, such as one of "
    "headgate login --renewing."
)
# What mends a policy that can't be read must work without it.
_MENDING = (SECOND_FACTOR_POLICY.publish, SECOND_FACTOR_POLICY.rollback)
MENDING = frozenset(one.name for one in _MENDING)
MENDING_ROUTES = frozenset((one.http.method, one.http.path) for one in _MENDING if one.http is not None)
# What who must begin a second factor may do: that, see who they are, and leave. Nothing else.
BEGINNING = frozenset(
    (one.http.method, one.http.path)
    for one in (get_me, begin_factor, confirm_factor, list_sessions, end_session, end_sessions)
    if one.http is not None
) | {("POST", SIGN_OUT_PATH)}
Again = Callable[[], Awaitable[Principal | None]]


class Demands:
    """Asks for a fresh code where the policy says so. ``monotonic`` is a clock in seconds that never steps back."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool, self._clock, self._monotonic = pool, clock, monotonic
        self._known: SecondFactorPolicy | None = None
        self._names: frozenset[str] = frozenset()
        self._required_of: frozenset[str] = frozenset()
        self._read_at_s = self._failed_at_s = float("-inf")
        self._turn = asyncio.Lock()
        self._hearing = Hearing()

    async def start(self, bus: Bus) -> None:
        """Hear of new policies."""
        await self._hearing.start(bus, self._on_published, SECOND_FACTOR_POLICY.published)

    async def stop(self) -> None:
        """Hear no more."""
        await self._hearing.stop()

    async def admit(self, context: Context, method: str, principal: Principal, again: Again) -> None:
        """Raises `FactorNeeded` for a session whose person must begin a second factor first, and `Unavailable`."""
        if principal.session_id is None or (method, context.route) in BEGINNING:
            return
        if (method, context.route) in MENDING_ROUTES and await self._is_unreadable():
            return
        if await self.must_begin(principal) and ((found := await again()) is None or await self.must_begin(found)):
            raise FactorNeeded(
                "You must have a second factor, and the time for it is over: POST /api/me/second-factor begins one, "
                'and POST /api/me/second-factor/confirm with {"code": "…"} confirms it. Until then nothing else is '
                "allowed here.",
                begin="/api/me/second-factor",
            )

    async def must_begin(self, principal: Principal) -> bool:
        """Whether the person of this session may do nothing but begin a second factor. Raises `Unavailable`."""
        try:
            policy = await self._policy()
        except Conflict as error:
            raise Unavailable(f"Nobody knows who must have a second factor: {error.detail}") from None
        standing = principal.standing
        if standing is None or not self._required_of or vouched(policy, standing.amr, standing.acr):
            return False
        own = Power(principal.role, held_by(principal.role, principal.own_permissions), principal.sites)
        if not any({one.role, *one.permissions} & self._required_of for one in (own, *principal.powers)):
            return False
        return must_begin(standing, timedelta(hours=policy.grace_hours), self._clock())

    async def _is_unreadable(self) -> bool:
        try:
            await self._policy()
        except Conflict:
            return True
        return False

    async def require(self, context: Context, operation: Operation, principal: Principal, again: Again) -> None:
        """Raises `StepUpNeeded` where a code must be shown first, `Unavailable` where nobody knows whether.

        ``again`` reads the caller from the database: another gateway may have seen the code a moment ago.
        """
        try:
            policy = await self._policy()
        except Conflict as error:
            if operation.name in MENDING:
                return
            raise Unavailable(f"Nobody knows what asks for a second factor: {error.detail}") from None
        if operation.name not in self._names and operation.permission not in self._names:
            return
        if principal.session_id is None:
            if policy.tokens == "refused":
                raise StepUpNeeded(ALL_REFUSED)
            if policy.tokens == "accounts" and principal.owner is None:
                raise StepUpNeeded(PERSONS_REFUSED)
            return
        life = timedelta(minutes=policy.step_up_minutes)
        if self._is_fresh(principal.factor_at, life):
            return
        found = await again()
        if found is not None and self._is_fresh(found.factor_at, life):
            return
        context.prompted = True
        # RFC 9470 answers so with 401, which browsers and programs here take for a session that is over.
        context.headers["WWW-Authenticate"] = (
            'Bearer error="insufficient_user_authentication", error_description="A fresh second factor is needed", '
            f'max_age="{int(life.total_seconds())}"'
        )
        raise StepUpNeeded(
            f"This needs a code of your second factor that you have shown in the last {policy.step_up_minutes} "
            f'minutes: POST {PATH} with {{"code": "…"}}, then send this once more. Without a second factor, begin one: '
            "POST /api/me/second-factor.",
            step_up=PATH,
            max_age_s=int(life.total_seconds()),
        )

    def _is_fresh(self, factor_at: datetime | None, life: timedelta) -> bool:
        return factor_at is not None and self._clock() - factor_at < life

    async def _policy(self) -> SecondFactorPolicy:
        """The policy in force. Raises `Unavailable`, and `Conflict` where what was published can't be read."""
        if self._known is not None and self._monotonic() - self._read_at_s < FRESH_SECONDS:
            return self._known
        async with self._turn:  # one reads for all who wait
            now_s = self._monotonic()
            if self._known is None or now_s - self._read_at_s >= FRESH_SECONDS:
                await self._read(now_s)
            assert self._known is not None  # noqa: S101  it was read, or reading has raised
            return self._known

    async def _read(self, now_s: float) -> None:
        try:
            if now_s - self._failed_at_s < FRESH_SECONDS:  # who waits behind one that failed does not wait as long
                raise TimeoutError
            async with asyncio.timeout(5):
                found = await policy_of(self._pool)
        except UNREACHABLE as error:  # a TimeoutError is one of them
            self._failed_at_s = self._monotonic() if now_s - self._failed_at_s >= FRESH_SECONDS else self._failed_at_s
            if self._known is not None and now_s - self._read_at_s < AWAY_SECONDS:
                return
            raise Unavailable(
                "Nobody knows now whether this asks for a second factor: the database can't be reached. Try again."
            ) from error
        self._known, self._read_at_s = found, now_s
        self._names, self._required_of = frozenset(found.step_up), frozenset(found.required_of)

    async def _on_published(self, _message: Msg) -> None:
        self._read_at_s = min(self._read_at_s, self._monotonic() - FRESH_SECONDS)
