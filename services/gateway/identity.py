"""Who a secret belongs to: looked up by its SHA-256, remembered for at most 5 s, dropped at once on events.

Crash here means: nothing is lost but the notes of when tokens were last used (at most a minute of them).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import asyncpg
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from libs.common.bus import NATS_ERRORS, Bus
from libs.common.cloudevents import DecodeError, decode
from libs.common.contracts.gateway.tokens import token_revoked
from libs.common.contracts.gateway.users import user_changed
from libs.common.contracts.roles import ROLES
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Unavailable
from libs.common.service import Clock
from libs.common.telemetry import log
from services.gateway.bootstrap import SECRET, digest_of
from services.gateway.domain.scope import Scope, narrow

CACHE_SECONDS = 5.0
MAX_KNOWN = 10_000
MAX_UNKNOWN = 5_000
USE_NOTED_EVERY = timedelta(minutes=1)

K = TypeVar("K")
V = TypeVar("V")

SELECT_CALLER = """
SELECT tokens.token_id, tokens.sites AS token_sites, tokens.expires_at, users.username, users.role, users.sites
FROM tokens JOIN users USING (username)
WHERE tokens.secret_sha256 = $1 AND tokens.revoked_at IS NULL AND users.active
"""
SELECT_SITE = "SELECT true FROM sites WHERE site = $1"
NOTE_USE = """
UPDATE tokens SET last_used_at = greatest(last_used_at, used.at)
FROM unnest($1::bigint[], $2::timestamptz[]) AS used (token_id, at) WHERE tokens.token_id = used.token_id
"""


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller with a valid token: ``sites`` is what user and token both allow."""

    username: str
    role: str
    sites: Scope
    token_id: int
    expires_at: datetime

    @property
    def permissions(self) -> frozenset[str]:
        """What the role may do; an unknown role may do nothing."""
        return ROLES.get(self.role, frozenset())


class Identity:
    """The lookup with its caches. ``monotonic`` is a clock in seconds that never steps back."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._monotonic = monotonic
        self._known: dict[bytes, tuple[Principal, float]] = {}
        self._unknown: dict[bytes, float] = {}
        self._sites: set[str] = set()
        self._noted: dict[int, datetime] = {}
        self._used: dict[int, datetime] = {}
        self._subscriptions: list[Subscription] = []

    async def start(self, bus: Bus) -> None:
        """Hear of revoked tokens and changed users, so that their cached answers go at once."""
        for event in (token_revoked, user_changed):
            subject = bus.topology.event_filter(None, event.name)
            self._subscriptions.append(await bus.nats.subscribe(subject, cb=self._on_change))

    async def stop(self) -> None:
        """Stop hearing, and store when tokens were last used."""
        for subscription in self._subscriptions:
            with contextlib.suppress(*NATS_ERRORS):  # if the connection is gone, so is the subscription
                await subscription.unsubscribe()
        await self.store_uses()

    async def by_secret(self, secret: str) -> Principal | None:
        """The caller, or None if the token is unknown, revoked, expired or its user inactive. Raises `Unavailable`."""
        if not SECRET.fullmatch(secret):
            return None
        digest, now_s = digest_of(secret), self._monotonic()
        if (cached := self._known.get(digest)) and cached[1] > now_s:
            principal = cached[0]
        elif self._unknown.get(digest, 0.0) > now_s:
            return None
        else:
            found = await self.look_up(digest)
            if found is None:
                _put(self._unknown, digest, now_s + CACHE_SECONDS, MAX_UNKNOWN)
                return None
            # Counted from before the lookup: a revocation that raced it is honoured within 5 s all the same.
            _put(self._known, digest, (found, now_s + CACHE_SECONDS), MAX_KNOWN)
            self._unknown.pop(digest, None)
            principal = found
        now = self._clock()
        if principal.expires_at <= now:
            return None
        if now - self._noted.get(principal.token_id, datetime.min.replace(tzinfo=now.tzinfo)) >= USE_NOTED_EVERY:
            _put(self._noted, principal.token_id, now, MAX_KNOWN)
            _put(self._used, principal.token_id, now, MAX_KNOWN)
        return principal

    async def look_up(self, digest: bytes) -> Principal | None:
        """The same straight from the database, without regard to expiry. Raises `Unavailable`."""
        try:
            row = await self._pool.fetchrow(SELECT_CALLER, digest, timeout=5)
        except UNREACHABLE as error:
            raise Unavailable("Your token can't be checked now: the database can't be reached. Try again.") from error
        if row is None:
            return None
        sites = narrow(row["sites"], row["token_sites"])
        return Principal(row["username"], row["role"], sites, row["token_id"], row["expires_at"])

    async def current(self, secret: str) -> Principal | None:
        """The caller as the database has it now, past every cache; None also if nobody can say."""
        try:
            found = await self.look_up(digest_of(secret))
        except Unavailable:
            return None
        return found if found is not None and found.expires_at > self._clock() else None

    async def site_exists(self, site: str) -> bool:
        """Whether there is such a site (sites are never deleted, so a yes holds). Raises `Unavailable`."""
        if site in self._sites:
            return True
        try:
            if not await self._pool.fetchval(SELECT_SITE, site, timeout=5):
                return False
        except UNREACHABLE as error:
            raise Unavailable("The site can't be checked now: the database can't be reached. Try again.") from error
        self._sites.add(site)
        return True

    async def store_uses(self) -> None:
        """Write when tokens were last used: one statement for all; lost without harm if the database is away."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._pool.execute(NOTE_USE, list(used), list(used.values()), timeout=5)
        except UNREACHABLE as error:
            log.warning("last use of tokens not stored", error=repr(error))

    async def keep_storing_uses(self) -> None:
        """Store uses once a minute until cancelled."""
        while True:
            await asyncio.sleep(USE_NOTED_EVERY.total_seconds())
            await self.store_uses()

    async def _on_change(self, message: Msg) -> None:
        try:
            event = decode(message.data, message.headers)
        except DecodeError:
            return  # the event's own consumers bury it; here it can't name anybody to forget
        data = event.data if isinstance(event.data, dict) else {}
        username, token_id = data.get("username"), data.get("token_id")
        for digest, (principal, _) in list(self._known.items()):
            if principal.token_id == token_id or (token_id is None and principal.username == username):
                del self._known[digest]
        if token_id is None:
            self._unknown.clear()  # a user that was made active again must not wait


def _put(table: dict[K, V], key: K, value: V, limit: int) -> None:
    """Insert as the newest; the oldest goes when the table is full."""
    table.pop(key, None)
    while len(table) >= limit:
        del table[next(iter(table))]
    table[key] = value
