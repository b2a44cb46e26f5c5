"""The loop that feeds a service: one transaction per batch, written once. See docs/architecture.md, "The loop".

    pull → decode → drop repeats → BEGIN → inbox → handlers → outcomes → outbox → COMMIT → tell → ack

A crash before COMMIT: nothing happened, the messages come again. A crash after it: they come again and the inbox
knows them. An exception rolls the whole batch back, and its messages are run one transaction each, so that one bad
message costs only itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from opentelemetry.trace import SpanKind
from pydantic import ValidationError

from libs.common import contracts, deadletters, inbox, outbox, outcomes, series
from libs.common.bus import NATS_ERRORS, Bus
from libs.common.cloudevents import CloudEvent, DecodeError, decode
from libs.common.contracts.base import EVERYTHING
from libs.common.dispatch import Applied, Dispatcher, Unknown, refusal_event, refused
from libs.common.outbox import Relay
from libs.common.outcomes import Waiting
from libs.common.postgres import UNREACHABLE
from libs.common.problems import Refusal, TimedOut, Unavailable
from libs.common.pull import NAK_DELAYS_S, Delivery, Puller
from libs.common.service import Batch, Clock, Connection, Delivered
from libs.common.telemetry import ids_of, log, messaging, span
from libs.common.topology import ACK_WAIT_S, Mismatch
from libs.common.waiting import Shelf

MAX_ATTEMPTS = 6
AWAY_DELAY_S = 5.0  # between two tries of a message whose handler asks a service that is away; no try counts
# These say that the message itself is wrong: trying again can't help.
HOPELESS = (DecodeError, Mismatch, Unknown)
AWAY: tuple[type[BaseException], ...] = (*UNREACHABLE, *NATS_ERRORS)


@dataclass(slots=True)
class Message:
    """A delivery that could be decoded."""

    delivery: Delivery
    event: CloudEvent
    id: uuid.UUID


def _nothing() -> None:
    """What is called after a commit where nobody waits for it."""


Apply = Callable[[Connection, list[Message], datetime, Applied], Awaitable[None]]


class Consumer(ABC):
    """Feeds one durable of a service. Subclasses say how new messages are applied."""

    # Not content that does not fit: a newer version may say more in an event, and a replica of it may get the next try.
    hopeless: tuple[type[Exception], ...] = HOPELESS

    def __init__(
        self,
        pool: asyncpg.Pool,
        bus: Bus,
        relay: Relay,
        dispatcher: Dispatcher,
        clock: Clock,
        stream: str,
        durable: str,
    ) -> None:
        self.pool, self.bus, self.relay, self.dispatcher, self.clock = pool, bus, relay, dispatcher, clock
        self.service = dispatcher.service.name
        self.durable = durable
        self.puller = Puller(bus, stream, durable, prepare=self._prepare)
        self.committed: Callable[[], None] = _nothing
        self.known: frozenset[str] | None = None  # types; None: all
        self.shelf = Shelf(pool, self.service, durable, clock)
        self._stopping = asyncio.Event()
        series.begin_consumer(self.service, durable)

    async def run(self) -> None:
        """Until stopped. Messages in hand are finished before it returns."""
        await self.puller.start()
        try:
            while not self._stopping.is_set():
                try:
                    deliveries = await self.puller.next(0.5)
                except NATS_ERRORS as error:
                    log.warning("pulling waits", consumer=self.durable, error=repr(error))
                    await asyncio.sleep(0.5)
                    continue
                if deliveries:
                    await self._finish(deliveries)
                await self._look_aside()
        finally:
            await self.puller.stop()

    def stop(self) -> None:
        """Finish what is in hand, then end."""
        self._stopping.set()
        self.puller.wake()

    async def _finish(self, deliveries: list[Delivery]) -> None:
        """Apply a batch; while Postgres or NATS is away nothing counts and nothing more is pulled."""
        again = sum(d.delivered > 1 for d in deliveries)
        if again:
            series.REDELIVERIES.labels(self.service, self.durable).inc(again)
        series.BATCH_SIZE.labels(self.service, self.durable).observe(len(deliveries))
        work = asyncio.create_task(self._until_done(deliveries))
        while True:
            done, _ = await asyncio.wait({work}, timeout=ACK_WAIT_S / 3)
            if done:
                break
            for delivery in deliveries:
                await self._quietly(self.puller.working(delivery))
        await work

    async def _until_done(self, deliveries: list[Delivery]) -> None:
        pause_s = 0.2
        while True:
            try:
                await self._batch(deliveries)
            except AWAY as error:
                log.warning("server away, the batch waits", consumer=self.durable, error=repr(error))
                if self._stopping.is_set():
                    return  # not acknowledged: another replica, or the next start, gets them
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, 2.0)
            else:
                return

    async def _quietly(self, sending: Awaitable[None]) -> None:
        """An ack that is lost only brings the message again."""
        try:
            await sending
        except NATS_ERRORS as error:
            log.warning("ack not sent", consumer=self.durable, error=repr(error))

    def _prepare(self, delivery: Delivery) -> None:
        """Decode at arrival, which is while Postgres works on the batch before; what can't be read is judged later."""
        with contextlib.suppress(Exception):
            delivery.ready = self._decode(delivery)

    def _decode(self, delivery: Delivery) -> Message:
        event = decode(delivery.payload, delivery.headers)
        self.bus.topology.check(delivery.subject, event)
        try:
            return Message(delivery, event, uuid.UUID(event.id))
        except ValueError as error:
            raise DecodeError("id is not a UUID") from error

    async def _batch(self, deliveries: list[Delivery]) -> None:
        messages = []
        for delivery in deliveries:
            try:
                messages.append(delivery.ready or self._decode(delivery))
            except (DecodeError, Mismatch) as error:
                await self._bury(delivery, str(error), 1)
        unknown = [message for message in messages if not self.knows(message.event)]
        if unknown:
            self.shelf.note([message.event for message in unknown])
            await self.set_aside(unknown)
            messages = [message for message in messages if self.knows(message.event)]
        await self._apply_all(messages)

    def knows(self, event: CloudEvent) -> bool:
        """Whether this version can apply it, or must answer it at once."""
        return self.known is None or event.type in self.known

    async def _apply_all(self, messages: list[Message]) -> None:
        try:
            await self._transaction(messages)
        except AWAY:
            raise
        except Exception as error:  # whatever a handler raises: find out which message it is
            if len(messages) > 1 and not isinstance(error, Refusal):
                log.warning("batch failed, one by one now", consumer=self.durable, error=repr(error))
            for message in messages:
                await self._single(message)

    async def set_aside(self, messages: list[Message]) -> None:
        """Keep for a newer version what this one does not know; it is off the stream, so nothing waits behind it."""
        await self.shelf.put([(message.delivery, message.event) for message in messages])
        await self._quietly(self.puller.ack(*(message.delivery for message in messages)))

    async def _look_aside(self) -> None:
        """Now and then, between two batches: apply what an older version has set aside, bury what waits too long."""
        try:
            await self.shelf.look(self.known, self._batch, self._bury)
        except AWAY as error:
            log.warning("server away, what waits goes on waiting", consumer=self.durable, error=repr(error))

    async def _transaction(self, messages: list[Message]) -> None:
        """Apply messages in one transaction, tell the outcomes, acknowledge."""
        if not messages:
            return
        first: dict[uuid.UUID, Message] = {}
        for message in messages:
            first.setdefault(message.id, message)
        applied = Applied()
        now = self.clock()
        async with self.pool.acquire() as connection:
            async with connection.transaction():
                claimed = await inbox.claim(
                    connection, self.durable, list(first), [m.event.digest for m in first.values()]
                )
                fresh = [m for m in first.values() if m.id in claimed]
                applied.alone = len(fresh) == 1
                await self.apply(connection, fresh, now, applied)
                await outcomes.store(connection, applied.ended, now, applied.staged, applied.closing)
            self.committed()
            await outcomes.tell(self.bus, self.service, applied.ended)
            if applied.staged or applied.ended:
                self.relay.nudge()
            if len(fresh) < len(messages):
                new = {id(m) for m in fresh}
                await self.repeated(connection, [m for m in messages if id(m) not in new])
        await self._quietly(self.puller.ack(*(message.delivery for message in messages)))

    async def repeated(self, connection: Connection, messages: list[Message]) -> None:
        """Messages that were applied before."""
        series.DUPLICATES.labels(self.service, self.durable).inc(len(messages))

    @abstractmethod
    async def apply(self, connection: Connection, fresh: list[Message], now: datetime, into: Applied) -> None:
        """Apply new messages in the open transaction."""

    async def refuse(self, message: Message, refusal: Refusal) -> None:
        """A refusal outside a command is a failure like any other, unless another service was asked and is away."""
        if isinstance(refusal, Unavailable | TimedOut):
            log.warning("message waits for another service", consumer=self.durable, error=refusal.detail)
            await self._quietly(self.puller.nak(message.delivery, AWAY_DELAY_S))
            return
        await self._failed(message.delivery, repr(refusal))

    async def _single(self, message: Message) -> None:
        try:
            await self._transaction([message])
        except AWAY:
            raise
        except Refusal as refusal:
            await self.refuse(message, refusal)
        except self.hopeless as error:
            await self._bury(message.delivery, str(error), 1)
        except Exception as error:
            event = message.event
            log.exception(
                "handler failed",
                consumer=self.durable,
                type=event.type,
                id=event.id,
                **ids_of(event.traceparent, event.correlationid),
            )
            await self._failed(message.delivery, repr(error))

    async def _count(self, delivery: Delivery, reason: str) -> int:
        series.FAILURES.labels(self.service, self.durable).inc()
        async with self.pool.acquire() as connection:
            return await deadletters.count_attempt(connection, self.durable, delivery, reason, self.clock())

    async def _failed(self, delivery: Delivery, reason: str) -> None:
        """Count a failed attempt: try again later, or bury it after the sixth."""
        count = await self._count(delivery, reason)
        if count >= MAX_ATTEMPTS:
            await self._bury(delivery, reason, count)
        elif count:
            await self._quietly(self.puller.nak(delivery, NAK_DELAYS_S[count - 1]))

    async def _bury(self, delivery: Delivery, reason: str, attempts: int) -> None:
        """Store a dead letter, then take the message off the stream. One that can't even be stored stays there."""
        log.error("message buried", consumer=self.durable, key=delivery.key, subject=delivery.subject, reason=reason)
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                ended = await deadletters.bury(
                    connection, self.service, self.durable, delivery, reason, attempts, self.clock()
                )
        except AWAY:
            raise
        except Exception:
            log.exception("message can't be buried, it stays on the stream", consumer=self.durable, key=delivery.key)
            await self._quietly(self.puller.nak(delivery, NAK_DELAYS_S[-1]))
            return
        self.relay.nudge()
        if ended:
            await outcomes.tell(self.bus, self.service, [ended])
        await self._quietly(self.puller.term(delivery))


class CommandConsumer(Consumer):
    """Commands: each ends with an outcome, refusals too."""

    hopeless = (*HOPELESS, ValidationError)

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.known = self.dispatcher.command_types

    def knows(self, event: CloudEvent) -> bool:
        """Who waits for an answer is refused at once, and may ask again. A service's order waits: nobody repeats it."""
        return super().knows(event) or not event.actor.startswith("service:")

    async def apply(self, connection: Connection, fresh: list[Message], now: datetime, into: Applied) -> None:
        """One after another, in the order of arrival."""
        for message in fresh:
            await self.dispatcher.command(connection, message.event, now, into)

    async def repeated(self, connection: Connection, messages: list[Message]) -> None:
        """Answer again with the first outcome."""
        await super().repeated(connection, messages)
        digests = await inbox.digests(connection, self.durable, [m.id for m in messages])
        await outcomes.answer_repeats(connection, self.bus, [m.event for m in messages], digests)

    async def refuse(self, message: Message, refusal: Refusal) -> None:
        """Store the refusal as the outcome; what the handler did is already rolled back.

        One that is not known yet stays unclaimed, so that its repeat is applied by a newer version. It is acknowledged
        before it is told: from then on "nothing was done" stays true.
        """
        ended = refused(message.event, refusal)
        now = self.clock()
        async with self.pool.acquire() as connection, connection.transaction():
            if not await inbox.claim(connection, self.durable, [message.id], [message.event.digest]):
                return  # another replica was first; its outcome stands
            await outcomes.store(connection, [ended], now)
            await outbox.stage(connection, refusal_event(self.service, message.event, ended, now))
            if ended.not_yet:
                await inbox.release(connection, self.durable, message.id)
        self.relay.nudge()
        await self._quietly(self.puller.ack(message.delivery))
        await outcomes.tell(self.bus, self.service, [ended])


class EventConsumer(Consumer):
    """Events, and the commands that wait for them."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.known = self.dispatcher.event_types

    async def apply(self, connection: Connection, fresh: list[Message], now: datetime, into: Applied) -> None:
        """One after another; waiting commands are looked up once for the batch."""
        waiting: dict[str, list[Waiting]] = {}
        if self.dispatcher.service.resumes and fresh:
            waiting = await outcomes.due(connection, [m.event for m in fresh])
        for message in fresh:
            await self.dispatcher.event(
                connection, message.event, now, into, waiting.get(message.event.causationid, ())
            )


class BatchConsumer(Consumer):
    """Sets of messages, for services that write them with one statement."""

    def __init__(self, batch: Batch, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._handler = batch.handler
        self._stream = self.durable.removeprefix(f"{self.service}-")
        names = contracts.heard(self.service, self._stream)
        if self._stream == "telemetry":  # nobody tries a sample again
            self.hopeless = (*HOPELESS, ValidationError)
        if self._stream != "records" and names != EVERYTHING:
            self.known = frozenset(f"headgate.{name}.v1" for name in names)

    async def set_aside(self, messages: list[Message]) -> None:
        """No promise hangs on a sample: one that is not known is left out."""
        if self._stream == "telemetry":
            await self._quietly(self.puller.ack(*(message.delivery for message in messages)))
        else:
            await super().set_aside(messages)

    async def apply(self, connection: Connection, fresh: list[Message], now: datetime, into: Applied) -> None:
        """All at once."""
        if fresh:
            about = messaging("process", self.puller.stream, group=self.durable)
            links = [m.event.traceparent for m in fresh]
            with span(self.service, f"process {self.durable}", "", SpanKind.CONSUMER, about, links=links):
                delivered = [Delivered(m.event, m.delivery.payload) for m in fresh]
                into.staged += await self._handler(connection, delivered, now)
            for name, count in Counter(message.event.name for message in fresh).items():
                series.EVENTS_HANDLED.labels(self.service, name).inc(count)
