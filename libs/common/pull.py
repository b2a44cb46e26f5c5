"""Pulling from a durable with one standing inbox: what is there comes at once, the rest as it arrives.

Protocol: JetStream pull requests on ``$JS.API.CONSUMER.MSG.NEXT``; a status message (404, 408, 409) ends a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import RetentionPolicy

from libs.common.bus import NATS_ERRORS, Bus
from libs.common.telemetry import log
from libs.common.topology import MAX_PAYLOAD_BYTES

PULL_MESSAGES = 500
PULL_BYTES = 4 * 1024 * 1024
_EXPIRES_S = 5.0
_HEARTBEAT_S = 1.0
_SILENCE_S = 2.5
_STATUS_PAUSE_S = 0.2
SWEEP_EVERY_S = 20.0
LOOK_BACK_S = 3 * _EXPIRES_S
_ON_THEIR_WAY_S = 0.01
_QUICK_S = 2.0
NAK_DELAYS_S = (1, 5, 30, 120, 120)


@dataclass(slots=True)
class Delivery:
    """A message as it arrived, with its place in the stream and how often it was delivered.

    ``ready`` is what the puller's ``prepare`` made of it. Without a ``reply`` it lies on no stream any more.
    """

    subject: str
    payload: bytes
    headers: dict[str, str]
    reply: str
    stream: str
    stream_seq: int
    delivered: int
    pending: int = 0
    ready: Any = None

    @property
    def key(self) -> str:
        """Names the message even if it can't be decoded: ``<stream>:<sequence>``."""
        return f"{self.stream}:{self.stream_seq}"


def parse_ack_subject(reply: str) -> tuple[str, int, int, int]:
    """(stream, stream sequence, delivery count, messages still pending) of an ack subject.

    It has an old form (9 tokens) and a new one with domain and account (11 or more).
    """
    parts = reply.split(".")
    at = 2 if len(parts) == 9 else 4
    return parts[at], int(parts[at + 3]), int(parts[at + 2]), int(parts[at + 6])


class Puller:
    """Pulls from one durable. Bounded: at most one request's worth of messages is held beside the batch in hand.

    While there is a backlog and batches are done quickly, the next batch is asked for before this one is worked on.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        durable: str,
        *,
        batch: int = PULL_MESSAGES,
        prepare: Callable[[Delivery], None] = lambda _: None,
    ) -> None:
        self._bus, self.stream, self._durable, self._batch = bus, stream, durable, batch
        self._prepare = prepare
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._subscription: Subscription | None = None
        self._arrived: asyncio.Queue[Delivery | Msg | None] = asyncio.Queue()
        self._request = 0
        self._asked = self._pending = 0
        self._deadline = self._handed_out_at = self._heard_at = 0.0
        self._pause_s = 0.0
        self._look_back_until: float | None = math.inf
        self._sweep_at = 0.0

    async def start(self) -> None:
        """Subscribe the standing inbox."""

        async def arrive(message: Msg) -> None:
            self._heard_at = asyncio.get_running_loop().time()
            self._arrived.put_nowait(self._delivery(message) or message)

        self._inbox = self._bus.nats.new_inbox()
        self._bus.on_reconnect.append(self._forget)
        self._subscription = await self._bus.nats.subscribe(f"{self._inbox}.*", cb=arrive)

    async def stop(self) -> None:
        """Unsubscribe, and hand back what was delivered but not begun, so that another replica gets it at once."""
        if self._subscription is None:
            return
        with contextlib.suppress(*NATS_ERRORS):
            await self._subscription.unsubscribe()
            left: list[Delivery] = []
            while not self._arrived.empty():
                if (message := self._arrived.get_nowait()) is not None:
                    self._take(message, left)
            for delivery in left:
                await self.nak(delivery, 0)

    def _forget(self) -> None:
        """After a reconnect the server no longer knows our request: ask anew at once."""
        self._asked = 0
        self._look_back_until = math.inf
        self.wake()

    async def _recover(self, until: float) -> None:
        """Bring back at once what was delivered to a process or connection that died, instead of after the ack time.

        Only if nobody else pulls; the server may count the dead one's request for as long as that was good, so it is
        looked for again. Messages that are in somebody's hands after all come twice, which the inbox knows.
        """
        js = self._bus.js
        info = await js.consumer_info(self.stream, self._durable)
        if info.num_ack_pending and info.num_waiting and asyncio.get_running_loop().time() < until:
            return
        self._look_back_until = None
        if info.num_ack_pending and not info.num_waiting:
            await js.reset_consumer(self.stream, self._durable)
            log.info("unacknowledged messages are delivered again", consumer=self._durable, count=info.num_ack_pending)

    async def _sweep(self) -> None:
        """Take orphans off a work queue: acknowledged, but a full disk or a crash kept them from being removed.

        Such a message lies below the ack floor, where no consumer looks again. Delivered once more, the inbox knows it.
        Looked for while the queue is idle, now and then.
        """
        self._sweep_at = asyncio.get_running_loop().time() + SWEEP_EVERY_S
        stream = await self._bus.js.stream_info(self.stream)
        if stream.config.retention != RetentionPolicy.WORK_QUEUE:
            self._sweep_at = math.inf
        elif stream.state.messages:
            info = await self._bus.js.consumer_info(self.stream, self._durable)
            idle = not (info.num_pending or info.num_ack_pending or info.num_waiting)
            if idle and info.ack_floor and stream.state.first_seq <= info.ack_floor.stream_seq:
                await self._bus.js.reset_consumer(self.stream, self._durable, seq=stream.state.first_seq)
                log.info("looks for orphans on the work queue", consumer=self._durable, seq=stream.state.first_seq)

    def wake(self) -> None:
        """Let `next` return at once, with what there is."""
        self._arrived.put_nowait(None)

    async def _ask(self) -> None:
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
            self._pause_s = 0.0
        if self._look_back_until is not None:
            if self._look_back_until == math.inf:
                self._look_back_until = asyncio.get_running_loop().time() + LOOK_BACK_S
            await self._recover(self._look_back_until)
        if asyncio.get_running_loop().time() >= self._sweep_at:
            await self._sweep()
        body = {
            "batch": self._batch,
            "max_bytes": MAX_PAYLOAD_BYTES + PULL_BYTES,
            "expires": int(_EXPIRES_S * 1e9),
            "idle_heartbeat": int(_HEARTBEAT_S * 1e9),
        }
        self._request += 1
        await self._bus.nats.publish(self._subject, orjson.dumps(body), reply=f"{self._inbox}.{self._request}")
        self._asked = self._batch
        self._heard_at = asyncio.get_running_loop().time()
        self._deadline = self._heard_at + _EXPIRES_S + 2

    async def next(self, wait_s: float) -> list[Delivery]:
        """Up to 500 messages or 4 MB: waits for the first, takes what else has come or is on its way.

        Empty after ``wait_s``.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        quick = now - self._handed_out_at < _QUICK_S
        until = now + wait_s
        taken: list[Delivery] = []
        size = 0
        while len(taken) < PULL_MESSAGES and size < PULL_BYTES:
            if not taken and (self._asked <= 0 or loop.time() > self._deadline or self._silent()):
                await self._ask()
            try:
                message = self._arrived.get_nowait()
            except asyncio.QueueEmpty:
                if taken and not (self._pending and self._asked > 0):
                    break
                limit_s = _ON_THEIR_WAY_S if taken else max(0.0, until - loop.time())
                try:
                    message = await asyncio.wait_for(self._arrived.get(), limit_s)
                except TimeoutError:
                    break
            if message is None:
                break
            size += self._take(message, taken)
        if quick and self._pending and self._asked <= 0 and not self._pause_s:
            await self._ask()
        self._handed_out_at = loop.time()
        return taken

    def _silent(self) -> bool:
        """Whether the server gave no sign of life for our request: the durable's leader has died with it."""
        return asyncio.get_running_loop().time() - self._heard_at > _SILENCE_S

    def _delivery(self, message: Msg) -> Delivery | None:
        """The message as a delivery; None if it is a status."""
        if not message.reply.startswith("$JS.ACK."):
            return None
        stream, seq, delivered, pending = parse_ack_subject(message.reply)
        headers: dict[str, str] = message.headers or {}
        made = Delivery(message.subject, message.data, headers, message.reply, stream, seq, delivered, pending)
        self._prepare(made)
        return made

    def _take(self, arrived: Delivery | Msg, taken: list[Delivery]) -> int:
        if not isinstance(arrived, Delivery):
            self._end(arrived)
            return 0
        self._asked -= 1
        self._pending = arrived.pending
        taken.append(arrived)
        return len(arrived.payload)

    def _end(self, message: Msg) -> None:
        """A status ends its request (expired, complete, byte limit, leader changed, durable gone); only 100 does not.

        Every request has a reply subject of its own, so a late status can't end the next one.
        """
        status = (message.headers or {}).get("Status", "")[:3]
        if status == "100" or not message.subject.endswith(f".{self._request}"):
            return
        # One that brought nothing and did not simply expire (durable gone, no responders): don't ask in a tight loop.
        in_vain = self._asked == self._batch and status not in {"404", "408"}
        self._asked, self._pending, self._pause_s = 0, 0, _STATUS_PAUSE_S if in_vain else 0.0

    async def ack(self, *deliveries: Delivery) -> None:
        """Done for good."""
        for delivery in deliveries:
            await self._answer(delivery, b"+ACK")

    async def nak(self, delivery: Delivery, delay_s: float) -> None:
        """Bring it again after the delay."""
        await self._answer(delivery, b'-NAK {"delay": %d}' % int(delay_s * 1e9))

    async def term(self, delivery: Delivery) -> None:
        """Never bring it again: it lies in the dead-letter table."""
        await self._answer(delivery, b"+TERM")

    async def working(self, delivery: Delivery) -> None:
        """Still at work on it: start the ack time anew."""
        await self._answer(delivery, b"+WPI")

    async def _answer(self, delivery: Delivery, word: bytes) -> None:
        if delivery.reply:
            await self._bus.nats.publish(delivery.reply, word)
