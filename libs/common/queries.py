"""Answers questions: a task each, bounded, any replica of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg
import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from opentelemetry.trace import SpanKind
from prometheus_client import Counter
from pydantic import ValidationError

from libs.common import series
from libs.common.asking import Asker
from libs.common.bus import Bus, Reply
from libs.common.cloudevents import CloudEvent, DecodeError, decode
from libs.common.contracts.base import Query, encode_result
from libs.common.dispatch import problems_of
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Invalid, NotFound, Refusal, TimedOut, Unavailable, problem
from libs.common.service import Clock, QueryHandler, Read
from libs.common.telemetry import ids_of, log, span, trace_id
from libs.common.topology import MAX_PAYLOAD_BYTES

MAX_AT_ONCE = 64


class QueryServer:
    """Serves a service's queries in the queue group ``<service>``."""

    def __init__(
        self, pool: asyncpg.Pool, bus: Bus, service: str, handlers: Mapping[Query, QueryHandler], clock: Clock
    ) -> None:
        self._pool, self._bus, self._service, self._clock = pool, bus, service, clock
        self._handlers = {bus.topology.query_subject(query): (query, handler) for query, handler in handlers.items()}
        self._asker = Asker(service, bus)
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None
        self._counters: dict[tuple[str, int], Counter] = {}

    async def start(self) -> None:
        """Subscribe; from now on questions are answered."""

        async def arrive(message: Msg) -> None:
            await self._slots.acquire()  # the rest waits in the subscription's bounded queue
            task = asyncio.create_task(self._answer(message))
            self._tasks.add(task)
            task.add_done_callback(self._done)

        subject = f"{self._bus.topology.namespace}.query.{self._service}.>"
        self._subscription = await self._bus.nats.subscribe(subject, queue=self._service, cb=arrive)
        await self._bus.settle()  # else the first to ask a service that says it runs may hear that nobody is there

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()

    async def stop(self) -> None:
        """Take no more questions and finish those in hand."""
        if self._subscription is not None and not self._bus.nats.is_closed:
            try:
                await self._subscription.unsubscribe()
            except nats.errors.Error as error:
                log.warning("queries not unsubscribed", error=repr(error))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)

    async def _answer(self, message: Msg) -> None:
        asked = self._handlers.get(message.subject)
        try:
            if asked is None:
                raise NotFound(f"{message.subject} has no handler.")
            reply = await self._reply(*asked, _envelope(message))
        except Refusal as refusal:
            reply = self._counted(message.subject if asked is None else asked[0].name, refusal.status, refusal.body())
        # A bare 503 is what NATS says when nobody listens, and the client would throw our sentence away.
        shown = "503 answered" if reply.status == 503 else str(reply.status)
        try:
            await self._bus.nats.publish(message.reply, reply.body, headers={"Status": shown})
        except nats.errors.Error as error:
            log.warning("answer not sent", operation=message.subject, error=repr(error))

    async def ask(self, query: Query, envelope: CloudEvent, *, timeout_s: float = 5.0) -> Reply:
        """Answer a question of this very process, with its data in the envelope: as over the bus, without the hop.

        It takes one of the same slots. Raises `TimedOut` like `Bus.ask`.
        """
        asked = self._handlers[self._bus.topology.query_subject(query)]
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                return await self._reply(*asked, envelope)
        except TimeoutError as error:
            raise TimedOut(f"The {self._service} service did not answer within {timeout_s:g} s.") from error

    async def _reply(self, query: Query, handler: QueryHandler, envelope: CloudEvent) -> Reply:
        """The result, or the problem document of what went wrong; counted. Raises nothing but what cancels it."""
        status, body = 500, b""
        ids = ids_of(envelope.traceparent, envelope.correlationid)
        try:
            status, body = 200, await self._run(query, handler, envelope)
            if len(body) > MAX_PAYLOAD_BYTES - 4096:
                raise Invalid("The answer would be larger than 8 MB; ask for less with limit or a filter.")
        except Refusal as refusal:
            status, body = refusal.status, refusal.body(trace_id(envelope.traceparent))
        except UNREACHABLE as error:
            log.warning("database away", operation=query.name, error=repr(error), **ids)
            status, body = 503, Unavailable("The database can't be reached now; try again in a few seconds.").body()
        except Exception:
            log.exception("query failed", operation=query.name, **ids)
            status, body = 500, problem(500, "internal", "Internal error", "This is our fault; the log says more.")
        return self._counted(query.name, status, body)

    def _counted(self, name: str, status: int, body: bytes) -> Reply:
        counter = self._counters.get((name, status))
        if counter is None:  # looking a series up by its labels costs more than counting
            counter = self._counters[name, status] = series.QUERIES.labels(self._service, name, str(status))
        counter.inc()
        return Reply(status, body)

    async def _run(self, query: Query, handler: QueryHandler, envelope: CloudEvent) -> bytes:
        try:
            data: dict[str, Any] = envelope.data or {}
            params = query.params.model_validate(data.get("params", {}))
        except ValidationError as error:
            raise Invalid("The question does not fit its contract.", errors=problems_of(error)) from error
        read = Read(
            pool=self._pool,
            site=envelope.site,
            actor=envelope.actor,
            now=self._clock(),
            sites=tuple(data.get("sites", ())),
            permissions=frozenset(data.get("permissions", ())),
            message=envelope,
            asker=self._asker,
            role=str(data.get("role", "")),
        )
        with span(
            self._service,
            f"answer {query.name}",
            envelope.traceparent,
            SpanKind.SERVER,
            request_id=envelope.correlationid,
        ):
            return encode_result(query.result, await handler(read, params))


def _envelope(message: Msg) -> CloudEvent:
    try:
        return decode(message.data)
    except DecodeError as error:
        raise Invalid(f"The question is not a CloudEvent: {error}") from error
