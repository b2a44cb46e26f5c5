"""Who a secret belongs to: looked up by its SHA-256, remembered for a second, dropped at once on events.

What is remembered longer serves only while the database can't be reached, since then nobody can revoke either; and for
at most 5 s. Crash here means: nothing is lost but the notes of when tokens were last used (at most a minute of them).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeVar

import asyncpg
from nats.aio.msg import Msg

from libs.common.bus import Bus
from libs.common.cloudevents import DecodeError, decode
from libs.common.contracts.gateway.accounts import account_changed
from libs.common.contracts.gateway.token_policy import TOKEN_POLICY
from libs.common.contracts.gateway.tokens import token_revoked, token_rotated
from libs.common.contracts.gateway.users import user_changed
from libs.common.contracts.roles import PEOPLE_ONLY, held_by
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Forbidden, Unauthorized, Unavailable
from libs.common.service import Clock
from libs.common.telemetry import log
from libs.judge.token_text import could_be_token
from services.gateway.domain.narrowing import ALWAYS, WHOLE, Narrowing
from services.gateway.domain.powers import held_at, held_throughout, live
from services.gateway.domain.rights import Power, sites_where
from services.gateway.domain.scope import Scope, narrow
from services.gateway.domain.second_factors import Standing
from services.gateway.domain.token_lives import Ending, ends, last_day
from services.gateway.hearing import Hearing
from services.gateway.identity.bootstrap import digest_of
from services.gateway.identity.powers import POWERS, powers_in
from services.gateway.identity.token_addresses import Addresses
from services.gateway.identity.token_lives import life_in, rules_in
from services.gateway.identity.tokens import bounds_of

FRESH_SECONDS = 1.0
CACHE_SECONDS = 5.0
MAX_KNOWN = 10_000
MAX_REFUSED = 5_000
USE_NOTED_EVERY = timedelta(minutes=1)

K = TypeVar("K")
V = TypeVar("V")

SELECT_CALLER = f"""
SELECT tokens.token_id, tokens.sites AS token_sites, tokens.permissions, tokens.subjects, tokens.cidrs,
    tokens.created_at, tokens.expires_at, tokens.standing,
    greatest(tokens.idle_from, tokens.last_used_at) AS active_at, users.username, users.role, users.sites,
    users.own_permissions, {POWERS}, owners.username AS owner, owners.role AS owner_role, owners.sites AS owner_sites,
    owners.own_permissions AS owner_permissions,
    (SELECT seen_at FROM sign_in_link WHERE sign_in_link.username = users.username) AS signed_in_at,
    (SELECT content FROM document_version WHERE kind = 'token_policy' AND site = 'global'
     ORDER BY version DESC LIMIT 1) AS policy
FROM tokens JOIN users USING (username) LEFT JOIN users AS owners ON owners.username = users.owner
WHERE tokens.secret_sha256 = $1 AND tokens.revoked_at IS NULL AND users.active
    AND (users.owner IS NULL OR owners.active)
"""  # noqa: S608  only a constant of ours is put in
SELECT_SITE = "SELECT true FROM sites WHERE site = $1"
# What a gateway still had in mind of somebody who was erased meanwhile is not written once more.
NOTE_USE = """
UPDATE tokens SET last_used_at = used.at, last_used_address = used.address
FROM unnest($1::bigint[], $2::timestamptz[], $3::text[]) AS used (token_id, at, address)
WHERE tokens.token_id = used.token_id AND (last_used_at IS NULL OR last_used_at < used.at) AND NOT EXISTS (
    SELECT FROM users WHERE users.username = tokens.username AND NOT active AND erased_at IS NOT NULL
)
"""
ENDINGS: dict[Ending, str] = {
    "expired": "The token has expired, or was rotated and its overlap is over. Issue another.",
    "idle": "Nobody used the token for too long (max_idle_days of the policy of tokens). Issue another.",
    "sign_in": "Whose token it is has not signed in with the provider for too long (max_days_without_sign_in of the "
    "policy of tokens). Sign in; then it works again within seconds.",
    "age": "The token is older than tokens may live (max_ttl_days of the policy of tokens). Issue another.",
    "rotation": "The token is older than tokens may get (rotate_after_days of the policy of tokens). Issue another.",
}


class FromElsewhere(Forbidden):
    """A good token that does not work from there. ``who``: whose it is, and so in whose name the refusal is counted."""

    def __init__(self, who: str, detail: str) -> None:
        super().__init__(detail)
        self.who = who


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller with a valid token: ``sites`` is what user and token both allow, ``narrowing`` what else binds it.

    ``session_id``: it came with a session; then ``token_id`` is what that was opened with, 0 if with none.
    ``owner``: the person who answers for a service account, and beyond whose role and sites it does not reach.
    ``own_permissions``: what the role holds, if it is one of the installation's own.
    ``powers``: roles held beside that one, each at its own sites, as far as the token; ``held``: see `acting`, after
    which ``powers`` has the role itself, too. ``program``: the session is a program's login.
    ``factor_at``: when a second factor was shown in the session last; ``standing``: what is known of having one.
    """

    username: str
    role: str
    sites: Scope
    token_id: int
    expires_at: datetime
    narrowing: Narrowing = WHOLE
    owner: str | None = None
    session_id: int | None = None
    own_permissions: frozenset[str] | None = None
    powers: tuple[Power, ...] = ()
    held: frozenset[str] | None = None
    program: bool = False
    factor_at: datetime | None = None
    standing: Standing | None = None

    @property
    def key(self) -> str:
        """What its requests are counted by: whoever has many tokens and sessions has one limit all the same."""
        return f"user {self.username}"

    @property
    def came_with(self) -> str:
        """What a sentence calls that which the caller came with."""
        return "token" if self.session_id is None else "session"

    @property
    def permissions(self) -> frozenset[str]:
        """What the role may do, as far as the token may; an unknown role may do nothing."""
        if self.held is not None:
            return self.held
        return permissions_of(self.role, self.narrowing.permissions, self.own_permissions)

    def may(self, permission: str) -> bool:
        """Whether the token and a role hold the permission, wherever that is; see `acting`."""
        if self.held is not None:
            return permission in self.held
        own = permission in held_by(self.role, self.own_permissions)
        held = own or any(permission in power.permissions for power in self.powers)
        return held and self.narrowing.allows(permission)

    def at(self, now: datetime) -> Principal:
        """Without what is over by now."""
        if not self.powers:
            return self
        return replace(self, powers=live(self.powers, now))

    def acting(self, permission: str, site: str | None = None) -> Principal:
        """The same for one deed: ``sites`` are those where some role holds the permission, ``permissions`` what is
        held at all of them, or at that one site.
        """
        if not self.powers:
            return self
        every = self.powers
        if self.held is None:
            own = Power(self.role, held_by(self.role, self.own_permissions), self.sites)
            allows = self.narrowing.allows
            every = tuple(replace(one, permissions=frozenset(filter(allows, one.permissions))) for one in (own, *every))
        if site is not None:
            return replace(self, sites=(site,), held=held_at(every, site), powers=every)
        sites = sites_where(every, permission)
        return replace(self, sites=sites, held=held_throughout(every, sites), powers=every)


@lru_cache(maxsize=1024)
def permissions_of(
    role: str, bound: frozenset[str] | None, own_permissions: frozenset[str] | None = None
) -> frozenset[str]:
    """What a role holds, as far as a token is bound."""
    held = held_by(role, own_permissions)
    return held if bound is None else held & (bound | ALWAYS)


class Identity:
    """The lookup with its caches. ``monotonic`` is a clock in seconds that never steps back."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._monotonic = monotonic
        self._known: dict[bytes, tuple[Principal, float]] = {}
        self._refused: dict[bytes, tuple[float, str | None]] = {}
        self._sites: set[str] = set()
        self._noted: dict[int, tuple[datetime, str]] = {}
        self._used: dict[int, tuple[datetime, str]] = {}
        self._addresses = Addresses()
        self._hearing = Hearing()

    async def start(self, bus: Bus) -> None:
        """Hear of revoked tokens and changed users, so that their cached answers go at once."""
        changes = (token_revoked, token_rotated, user_changed, account_changed, TOKEN_POLICY.published)
        await self._hearing.start(bus, self._on_change, *changes)

    async def stop(self) -> None:
        """Stop hearing, and store when tokens were last used."""
        await self._hearing.stop()
        await self.store_uses()

    async def by_secret(
        self, secret: str, address: str, before_lookup: Callable[[], None] | None = None
    ) -> Principal | None:
        """The caller, or None if the token is unknown or revoked or its user inactive.

        Raises `Unauthorized` for a token that is over, saying why, `Forbidden` from where it does not work, and
        `Unavailable`. ``address`` is noted. ``before_lookup`` is called before the database is asked for a secret that
        is not remembered, and may raise.
        """
        if not could_be_token(secret):
            return None
        digest, now_s = digest_of(secret), self._monotonic()
        principal, fresh_until = self._known.get(digest, (None, 0.0))
        if principal is None or fresh_until <= now_s:
            until, reason = self._refused.get(digest, (0.0, None))
            if until > now_s:
                if reason is not None:
                    raise Unauthorized(reason)
                return None
            if principal is None and before_lookup is not None:
                before_lookup()
            principal = await self._look_again(digest, now_s)
            if principal is None:
                return None
        now = self._clock()
        if principal.expires_at <= now:
            raise Unauthorized(ENDINGS["expired"])
        principal = principal.at(now)
        if not principal.narrowing.works_from(address):
            why = f"This token does not work from {address}; issue one whose cidrs hold that address."
            raise FromElsewhere(principal.username, why)
        self._note_use(principal.token_id, now, address)
        return principal

    async def _look_again(self, digest: bytes, now_s: float) -> Principal | None:
        remembered, fresh_until = self._known.get(digest, (None, 0.0))
        try:
            found = await self.look_up(digest)
        except Unavailable:
            if remembered is not None and now_s < fresh_until - FRESH_SECONDS + CACHE_SECONDS:
                return remembered
            raise
        except Unauthorized as refusal:
            self._refuse(digest, now_s, refusal.detail)
            raise
        if found is None:
            self._refuse(digest, now_s, None)
            return None
        # Counted from before the lookup: a revocation that raced it is honoured within a second all the same.
        _put(self._known, digest, (found, now_s + FRESH_SECONDS), MAX_KNOWN)
        self._refused.pop(digest, None)
        return found

    def _refuse(self, digest: bytes, now_s: float, reason: str | None) -> None:
        self._known.pop(digest, None)
        _put(self._refused, digest, (now_s + CACHE_SECONDS, reason), MAX_REFUSED)

    def _note_use(self, token_id: int, now: datetime, address: str) -> None:
        """Once a minute, and when it comes from another address; what was noted is stored once a minute."""
        noted = self._noted.get(token_id)
        if noted is None or noted[1] != address or now - noted[0] >= USE_NOTED_EVERY:
            _put(self._noted, token_id, (now, address), MAX_KNOWN)
            _put(self._used, token_id, (now, address), MAX_KNOWN)
            self._addresses.note(token_id, address, now)

    async def look_up(self, digest: bytes) -> Principal | None:
        """The same straight from the database. Raises `Unauthorized` for a token that is over, and `Unavailable`."""
        try:
            row = await self._pool.fetchrow(SELECT_CALLER, digest, timeout=5)
        except UNREACHABLE as error:
            raise Unavailable("Your token can't be checked now: the database can't be reached. Try again.") from error
        if row is None:
            return None
        rules, life = rules_in(row["policy"]), life_in(row)
        at, ending = ends(life, rules)
        if at <= self._clock():
            raise Unauthorized(ENDINGS[ending])
        sites, bounds = narrow(row["sites"], row["token_sites"]), bounds_of(row)
        if row["owner"] is not None:
            sites, bounds = narrow(sites, row["owner_sites"]), _of_account(bounds, row)
        until = last_day(life, rules)
        given = (row["username"], row["role"], sites, row["token_id"], until, bounds, row["owner"])
        return Principal(
            *given, own_permissions=own_of(row), powers=live(powers_within(row, row["token_sites"]), self._clock())
        )

    async def current(self, secret: str, address: str) -> Principal | None:
        """The caller as the database has it now, past every cache; None also if nobody can say. Notes the address."""
        if not could_be_token(secret):
            return None
        try:
            found = await self.look_up(digest_of(secret))
        except (Unauthorized, Unavailable):
            return None
        if found is not None and not found.narrowing.works_from(address):
            return None
        if found is not None:
            self._note_use(found.token_id, self._clock(), address)
        return found

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
            rows = sorted((token_id, at, address) for token_id, (at, address) in used.items())
            await self._pool.execute(NOTE_USE, *(list(column) for column in zip(*rows, strict=True)), timeout=5)
            await self._addresses.store(self._pool)
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
        if event.name == TOKEN_POLICY.published.name:
            self._known.clear()
            self._refused.clear()
            return
        data = event.data if isinstance(event.data, dict) else {}
        token_id, names = data.get("token_id"), {data.get("username"), data.get("actor")} - {None}
        for digest, (principal, _) in list(self._known.items()):
            # A person's accounts reach as far as the person does.
            mine = principal.username in names or principal.owner in names
            if principal.token_id == token_id or (token_id is None and mine):
                del self._known[digest]
        if token_id is None:
            self._refused.clear()  # a user that was made active again must not wait


def own_of(row: asyncpg.Record) -> frozenset[str] | None:
    """What the user's role holds, if it is one of the installation's own."""
    return None if row["own_permissions"] is None else frozenset(row["own_permissions"])


def powers_within(row: asyncpg.Record, sites: Iterable[str]) -> tuple[Power, ...]:
    """What the user holds beside the role, at these sites."""
    return tuple(replace(power, sites=narrow(power.sites, sites)) for power in powers_in(row["powers"]))


def _of_account(bounds: Narrowing, row: asyncpg.Record) -> Narrowing:
    """What binds an account: its token, what its owner may now, and what takes a person."""
    held = held_by(row["owner_role"], row["owner_permissions"]) - PEOPLE_ONLY
    return replace(bounds, permissions=held if bounds.permissions is None else bounds.permissions & held)


def _put(table: dict[K, V], key: K, value: V, limit: int) -> None:
    """Insert as the newest; the oldest goes when the table is full."""
    table.pop(key, None)
    while len(table) >= limit:
        del table[next(iter(table))]
    table[key] = value
