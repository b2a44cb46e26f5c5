"""How many events a second one consumer applies: the audit service beside the same work without Headgate."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from nats.js.api import AckPolicy, ConsumerConfig

from bench.figures import Figure, Report, median_rate
from bench.lab import BenchError, Lab, Space
from libs.common.bus import Outgoing
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.tracker.items import item_updated
from libs.common.ids import uuid7

EVENTS = 10_000
PLAIN_EVENTS = 1_000  # the plain handler is slow: it hears only the events of the site `slow`
ROUNDS = 5
FLOORS = {"own": "raw loop, own pull requests", "fetch": "raw loop, nats-py fetch"}
BEST = "FastStream, batch 500 + executemany"
SCHEMA = """
CREATE SCHEMA {name};
CREATE TABLE {name}.inbox (LIKE audit.inbox INCLUDING ALL);
CREATE TABLE {name}.entry (LIKE audit.entry INCLUDING ALL);
CREATE TABLE {name}.head (LIKE audit.head INCLUDING ALL);
INSERT INTO {name}.head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));
CREATE TABLE {name}.peer (event_id uuid PRIMARY KEY, type text, site text, payload bytea);
"""


@dataclass(frozen=True, slots=True)
class Drain:
    """One contender: its durable, the table that it writes first, how many events it hears in a round."""

    durable: str
    table: str
    count: int


def sample(space: Space, site: str, number: int) -> Outgoing:
    """An event of about 700 bytes, as the tracker's outbox would send it."""
    event = sample_event(site, number)
    return Outgoing(event.id, space.topology.event_subject(item_updated, site), event.encode())


def sample_event(site: str, number: int) -> CloudEvent:
    """The event itself, with ids of its own."""
    event = CloudEvent(
        id=str(uuid7()),
        source="/headgate/tracker",
        type=item_updated.type,
        subject=str(number),
        time=datetime.now(UTC),
        site=site,
        actor="ann",
        correlationid=str(uuid7()),
        causationid=str(uuid7()),
        traceparent=f"00-{secrets.token_hex(16)}-00f067aa0ba902b7-01",
    )
    event.data = {
        "number": number,
        "changed": ["status", "assignee"],
        "note": "A remediation item was changed; this text is about as long as such texts are. " * 2,
    }
    return event


def peer_missing(python: str) -> str | None:
    """Why the peer can't run, and how to install it; None if it can."""
    asked = subprocess.run([python, "-c", "import faststream.nats, asyncpg, orjson, uvloop"], capture_output=True)
    if asked.returncode == 0:
        return None
    return (
        "peer not installed: FastStream is no dependency of Headgate. Make a virtual environment for it, there "
        '`pip install "faststream[nats]" asyncpg orjson uvloop`, and run `python -m bench --peer-python <its python>`.'
    )


async def run(lab: Lab, report: Report, peer_python: str) -> None:
    """Drain the same events with each, in turns."""
    missing = peer_missing(peer_python)
    async with lab.space() as space:
        drains = await _start_floors(space)
        if missing is None:
            drains |= await _start_peers(space, peer_python)
        else:
            report.notes.append(missing)
        space.service("audit", HEADGATE_AUDIT_SECRET="a-secret-of-the-bench")  # signs while it appends
        stream = space.topology.events_stream
        drains["rows"] = await _start_rows(space)
        drains["audit"] = Drain("audit-events", "audit.inbox", EVENTS)
        for drain in drains.values():
            await space.subscribed(stream, drain.durable)
        took: dict[str, list[float]] = {name: [] for name in drains}
        for round_number in range(ROUNDS + 1):  # the first one warms up
            slow = [sample(space, "slow", n) for n in range(PLAIN_EVENTS)]
            holds = {name: await space.hold(drain.table) for name, drain in drains.items()}
            await space.publish(slow + [sample(space, "global", n) for n in range(EVENTS - PLAIN_EVENTS)])
            names = list(drains)
            for name in names[round_number % len(names) :] + names[: round_number % len(names)]:
                seconds = await space.drain(stream, drains[name].durable, holds[name])
                if round_number:
                    took[name].append(seconds)
        await _check(space, missing is None)
    _tell(report, {name: median_rate(drains[name].count, seconds) for name, seconds in took.items()})


async def _start_floors(space: Space) -> dict[str, Drain]:
    found = {}
    for pull in FLOORS:
        await space.database.execute(SCHEMA.format(name=f"bench_{pull}"))
        await durable(space, pull, space.topology.event_filter())
        arguments = {"name": f"floor-{pull}", "schema": f"bench_{pull}", "durable": pull, "pull": pull, "work": "chain"}
        space.raw("floor", arguments | servers(space))
        found[pull] = Drain(pull, f"bench_{pull}.inbox", EVENTS)
    return found


async def _start_peers(space: Space, python: str) -> dict[str, Drain]:
    modes = {
        "batch": (space.topology.event_filter(), EVENTS),
        "plain": (space.topology.event_filter("slow"), PLAIN_EVENTS),
    }
    for mode, (subject, _) in modes.items():
        await space.database.execute(SCHEMA.format(name=f"bench_{mode}"))
        arguments = {"name": f"peer-{mode}", "schema": f"bench_{mode}", "durable": f"peer-{mode}", "mode": mode}
        space.raw("faststream_peer", arguments | servers(space) | {"subject": subject}, python)
    return {mode: Drain(f"peer-{mode}", f"bench_{mode}.peer", count) for mode, (_, count) in modes.items()}


async def _start_rows(space: Space) -> Drain:
    await space.database.execute(SCHEMA.format(name="bench_rows"))
    await durable(space, "rows", space.topology.event_filter())
    arguments = {"name": "rows", "schema": "bench_rows", "durable": "rows", "namespace": space.topology.namespace}
    space.raw("rows_consumer", arguments | servers(space))
    return Drain("rows", "bench_rows.inbox", EVENTS)


def servers(space: Space) -> dict[str, str]:
    """Where a raw worker finds its servers and its stream."""
    return {
        "nats_url": space.nats_url,
        "database_url": space.database_url,
        "stream": space.topology.events_stream,
    }


async def durable(space: Space, name: str, subject: str) -> None:
    """Make a durable as the topology makes them."""
    config = ConsumerConfig(
        durable_name=name, filter_subject=subject, ack_policy=AckPolicy.EXPLICIT, max_ack_pending=5000, ack_wait=60
    )
    await space.bus.js.add_consumer(space.topology.events_stream, config)


async def _check(space: Space, peers: bool) -> None:
    """Nobody may have been fast by leaving events out."""
    wanted = EVENTS * (ROUNDS + 1)
    tables = {"audit.entry": wanted, "bench_rows.peer": wanted, **{f"bench_{pull}.entry": wanted for pull in FLOORS}}
    if peers:
        tables |= {"bench_batch.peer": wanted, "bench_plain.peer": PLAIN_EVENTS * (ROUNDS + 1)}
    for table, count in tables.items():
        found = await space.database.fetchval(f"SELECT count(*) FROM {table}")
        if found < count:  # services tell a few of their own
            raise BenchError(f"{table} holds {found} events, not {count}")


def _tell(report: Report, rates: dict[str, tuple[float, ...]]) -> None:
    add: Callable[[Figure], None] = report.figures.append
    audit, rows = rates["audit"], rates["rows"]
    add(Figure("consumer", "audit consumer", "events/s", audit, FLOORS["own"], rates["own"], 0.8))
    add(Figure("consumer", "audit consumer", "events/s", audit, FLOORS["fetch"], rates["fetch"]))
    if "plain" not in rates:
        add(Figure("consumer", "set-based consumer, the peer's table", "events/s", rows))
        return
    for name, values in (("audit consumer", audit), ("set-based consumer, the peer's table", rows)):
        for peer, mode, aim in (("FastStream, one insert each", "plain", 15), (BEST, "batch", 2.5)):
            add(Figure("consumer", name, "events/s", values, peer, rates[mode], aim if values is rows else None))
