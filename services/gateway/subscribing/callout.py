"""Lets subscribers onto the bus: the NATS server asks by auth callout, and the token is checked as at the edge.

What comes back is a user JWT with the rights of that one subscriber. None of them is in JetStream: whoever may pull or
acknowledge there names the subject of the answer, and JetStream publishes on it with rights of its own, so that an
acknowledgement "answered" on `$JS.API.STREAM.PURGE.COMMANDS` empties the queue. See `carrier` beside this file.

Connections end when the token, its user or the subscriber does: a look every few seconds, and at once when something
changes. Crash here means: they go on until another gateway looks, at most for the JWT's lifetime.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Any

import nats
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from libs.common.admin import service_url
from libs.common.bus import NATS_ERRORS, servers_of
from libs.common.contracts.gateway.subscribers import STREAM, subscriber_removed
from libs.common.contracts.gateway.tokens import token_revoked, token_rotated
from libs.common.contracts.gateway.users import user_changed
from libs.common.permissions import SYSTEM_USER, inbox_prefix, subscriber_inbox
from libs.common.postgres import UNREACHABLE
from libs.common.running import Running
from libs.common.telemetry import log
from libs.common.topology import Topology
from libs.common.user_jwt import BadClaims, public_key, read, sign
from services.gateway.domain.filters import names_of
from services.gateway.domain.narrowing import Narrowing
from services.gateway.domain.scope import within
from services.gateway.hearing import Hearing
from services.gateway.identity.callers import Identity, Principal
from services.gateway.identity.token_addresses import place_of
from services.gateway.identity.tokens import bounds_of
from services.gateway.identity.users import WORKS
from services.gateway.limits.memory import Limiter
from services.gateway.refusals import Refusals
from services.gateway.subscribing.durables import Durables, Wanted, wanted
from services.gateway.subscribing.subscribers import USER_PREFIX, visible

SUBJECT = "$SYS.REQ.USER.AUTH"
LIFETIME_S = 600
LIFETIME_WITHOUT_KICK_S = 30
LOOK_EVERY_S = 5.0
MAX_CONNECTIONS = 5  # of one subscriber
MAX_LISTED = 2048
NATS_ACCOUNT = "$G"
ROUTE = "nats"
SELECT_LIVE_TOKENS = f"""
SELECT tokens.token_id, tokens.sites, tokens.permissions, tokens.subjects, tokens.cidrs
FROM tokens JOIN users USING (username)
WHERE tokens.token_id = ANY($1::bigint[]) AND tokens.revoked_at IS NULL AND tokens.expires_at > $2 AND {WORKS}
"""  # noqa: S608  only a constant of ours is put in


class Refused(Exception):
    """Who asks to come in may not; the message is for the log, since the server tells a stranger nothing."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A connection of a subscriber, as the server lists it."""

    server: str
    cid: int
    user: str
    token_id: int


def rights(topology: Topology, subscriber_id: int) -> dict[str, Any]:
    """What a subscriber may publish and hear: its questions to the carrier, and its own inbox."""
    own, ns = f"{USER_PREFIX}{subscriber_id}", f"{topology.namespace}.subscriber"
    asks = [f"{ns}.CONSUMER.MSG.NEXT.{STREAM}.{own}", f"{ns}.CONSUMER.INFO.{STREAM}.{own}", f"{ns}.ACK.{own}"]
    return {"pub": {"allow": asks}, "sub": {"allow": [f"{subscriber_inbox(subscriber_id)}.>"]}}


class Callout:
    """The answers to the server, and the end of connections."""

    def __init__(self, running: Running, identity: Identity, durables: Durables, refusals: Refusals) -> None:
        settings = running.settings
        self._running, self._identity, self._durables, self._refusals = running, identity, durables, refusals
        self._strangers = Limiter(settings.anonymous_requests_per_minute)
        seed, password = settings.bus_account_seed, settings.bus_system_password
        self._seed = seed.get_secret_value() if seed else None
        self._issuer = public_key(self._seed) if self._seed else ""
        self._password = password.get_secret_value() if password else None
        self._system: Client | None = None
        self._woken = asyncio.Event()
        self._asking: Subscription | None = None
        self._hearing = Hearing()

    async def start(self) -> None:
        """Answer the server from now on, if this gateway has the key to."""
        if self._seed is None:
            return
        bus = self._running.bus
        queue = f"{bus.topology.namespace}-callout"
        self._asking = await bus.nats.subscribe(SUBJECT, queue=queue, cb=self._asked)
        await self._hearing.start(bus, self._wake, token_revoked, token_rotated, user_changed, subscriber_removed)

    async def stop(self) -> None:
        """Answer no more."""
        if self._asking is not None:
            with contextlib.suppress(*NATS_ERRORS):
                await self._asking.unsubscribe()
        await self._hearing.stop()
        if self._system is not None and not self._system.is_closed:
            await self._system.close()

    async def _wake(self, _message: Msg) -> None:
        self._woken.set()

    async def _asked(self, message: Msg) -> None:
        try:
            claims = read(message.data)
            asked, user = claims["nats"], str(claims["nats"]["user_nkey"])
            server = str(asked["server_id"]["id"])
        except (BadClaims, KeyError, TypeError) as error:
            log.warning("auth callout that can't be read", error=repr(error))
            return
        answer: dict[str, Any] = {"type": "authorization_response", "version": 2}
        options = asked.get("connect_opts") or {}
        name = str(options.get("user") or "")[:100]
        try:
            answer["jwt"] = await self._admit(name, str(options.get("pass") or ""), asked, user)
        except Refused as refusal:
            log.info("subscriber refused", subscriber=name, reason=str(refusal))
            self._refusals.count(f"address:{place_of(_host(asked))}", ROUTE, 401)
            answer["error"] = str(refusal)
        now = int(time.time())
        assert self._seed is not None  # noqa: S101  nobody asks a gateway without it
        response = sign(self._seed, {"sub": user, "aud": server, "iat": now, "nats": answer})
        with contextlib.suppress(*NATS_ERRORS):
            await message.respond(response.encode())

    async def _admit(self, name: str, secret: str, asked: dict[str, Any], key: str) -> str:
        """The JWT for who comes in. Raises `Refused`."""
        if not name.startswith(USER_PREFIX) or not name.removeprefix(USER_PREFIX).isdecimal() or len(name) > 30:
            self._limit(asked)
            raise Refused("the user name is not that of a subscriber")
        if self._strangers.spent(place_of(_host(asked))):
            raise Refused("too many wrong tokens from this address")
        principal = await self._identity.current(secret, _host(asked))
        if principal is None:
            self._limit(asked)
            raise Refused("the token is unknown, expired or revoked, or its user is not active")
        number = int(name.removeprefix(USER_PREFIX))
        try:
            found = await wanted(self._running.pool, number)
            reason = why_not(found[0] if found else None, principal)
            if reason:
                raise Refused(reason)
            guests = [guest for guest in await self._guests() if guest.user == name]
            if len(guests) >= MAX_CONNECTIONS:
                raise Refused(f"it has {MAX_CONNECTIONS} connections already")
            await self._durables.ensure(found[0])
        except (*UNREACHABLE, *NATS_ERRORS) as error:
            raise Refused(f"it can't be checked now: {error!r}") from error
        now = int(time.time())
        left = (principal.expires_at - self._running.clock()).total_seconds()
        longest = LIFETIME_S if self._password else LIFETIME_WITHOUT_KICK_S
        assert self._seed is not None  # noqa: S101  nobody asks a gateway without it
        limits = {"subs": 50, "data": -1, "payload": 4096}
        user = {"type": "user", "version": 2, **limits, **rights(self._running.bus.topology, number)}
        claims = {"sub": key, "aud": NATS_ACCOUNT, "name": f"{name}/{principal.token_id}", "iat": now, "nats": user}
        return sign(self._seed, {**claims, "exp": now + max(1, min(longest, int(left)))})

    def _limit(self, asked: dict[str, Any]) -> None:
        if not self._strangers.hit(place_of(_host(asked))).allowed:
            raise Refused("too many wrong tokens from this address")

    async def keep(self) -> None:
        """End the connections that may be no more, every few seconds until cancelled."""
        if self._seed is None or self._password is None:
            return
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_EVERY_S)
            self._woken.clear()
            try:
                await self.look()
            except (*UNREACHABLE, *NATS_ERRORS) as error:
                log.warning("subscribers' connections not looked at", error=repr(error))

    async def look(self) -> None:
        """End each connection whose token, user or subscriber is no longer good for it."""
        guests = await self._guests()
        if not guests:
            return
        tokens = sorted({guest.token_id for guest in guests})
        pool = self._running.pool
        rows = await pool.fetch(SELECT_LIVE_TOKENS, tokens, self._running.clock(), timeout=5)
        live = {row["token_id"]: row for row in rows}
        known = {one.user: one for one in await wanted(pool)}
        for guest in guests:
            one = known.get(guest.user)
            token = live.get(guest.token_id)
            if one is None or token is None or not may_stay(one, token["sites"], bounds_of(token)):
                await self._end(guest)

    async def _guests(self) -> list[Guest]:
        """The connections of subscribers on every server."""
        found: list[Guest] = []
        if (system := await self._connection()) is None:
            return found
        asked = orjson.dumps({"auth": True, "acc": NATS_ACCOUNT, "limit": MAX_LISTED})
        inbox = system.new_inbox()
        answers = await system.subscribe(inbox)
        try:
            await system.publish("$SYS.REQ.SERVER.PING.CONNZ", asked, reply=inbox)
            wait = 2.0
            while True:
                document = orjson.loads((await answers.next_msg(wait)).data)
                wait = 0.2  # the other servers of a cluster answer about as fast
                server = str(document["server"]["id"])
                for row in document["data"].get("connections") or ():
                    user, slash, token = str(row.get("authorized_user") or "").partition("/")
                    if slash and user.startswith(USER_PREFIX):
                        found.append(Guest(server, int(row["cid"]), user, int(token)))
                if not document["server"].get("cluster"):
                    return found
        except (TimeoutError, nats.errors.TimeoutError):
            return found
        finally:
            await answers.unsubscribe()

    async def _end(self, guest: Guest) -> None:
        log.info("subscriber's connection ended", subscriber=guest.user, token=guest.token_id)
        if (system := await self._connection()) is not None:
            # As a question: the server does nothing for one that wants no answer.
            await system.request(f"$SYS.REQ.SERVER.{guest.server}.KICK", orjson.dumps({"cid": guest.cid}), timeout=2)

    async def _connection(self) -> Client | None:
        """As the user of the server's own account; None without its password."""
        if self._password is None:
            return None
        if self._system is None:
            address = self._running.settings.nats_url
            assert address is not None  # noqa: S101  this service is connected by it
            url = service_url(address.get_secret_value(), SYSTEM_USER, self._password)
            self._system = await nats.connect(
                servers_of(url),
                user=SYSTEM_USER,
                password=self._password,
                name="gateway-system",
                inbox_prefix=inbox_prefix("gateway"),
                error_cb=_say,
                connect_timeout=5,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.25,
            )
        return self._system


async def _say(error: Exception) -> None:
    log.warning("nats system connection", error=repr(error))


def why_not(one: Wanted | None, principal: Principal) -> str:
    """Why this caller may not come in as this subscriber; empty if it may."""
    if one is None or one.row["removed_at"] is not None or one.row["owner"] != principal.username:
        return "this user has no such subscriber"
    if not may_stay(one, principal.sites, principal.narrowing):
        return "the token or its user may see less than the subscriber"
    return ""


def may_stay(one: Wanted, token_sites: tuple[str, ...] | list[str], bounds: Narrowing) -> bool:
    """Whether a token with this scope may be connected as the subscriber now. Events are of any subject."""
    if not (one.live and one.sites and within(one.sites, token_sites)) or bounds.subjects is not None:
        return False
    role, own = one.row["role"], one.row["own_permissions"]
    seen = visible(role, None, own)
    return bool(seen) and names_of(one.row["types"], seen) <= visible(role, bounds.permissions, own)


def _host(asked: dict[str, Any]) -> str:
    return str((asked.get("client_info") or {}).get("host") or "unknown")[:45]
