"""``GET /api/events``: what happens, live, as server-sent events (WHATWG HTML, "Server-sent events").

Each connection has a pull consumer of its own without acknowledgements: it asks for more only when the reader took what
it had, so that a slow reader costs no memory here and is dropped after 20 s. Crash here means: readers reconnect with
``Last-Event-ID`` and miss nothing.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import nats.errors
import nats.js.errors
import orjson
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo
from nats.js.client import JetStreamContext
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from libs.common import contracts
from libs.common.bus import NATS_ERRORS, Bus
from libs.common.contracts.base import Event
from libs.common.contracts.roles import GUARDED
from libs.common.problems import Forbidden, Invalid, TooMany
from libs.common.telemetry import log
from services.gateway import cdevents as cdevent
from services.gateway.access import Access
from services.gateway.bodies import read_query
from services.gateway.context import context_of
from services.gateway.domain.scope import ALL, covers
from services.gateway.identity.callers import Principal

MAX_STREAMS = 100
MAX_STREAMS_PER_CALLER = 10
MAX_TYPES = 10
MAX_SITES = 10
MAX_FILTERS = 50  # more subjects than this are sorted out here instead of by the server
FETCH = 50
FETCH_S = 2.0
CHECK_TOKEN_EVERY_S = 2.5  # with one fetch between checks a revoked token is out within 5 s
CHECK_CONSUMER_EVERY_S = 10.0
SEND_TIMEOUT_S = 20.0
HEARTBEAT_S = 15.0
GIVE_UP_AFTER_S = 30.0
_POSITION = re.compile(r"(\d{1,12})-(\d{1,19})")


@dataclass(frozen=True, slots=True)
class Filter:
    """What a reader asked for and may see: ``sites`` may be ``*``, ``types`` empty means all.

    ``hidden`` is what they may not be told at a site. ``cdevents``: as CDEvents.
    """

    sites: tuple[str, ...]
    types: tuple[str, ...]
    hidden: Callable[[str], tuple[re.Pattern[str], ...]]
    cdevents: bool = False

    def passes(self, site: str, name: str) -> bool:
        """Whether an event on this site with this name may be shown."""
        if not covers(self.sites, site) or (self.types and name not in self.types):
            return False
        return not any(pattern.fullmatch(name) for pattern in self.hidden(site))


class Streams:
    """The open streams of this process."""

    def __init__(self, access: Access, bus: Bus, stopping: asyncio.Event, public_url: str | None) -> None:
        self._public_url = public_url
        self._access = access
        self._bus = bus
        self._stopping = stopping
        self.by_caller: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many are open."""
        return self.by_caller.total()

    async def open(self, request: Request) -> Response:
        """Answer with a stream. Raises like `Access.admit`, `Invalid` for what can't be read, `TooMany` when full."""
        context_of(request).route = "/api/events"
        principal = await self._access.admit(request, "event:read")
        known = frozenset({"site", "type", "last_event_id", "format"})
        query = read_query(request, known, lists=frozenset({"type", "site"}))
        cdevents = _is_cdevents(query.get("format"))
        sites = await self._sites(principal, query.get("site", []))
        if "site" in query:
            context_of(request).site = sites[0]
        types = _types(query.get("type", []), principal, sites)
        if cdevents and not set(types) <= set(cdevent.NAMES):
            raise Invalid(f"As CDEvents there are {' and '.join(cdevent.NAMES)}; leave type out, or give one of these.")
        types = types or (cdevent.NAMES if cdevents else ())
        wanted = Filter(sites, types, lambda site: hidden_from(_held_at(principal, site)), cdevents)
        position = _position(request.headers.get("last-event-id") or query.get("last_event_id"))
        if self.count >= MAX_STREAMS:
            raise TooMany(f"{MAX_STREAMS} event streams are open already; try again later.", retry_after_s=30)
        if self.by_caller[principal.key] >= MAX_STREAMS_PER_CALLER:
            raise TooMany(
                f"You have {MAX_STREAMS_PER_CALLER} event streams open already; close one first.",
                retry_after_s=30,
            )
        self.by_caller[principal.key] += 1
        again = self._access.again(request, "event:read")
        reader = Reader(again, self._bus, self._stopping, principal, wanted, position, self._public_url)
        return _Counted(self, principal.key, reader.frames(), ping=HEARTBEAT_S, send_timeout=SEND_TIMEOUT_S)

    async def _sites(self, principal: Principal, asked: list[str]) -> tuple[str, ...]:
        """Those asked for, else all of the caller's. Raises `Invalid`, `Forbidden` or `NotFound`."""
        if len(asked) > MAX_SITES:
            raise Invalid(f"site may be given {MAX_SITES} times at the most.")
        found = [await self._access.allowed_site(principal, one, names_object=False) for one in asked]
        return tuple(dict.fromkeys(found)) or principal.sites

    def closed(self, key: str) -> None:
        """Called by the answer when it ends."""
        self.by_caller[key] -= 1
        if not self.by_caller[key]:
            del self.by_caller[key]


class _Counted(EventSourceResponse):
    def __init__(self, streams: Streams, key: str, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._streams = streams
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except Exception as error:
            # The reader was too slow, or its connection broke: the answer has begun, so there is nothing to tell it.
            log.info("event stream dropped", error=repr(error))
        finally:
            self._streams.closed(self._key)


def _held_at(principal: Principal, site: str) -> frozenset[str]:
    """What the caller holds at a site; at ``*``: everywhere."""
    return principal.permissions if site == ALL else principal.acting("event:read", site).permissions


def _types(asked: list[str], principal: Principal, sites: tuple[str, ...]) -> tuple[str, ...]:
    if len(asked) > MAX_TYPES:
        raise Invalid(f"type may be given {MAX_TYPES} times at the most.")
    names = []
    for text in asked:
        name = text.removeprefix("headgate.").removesuffix(".v1")
        if not isinstance(contracts.find(name), Event):
            raise Invalid(f"There is no event of the type {text[:100]!r}; /asyncapi.json lists them.")
        for pattern, permission in GUARDED:
            if pattern.fullmatch(name) and not all(permission in _held_at(principal, site) for site in sites):
                raise Forbidden(f"Events of the type {name} need the permission {permission}.", permission=permission)
        names.append(name)
    return tuple(sorted(set(names)))


def _is_cdevents(format_: str | None) -> bool:
    if format_ not in (None, "cdevents"):
        raise Invalid("format may be cdevents; leave it out for our own events.")
    return format_ is not None


def hidden_from(permissions: frozenset[str]) -> tuple[re.Pattern[str], ...]:
    """What the names of events look like that are not for those with these permissions."""
    return tuple(pattern for pattern, permission in GUARDED if permission not in permissions)


def _position(text: str | None) -> tuple[int, int] | None:
    if not text:
        return None
    match = _POSITION.fullmatch(text)
    if match is None:
        raise Invalid("The last event id is not one that this stream gave; it reads <number>-<number>.")
    return int(match[1]), int(match[2])


class Reader:
    """One connection's way through the stream."""

    def __init__(
        self,
        again: Callable[[], Awaitable[Principal | None]],
        bus: Bus,
        stopping: asyncio.Event,
        principal: Principal,
        wanted: Filter,
        position: tuple[int, int] | None,
        public_url: str | None,
    ) -> None:
        self._public_url = public_url
        self._again = again
        self._bus = bus
        self._stopping = stopping
        self._principal = principal
        self._wanted = wanted
        self._position = position  # (stream's second of birth, last sequence seen)
        self._subscription: JetStreamContext.PullSubscription | None = None

    async def frames(self) -> AsyncIterator[bytes]:
        """The bytes to send, until the token is no longer good or NATS is away for too long."""
        checked = asked = alive = time.monotonic()
        yield b": connected\r\nretry: 2000\r\n\r\n"
        try:
            while not self._stopping.is_set():
                now = time.monotonic()
                if now - checked >= CHECK_TOKEN_EVERY_S:
                    if await self._again() != self._principal:
                        yield _frame("end", {"reason": "your token or your rights changed; connect again"})
                        return
                    checked = now
                try:
                    if self._subscription is None and (gap := await self._subscribe()):
                        yield gap
                    messages = await self._fetch()
                    if not messages and now - asked >= CHECK_CONSUMER_EVERY_S:
                        asked = now
                        await self._check_consumer()
                    alive = time.monotonic()
                except NATS_ERRORS as error:
                    log.info("event stream lost its consumer", error=repr(error))
                    await self._forget()
                    if time.monotonic() - alive > GIVE_UP_AFTER_S:
                        return
                    await anyio.sleep(0.5)
                    continue
                for message in messages:
                    if frame := self._shown(message):
                        yield frame
        finally:
            with anyio.move_on_after(2, shield=True):
                await self._forget()

    async def _fetch(self) -> list[Msg]:
        if self._subscription is None:
            return []
        try:
            return await self._subscription.fetch(FETCH, timeout=FETCH_S)
        except (nats.errors.TimeoutError, TimeoutError):
            if not self._bus.connected:
                raise
            return []

    async def _check_consumer(self) -> None:
        """A consumer in memory is gone after a restart of NATS, without a word: ask, and begin again if so."""
        if self._subscription is not None:
            await self._subscription.consumer_info()

    async def _subscribe(self) -> bytes | None:
        """Begin after the position; returns a ``gap`` frame if the next event is no longer held."""
        info = await self._bus.js.stream_info(self._bus.topology.events_stream)
        born = int(info.created.timestamp()) if info.created else 0
        start, gap = self._begin(born, info)
        self._position = (born, start - 1)
        subjects = self._subjects()
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=start,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=60,
            mem_storage=True,
            num_replicas=1,
            filter_subjects=subjects if len(subjects) > 1 else None,
        )
        self._subscription = await self._bus.js.pull_subscribe(
            subjects[0], stream=self._bus.topology.events_stream, config=config
        )
        return gap

    def _begin(self, born: int, info: StreamInfo) -> tuple[int, bytes | None]:
        first, last = info.state.first_seq, info.state.last_seq
        if self._position is None:
            return last + 1, None
        seen_born, seen = self._position
        if seen_born == born and first <= seen + 1 <= last + 1:
            return seen + 1, None
        start = max(first, 1)
        reason = "the stream was made anew" if seen_born != born else "the events are no longer held"
        lost = {"after": f"{seen_born}-{seen}", "before": f"{born}-{start}", "reason": reason}
        if seen_born == born and seen < start:
            lost["lost_count_at_most"] = str(start - 1 - seen)
        return start, _frame("gap", lost, f"{born}-{start - 1}")

    def _subjects(self) -> list[str]:
        topology = self._bus.topology
        sites: list[str | None] = [None] if ALL in self._wanted.sites else list(self._wanted.sites)
        names: list[str | None] = list(self._wanted.types) or [None]
        if not sites or len(sites) * len(names) > MAX_FILTERS:
            return [topology.event_filter()]
        return [topology.event_filter(site, name) for site in sites for name in names]

    def _shown(self, message: Msg) -> bytes | None:
        born, _ = self._position or (0, 0)
        sequence = message.metadata.sequence.stream
        self._position = (born, sequence)
        _, _, site, name = message.subject.split(".", 3)
        if not self._wanted.passes(site, name):
            return None
        data = message.data
        if self._wanted.cdevents:
            data, name = cdevent.as_cdevent(data, self._public_url), cdevent.TYPE
        elif b"\n" in data or b"\r" in data:  # a line break would end the field
            data = orjson.dumps(orjson.loads(data))
        return b"id: %d-%d\r\nevent: %s\r\ndata: %s\r\n\r\n" % (born, sequence, name.encode(), data)

    async def _forget(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        try:
            info = await subscription.consumer_info()
            await subscription.unsubscribe()
            await self._bus.js.delete_consumer(info.stream_name, info.name)
        except NATS_ERRORS:
            pass  # the server forgets a consumer that nobody asks for a minute


def _frame(event: str, data: dict[str, str], position: str | None = None) -> bytes:
    line = b"id: %s\r\n" % position.encode() if position else b""
    return line + b"event: %s\r\ndata: %s\r\n\r\n" % (event.encode(), orjson.dumps(data))
