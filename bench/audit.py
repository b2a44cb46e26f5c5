"""What the audit log costs beside the same rows without a hash: events, and the records that commands leave."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from nats.js.api import AckPolicy, ConsumerConfig

from bench.consumer import SCHEMA, Drain, sample, servers
from bench.figures import Figure, Report, median_rate
from bench.lab import BenchError, Lab, Space
from libs.common import records
from libs.common.bus import Outgoing
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.tracker.items import patch_item
from libs.common.ids import uuid7

COUNTS = {"events": 10_000, "records": 3_000}  # a work queue forgets what is acknowledged, which takes its time
ROUNDS = 5
AIM = 0.7
SIGNED = {"HEADGATE_AUDIT_SECRET": "a-secret-of-the-bench"}  # checkpoints are signed while it appends


def record(space: Space, number: int) -> Outgoing:
    """What a command leaves: some 650 bytes, one in ten of a command that was refused."""
    command = CloudEvent(
        id=str(uuid7()),
        source="/headgate/gateway",
        type=patch_item.type,
        subject=str(number),
        actor="ann",
        correlationid=str(uuid7()),
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        digest="ab" * 32,
        clientaddress="203.0.113.7",
        clientagent="headgate/1.0 (linux)",
    )
    command.data = {"item_id": number, "reason": "It waits for the supplier"}
    refused = number % 10 == 0
    body = b'{"detail": "Somebody else was faster: read the item again."}' if refused else b"{}"
    staged = records.record(command, 409 if refused else 200, body, datetime.now(UTC))
    return Outgoing(str(staged.message_id), space.topology.record_subject(patch_item.name), staged.payload)


async def run(lab: Lab, report: Report) -> None:
    """Drain the same messages with each, in turns."""
    async with lab.space() as space:
        streams = {"events": space.topology.events_stream, "records": space.topology.records_stream}
        worker = space.service("audit", **SIGNED)
        for kind in COUNTS:
            await start_floor(space, kind, streams[kind])
            await space.subscribed(streams[kind], f"audit-{kind}")
        took: dict[tuple[str, str], list[float]] = {(kind, who): [] for kind in COUNTS for who in ("audit", "floor")}
        for number in range(ROUNDS + 1):  # the first one warms up
            for kind in COUNTS:
                for who, seconds in (await one_round(space, kind, streams[kind], number)).items():
                    if number:
                        took[kind, who].append(seconds)
        worker.check()
        await _check(space)
        for kind in COUNTS:
            await space.bus.js.delete_stream(floor_stream(streams[kind]))
    for kind in COUNTS:
        log, floor = (median_rate(COUNTS[kind], took[kind, who]) for who in ("audit", "floor"))
        name, beside = f"audit log, {kind}", "the same rows, nothing hashed"
        report.figures.append(Figure("audit", name, "/s", log, beside, floor, AIM))


def floor_stream(stream: str) -> str:
    return f"{stream}-FLOOR"


async def start_floor(space: Space, kind: str, stream: str) -> None:
    """A floor with a stream of its own, set up as the log's: from a work queue only one may take."""
    schema, copy = f"bench_{kind}", floor_stream(stream)
    await space.database.execute(SCHEMA.format(name=schema))
    config = (await space.bus.js.stream_info(stream)).config
    config.name, config.subjects = copy, [f"{space.topology.namespace}.floor.{kind}"]
    await space.bus.js.add_stream(config)
    durable = ConsumerConfig(durable_name="floor", ack_policy=AckPolicy.EXPLICIT, max_ack_pending=5000, ack_wait=60)
    await space.bus.js.add_consumer(copy, durable)
    given = {"name": f"floor-{kind}", "schema": schema, "durable": "floor"}
    space.raw("log_floor", servers(space) | given | {"stream": copy})
    await space.subscribed(copy, "floor")


async def one_round(space: Space, kind: str, stream: str, number: int) -> dict[str, float]:
    """Seconds that each took; who goes first changes from round to round."""
    made = [sample(space, "global", n) if kind == "events" else record(space, n) for n in range(COUNTS[kind])]
    floor_subject = f"{space.topology.namespace}.floor.{kind}"
    drains = {
        "audit": (stream, Drain(f"audit-{kind}", "audit.inbox", COUNTS[kind]), made),
        "floor": (
            floor_stream(stream),
            Drain("floor", f"bench_{kind}.inbox", COUNTS[kind]),
            [replace(one, subject=floor_subject) for one in made],
        ),
    }
    took = {}
    for who in sorted(drains, reverse=bool(number % 2)):
        where, drain, messages = drains[who]
        hold = await space.hold(drain.table)
        await space.publish(messages)
        took[who] = await space.drain(where, drain.durable, hold)
    return took


async def _check(space: Space) -> None:
    """Nobody may have been fast by leaving something out."""
    tables = {f"bench_{kind}.entry": count * (ROUNDS + 1) for kind, count in COUNTS.items()}
    tables["audit.entry"] = sum(tables.values())
    for table, count in tables.items():
        found = await space.database.fetchval(f"SELECT count(*) FROM {table}")
        if found < count:
            raise BenchError(f"{table} holds {found} messages, not {count}")
    unlike = await space.database.fetchval(UNLIKE)
    if unlike:
        raise BenchError(f"{unlike} rows of the floor say something else than those of the log")


UNLIKE = """
SELECT count(*) FROM (SELECT * FROM bench_events.entry UNION ALL SELECT * FROM bench_records.entry) AS floor
LEFT JOIN audit.entry AS log USING (event_id)
WHERE (floor.type, floor.site, floor.actor, floor.subject, floor.time, floor.payload, floor.version, floor.outcome)
    IS DISTINCT FROM (log.type, log.site, log.actor, log.subject, log.time, log.payload, log.version, log.outcome)
   OR (floor.reason, floor.trace_id, floor.client_address, floor.client_agent, floor.issue)
    IS DISTINCT FROM (log.reason, log.trace_id, log.client_address, log.client_agent, log.issue)
"""
