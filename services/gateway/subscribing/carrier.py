"""Carries the questions of subscribers to their durables: each is looked at, then asked again in JetStream.

A subscriber has no rights in JetStream (`services.gateway.subscribing.callout` says why). It asks under another prefix,
`<ns>.subscriber`, which any JetStream client takes as a setting, and JetStream's answers go straight to its inbox. An
acknowledgement names the event by the reply subject that it came with. Crash here means: what was asked at that moment
gets no answer, and events that are not acknowledged come again.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any

import orjson
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from libs.common.bus import NATS_ERRORS, Bus
from libs.common.contracts.gateway.subscribers import STREAM
from libs.common.permissions import subscriber_inbox
from services.gateway.subscribing.subscribers import USER_PREFIX

MAX_BATCH = 500
MAX_EXPIRES_NS = 60_000_000_000
_NUMBERS = ("batch", "max_bytes", "expires", "idle_heartbeat")
_USER = re.compile(rf"{USER_PREFIX}([1-9][0-9]{{0,18}})")
# "$JS.ACK.[<domain>.<account>.]<stream>.<durable>.<delivered>.<seq>.<seq>.<time>.<pending>[.<token>]"
_REPLY = re.compile(r"\$JS\.ACK\.(?:[^.\s]+\.[^.\s]+\.)?([^.\s]+)\.([^.\s]+)((?:\.[0-9]{1,20}){5})(?:\.[^.\s]+)?")
_WORDS = ("+ACK", "-NAK", "+WPI", "+TERM")


class Carrier:
    """Takes the questions of subscribers, together with the other gateways."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        """Take questions."""
        bus, ns = self._bus.nats, f"{self._bus.topology.namespace}.subscriber"
        queue = f"{self._bus.topology.namespace}-carrier"
        self._subscriptions = [
            await bus.subscribe(f"{ns}.CONSUMER.MSG.NEXT.{STREAM}.*", queue=queue, cb=self._next),
            await bus.subscribe(f"{ns}.CONSUMER.INFO.{STREAM}.*", queue=queue, cb=self._info),
            await bus.subscribe(f"{ns}.ACK.*", queue=queue, cb=self._ack),
        ]

    async def stop(self) -> None:
        """Take no more."""
        for subscription in self._subscriptions:
            with contextlib.suppress(*NATS_ERRORS):
                await subscription.unsubscribe()

    async def _next(self, message: Msg) -> None:
        """Pull for it. What else a pull may ask for than a bounded batch is left away."""
        user = message.subject.rpartition(".")[2]
        asked = pull_of(message.data)
        if asked is not None and answers_home(user, message.reply):
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._bus.topology.events_stream}.{user}"
            await self._pass(subject, orjson.dumps(asked), message.reply)

    async def _info(self, message: Msg) -> None:
        user = message.subject.rpartition(".")[2]
        if answers_home(user, message.reply):
            await self._pass(f"$JS.API.CONSUMER.INFO.{self._bus.topology.events_stream}.{user}", b"", message.reply)

    async def _ack(self, message: Msg) -> None:
        """Acknowledge for it: the body is the event's reply subject, and, after a space, another word than ``+ACK``."""
        user = message.subject.rpartition(".")[2]
        found = ack_of(message.data, self._bus.topology.events_stream, user)
        if found is not None and (not message.reply or answers_home(user, message.reply)):
            await self._pass(*found, message.reply)

    async def _pass(self, subject: str, body: bytes, reply: str) -> None:
        with contextlib.suppress(*NATS_ERRORS):  # the client asks again
            await self._bus.nats.publish(subject, body, reply=reply)


def answers_home(user: str, reply: str) -> bool:
    """Whether the answer goes to this subscriber's own inbox, where nobody but itself listens or is called."""
    match = _USER.fullmatch(user)
    return match is not None and reply.startswith(f"{subscriber_inbox(int(match[1]))}.")


def pull_of(body: bytes) -> dict[str, Any] | None:
    """What is passed on of a pull; None for what can't be read. An empty one asks for one event, as in JetStream."""
    try:
        asked = orjson.loads(body) if body.strip() else {}
    except ValueError:
        return None
    if isinstance(asked, int):
        asked = {"batch": asked}
    if not isinstance(asked, dict):
        return None
    taken: dict[str, Any] = {name: asked[name] for name in _NUMBERS if isinstance(asked.get(name), int)}
    taken["batch"] = min(max(taken.get("batch", 1), 1), MAX_BATCH)
    if asked.get("no_wait") is True:
        taken["no_wait"] = True
    elif not 0 < taken.get("expires", 0) <= MAX_EXPIRES_NS:
        taken["expires"] = MAX_EXPIRES_NS
    return taken


def ack_of(body: bytes, stream: str, user: str) -> tuple[str, bytes] | None:
    """Subject and body of the acknowledgement that is passed on; None for one of another durable, or unreadable.

    Never ``+NXT``, which would also pull, and answer on a subject of the subscriber's choice.
    """
    reply, _, rest = body.decode(errors="replace").partition(" ")
    match = _REPLY.fullmatch(reply)
    word = rest.partition(" ")[0] or "+ACK"
    if match is None or match[1] != stream or match[2] != user or word not in _WORDS or len(rest) > 200:
        return None
    return f"$JS.ACK.{stream}.{user}{match[3]}", (rest or "+ACK").encode()
