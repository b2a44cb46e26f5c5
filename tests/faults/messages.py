"""Faults on the bus itself: messages that come twice, in another order, or that nobody can apply (poison)."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson
from nats.aio.msg import Msg

from libs.common.bus import Bus, connect
from libs.common.cloudevents import CONTENT_TYPE
from libs.common.topology import Topology
from tests.faults.checker import Poison

WINDOW = 100  # how far a message may be moved
HEADERS = {"Content-Type": CONTENT_TYPE}
DECIDED, RECORDED, PATCH = "governance.gate.decided", "governance.signal.recorded", "tracker.item.patch"
HEARERS = ("audit-events", "notifier-events", "tracker-events", "metrics-events")  # of a verdict; the first two of all


@dataclass
class Raw:
    """A message as it was published."""

    subject: str
    payload: bytes


@dataclass
class Tap:
    """Listens, as the administrator, to all commands and events, and can say them again."""

    bus: Bus
    commands: deque[Raw] = field(default_factory=lambda: deque(maxlen=WINDOW))
    events: deque[Raw] = field(default_factory=lambda: deque(maxlen=WINDOW))

    @classmethod
    async def open(cls, nats_url: str, topology: Topology) -> Tap:
        """Connect and listen."""
        tap = cls(await connect(nats_url, topology, "gateway", name="tap"))

        async def hear(message: Msg) -> None:
            # A replay is not kept again; neither is what this class injects as poison.
            if (message.headers or {}).get("Faults") is None:
                kept = tap.commands if ".command." in message.subject else tap.events
                kept.append(Raw(message.subject, message.data))

        for kind in ("command", "event"):
            await tap.bus.nats.subscribe(f"{topology.namespace}.{kind}.>", cb=hear)
        await tap.bus.nats.flush()
        return tap

    async def replay(self, rng: random.Random) -> int:
        """Say the last 100 commands and 100 events again, shuffled, some of them twice. Returns how many.

        Without ``Nats-Msg-Id``, so that the stream's duplicate window does not help.
        """
        again = [*self.commands, *self.events]
        again += rng.sample(again, len(again) // 10)
        rng.shuffle(again)
        for raw in again:
            await self.bus.js.publish(raw.subject, raw.payload, headers={**HEADERS, "Faults": "replay"}, timeout=10)
        return len(again)

    async def poison(self, rng: random.Random, count: int) -> list[Poison]:
        """Put in poison of every kind in turn; returns which consumer must bury which bytes."""
        makers = list(POISON)
        rng.shuffle(makers)
        wanted: list[Poison] = []
        for number in range(count):
            subject, payload, consumers = makers[number % len(makers)](self.bus.topology.namespace, rng)
            await self.bus.js.publish(subject, payload, headers={**HEADERS, "Faults": "poison"}, timeout=10)
            digest = hashlib.sha256(payload).hexdigest()
            wanted += [(consumer, digest) for consumer in consumers]
        return wanted

    async def close(self) -> None:
        """Disconnect."""
        await self.bus.close()


Made = tuple[str, bytes, tuple[str, ...]]


def _envelope(rng: random.Random, name: str, **changed: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "source": f"/headgate/{name.partition('.')[0]}",
        "type": f"headgate.{name}.v1",
        "site": "global",
        "data": {"nonce": rng.getrandbits(64)},
        **changed,
    }


def garbage(ns: str, rng: random.Random) -> Made:
    """Bytes that are no JSON, where four services listen."""
    return f"{ns}.event.global.{DECIDED}", b"\xff\xfe{not json " + rng.randbytes(16), HEARERS


def no_envelope(ns: str, rng: random.Random) -> Made:
    """JSON without an envelope."""
    return f"{ns}.event.global.{RECORDED}", orjson.dumps({"nonce": rng.getrandbits(63)}), HEARERS[:2]


def bad_id(ns: str, rng: random.Random) -> Made:
    """An id that is no UUID."""
    document = _envelope(rng, DECIDED, id=f"a.> {rng.getrandbits(32)}")
    return f"{ns}.event.global.{DECIDED}", orjson.dumps(document), HEARERS


def foreign_type(ns: str, rng: random.Random) -> Made:
    """A type that does not fit the subject."""
    return f"{ns}.event.global.{RECORDED}", orjson.dumps(_envelope(rng, "governance.signal.other")), HEARERS[:2]


def foreign_site(ns: str, rng: random.Random) -> Made:
    """A site that does not fit the subject."""
    return f"{ns}.event.global.{DECIDED}", orjson.dumps(_envelope(rng, DECIDED, site="elsewhere")), HEARERS


def foreign_source(ns: str, rng: random.Random) -> Made:
    """A service that speaks under another one's name."""
    document = _envelope(rng, DECIDED, source="/headgate/metrics")
    return f"{ns}.event.global.{DECIDED}", orjson.dumps(document), HEARERS


def garbled_order(ns: str, rng: random.Random) -> Made:
    """A command that is no JSON."""
    return f"{ns}.command.{PATCH}.{rng.getrandbits(64)}", b"{" * 50 + rng.randbytes(16), ("tracker-commands",)


def forged_order(ns: str, rng: random.Random) -> Made:
    """A command whose id is not the one in its subject."""
    document = _envelope(rng, "governance.gate.run")
    return f"{ns}.command.governance.gate.run.{uuid.UUID(int=1)}", orjson.dumps(document), ("governance-commands",)


# No poison: data that do not fit are tried for minutes, and an order that nobody knows is refused (ADR 0064).
POISON = (garbage, no_envelope, bad_id, foreign_type, foreign_site, foreign_source, garbled_order, forged_order)
