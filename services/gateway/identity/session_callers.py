"""Who a session's cookie, or a login's token, belongs to: looked up by its SHA-256, remembered for a second, dropped on
events.

Unlike a token, a session is not let in while the database is away: a person can wait.
Crash here means: at most a minute of notes of when sessions were last seen is lost.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import asyncpg
from nats.aio.msg import Msg
from starlette.requests import Request

from libs.common.bus import Bus
from libs.common.cloudevents import DecodeError, decode
from libs.common.contracts.gateway.second_factors import factor_confirmed, factor_due, factor_removed
from libs.common.contracts.gateway.session_policy import SESSION_POLICY
from libs.common.contracts.gateway.sessions import session_ended
from libs.common.contracts.gateway.step_up import session_stepped_up
from libs.common.contracts.gateway.token_policy import TOKEN_POLICY
from libs.common.contracts.gateway.tokens import token_revoked, token_rotated
from libs.common.contracts.gateway.users import user_changed
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Forbidden, Unauthorized, Unavailable
from libs.common.service import Clock
from libs.common.telemetry import log
from libs.judge.token_text import ACCESS, has_form
from services.gateway.context import Context, context_of
from services.gateway.domain.powers import live
from services.gateway.domain.scope import ALL, narrow
from services.gateway.domain.second_factors import Standing
from services.gateway.domain.sessions import (
    CSRF_HEADER,
    SAFE_METHODS,
    Ending,
    cookie,
    cookie_name,
    could_be_session,
    csrf_token,
    ending,
)
from services.gateway.domain.token_lives import ends
from services.gateway.hearing import Hearing
from services.gateway.identity.bootstrap import digest_of
from services.gateway.identity.callers import ENDINGS as ENDINGS_OF_TOKENS
from services.gateway.identity.callers import Principal, own_of, powers_within
from services.gateway.identity.powers import POWERS
from services.gateway.identity.token_addresses import place_of
from services.gateway.identity.token_lives import life_in, rules_in
from services.gateway.identity.tokens import bounds_of

FRESH_SECONDS = 1.0
REFUSED_S = 5.0
MAX_KNOWN = 10_000
STORED_EVERY_S = 60.0

K = TypeVar("K")
V = TypeVar("V")

# What was opened with a token may no more than it, and ends with it.
SELECT_CALLER = f"""
SELECT sessions.session_id, sessions.ends_at, sessions.last_seen_at, sessions.idle_minutes, users.username, users.role,
    users.sites, users.own_permissions, {POWERS}, sessions.program, sessions.factor_at,
    sessions.amr, sessions.acr,
    (SELECT since FROM second_factor_due WHERE second_factor_due.username = users.username) AS due_since,
    EXISTS (SELECT FROM second_factor WHERE second_factor.username = users.username
        AND confirmed_at IS NOT NULL) AS has_factor, logins.access_until,
    tokens.token_id, tokens.sites AS token_sites, tokens.permissions, tokens.subjects, tokens.cidrs,
    tokens.created_at, tokens.expires_at, tokens.standing,
    greatest(tokens.idle_from, tokens.last_used_at) AS active_at,
    (SELECT seen_at FROM sign_in_link WHERE sign_in_link.username = users.username) AS signed_in_at,
    (SELECT content FROM document_version WHERE kind = 'token_policy' AND site = 'global'
     ORDER BY version DESC LIMIT 1) AS policy
FROM sessions JOIN users USING (username) LEFT JOIN tokens ON tokens.token_id = sessions.token_id
    LEFT JOIN logins ON logins.session_id = sessions.session_id
WHERE sessions.secret_sha256 = $1 AND sessions.ended_at IS NULL AND users.active AND users.owner IS NULL
    AND tokens.revoked_at IS NULL
"""  # noqa: S608  only a constant of ours is put in
NOTE_SEEN = """
UPDATE sessions SET last_seen_at = seen.at, address = seen.address
FROM unnest($1::bigint[], $2::timestamptz[], $3::text[]) AS seen (session_id, at, address)
WHERE sessions.session_id = seen.session_id AND last_seen_at < seen.at AND ended_at IS NULL
"""
ENDINGS: dict[Ending, str] = {
    "idle": "Nobody used your session for too long, so it has ended. Sign in again.",
    "over": "Your session has reached its longest life. Sign in again.",
}
WITH_IT = "Your session was opened with a token, and has ended with it."
RENEW = "This token of a login is over, or was renewed. Renew it (POST /api/logins/renew), or log in again."
UNKNOWN = "Your session is unknown or has ended, or your user is not active. Sign in again."
NO_CSRF = (
    f"A session changes things only with the header {CSRF_HEADER}: send what the answers to your requests have in "
    "that header."
)


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    last_seen: datetime
    idle: timedelta
    fresh_until_s: float
    access_until: datetime | None


class Sessions:
    """The lookup with its memory. ``monotonic`` is a clock in seconds that never steps back."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool, self._clock, self._monotonic = pool, clock, monotonic
        self._known: dict[bytes, _Known] = {}
        self._refused: dict[bytes, float] = {}
        self._seen: dict[int, tuple[datetime, str]] = {}
        self._unstored: dict[int, tuple[datetime, str]] = {}
        self._hearing = Hearing()

    async def start(self, bus: Bus) -> None:
        """Hear of what ends sessions, so that what is remembered of them goes at once."""
        ends = (
            session_ended,
            session_stepped_up,
            factor_confirmed,
            factor_due,
            factor_removed,
            token_revoked,
            token_rotated,
            user_changed,
        )
        await self._hearing.start(bus, self._on_change, *ends, SESSION_POLICY.published, TOKEN_POLICY.published)

    async def stop(self) -> None:
        """Stop hearing, and store when sessions were last seen."""
        await self._hearing.stop()
        await self.store_seen()

    def shown(self, request: Request) -> str | None:
        """The secret of the cookie; None where there is none, or a token was sent: that says more."""
        if "authorization" in request.headers or "x-admin-token" in request.headers:
            return None
        name = name_for(request)
        return None if name is None else request.cookies.get(name)

    async def admit(self, request: Request, secret: str, before_lookup: Callable[[], None] | None = None) -> Principal:
        """The caller. Its answer tells the page what to send with what changes something.

        Raises `Unauthorized` (and has the cookie removed), `Forbidden` without that, and `Unavailable`.
        ``before_lookup`` is called before the database is asked for a secret that is not remembered, and may raise.
        """
        context = context_of(request)
        try:
            if not could_be_session(secret):  # the token of a login is no cookie
                raise Unauthorized(UNKNOWN)
            principal = await self._current(secret, before_lookup)
        except Unauthorized:
            name = name_for(request)
            assert name is not None  # noqa: S101  the secret came in a cookie of that name
            context.headers["Set-Cookie"] = cookie(name, "", 0)
            raise
        context.who = principal.username  # also of what is refused from here on
        expected = csrf_token(secret)
        context.headers[CSRF_HEADER] = expected
        if request.method not in SAFE_METHODS:
            said = request.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(said.encode(), expected.encode()):
                raise Forbidden(NO_CSRF)
        if not principal.narrowing.works_from(context.address):
            raise Forbidden(f"The token of this session does not work from {context.address}.")
        self._note(principal, context)
        return principal

    async def admit_program(
        self, context: Context, secret: str, before_lookup: Callable[[], None] | None = None
    ) -> Principal:
        """The caller, who comes with the token of a login. Raises `Unauthorized`, `Forbidden` and `Unavailable`."""
        principal = await self._current(secret, before_lookup)
        if not principal.narrowing.works_from(context.address):
            raise Forbidden(f"The token of this login does not work from {context.address}.")
        self._note(principal, context)
        return principal

    def _note(self, principal: Principal, context: Context) -> None:
        assert principal.session_id is not None  # noqa: S101  it is a session's
        seen = self._clock(), place_of(context.address)
        for notes in (self._seen, self._unstored):
            _put(notes, principal.session_id, seen)

    async def current(self, secret: str) -> Principal | None:
        """The caller as the database has it now; None also if nobody can say. That somebody listens is no use."""
        try:
            return await self._current(secret, fresh=True)
        except (Unauthorized, Unavailable):
            return None

    async def _current(
        self, secret: str, before_lookup: Callable[[], None] | None = None, *, fresh: bool = False
    ) -> Principal:
        program = has_form(ACCESS, secret)
        if not program and not could_be_session(secret):
            raise Unauthorized(UNKNOWN)
        digest, now_s = digest_of(secret), self._monotonic()
        known = self._known.get(digest)
        if known is None or fresh or known.fresh_until_s <= now_s:
            if known is None and not fresh:
                if self._refused.get(digest, 0.0) > now_s:
                    raise Unauthorized(RENEW if program else UNKNOWN)
                if before_lookup is not None:
                    before_lookup()
            self._known.pop(digest, None)
            known = await self._look_up(digest, now_s, RENEW if program else UNKNOWN)
            _put(self._known, digest, known)
        number = known.principal.session_id or 0
        last_seen = max(known.last_seen, self._seen.get(number, (known.last_seen, ""))[0])
        if why := ending(last_seen, known.idle, known.principal.expires_at, self._clock()):
            raise Unauthorized(ENDINGS[why])
        if known.access_until is not None and self._clock() >= known.access_until:
            raise Unauthorized(RENEW)
        return known.principal.at(self._clock())

    async def _look_up(self, digest: bytes, now_s: float, unknown: str) -> _Known:
        try:
            row = await self._pool.fetchrow(SELECT_CALLER, digest, timeout=5)
        except UNREACHABLE as error:
            raise Unavailable("Your session can't be checked now: the database can't be reached. Try again.") from error
        if row is None:
            _put(self._refused, digest, now_s + REFUSED_S)
            raise Unauthorized(unknown)
        by_token, until = row["token_id"] is not None, row["ends_at"]
        within = row["token_sites"] if by_token else [ALL]
        if by_token:
            # What the policy of tokens ends, ends what was opened with it. Its use by the session is none of the token.
            at, why = ends(life_in(row), rules_in(row["policy"]))
            if at <= self._clock():
                raise Unauthorized(f"{WITH_IT} {ENDINGS_OF_TOKENS[why]}")
            until = min(until, at)
        principal = Principal(
            row["username"],
            row["role"],
            narrow(row["sites"], within),
            row["token_id"] or 0,
            until,
            bounds_of(row),
            session_id=row["session_id"],
            own_permissions=own_of(row),
            powers=live(powers_within(row, within), self._clock()),
            program=row["program"],
            factor_at=row["factor_at"],
            standing=Standing(row["has_factor"], row["due_since"], tuple(row["amr"] or ()), row["acr"]),
        )
        # Counted from before the lookup: an end that raced it is honoured within a second all the same.
        idle = timedelta(minutes=row["idle_minutes"])
        return _Known(principal, row["last_seen_at"], idle, now_s + FRESH_SECONDS, row["access_until"])

    async def store_seen(self) -> None:
        """Write when sessions were last seen: one statement for all; lost without harm if the database is away."""
        unstored, self._unstored = self._unstored, {}
        if not unstored:
            return
        rows = [(number, at, address) for number, (at, address) in sorted(unstored.items())]
        try:
            await self._pool.execute(NOTE_SEEN, *(list(column) for column in zip(*rows, strict=True)), timeout=5)
        except UNREACHABLE as error:
            log.warning("last use of sessions not stored", error=repr(error))

    async def keep_storing_seen(self) -> None:
        """Store once a minute until cancelled."""
        while True:
            await asyncio.sleep(STORED_EVERY_S)
            await self.store_seen()

    async def _on_change(self, message: Msg) -> None:
        try:
            event = decode(message.data, message.headers)
        except DecodeError:
            return  # the event's own consumers bury it
        if event.name in (SESSION_POLICY.published.name, TOKEN_POLICY.published.name):
            self._known.clear()
            return
        self._refused.clear()  # somebody who was made active again must not wait
        data = event.data if isinstance(event.data, dict) else {}
        for digest, known in list(self._known.items()):
            mine = known.principal
            if "session_id" in data:
                gone = mine.session_id == data["session_id"]
            elif "token_id" in data:
                gone = mine.token_id == data["token_id"]
            else:
                gone = mine.username == data.get("username")
            if gone:
                del self._known[digest]


def name_for(request: Request) -> str | None:
    """The cookie's name for who came so; see `cookie_name`."""
    return cookie_name(request.scope["scheme"], request.headers.get("host", ""), context_of(request).address)


def _put(table: dict[K, V], key: K, value: V) -> None:
    """Insert as the newest; the oldest goes when the table is full."""
    table.pop(key, None)
    while len(table) >= MAX_KNOWN:
        del table[next(iter(table))]
    table[key] = value
