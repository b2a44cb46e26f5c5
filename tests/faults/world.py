"""What is really there after a run: read from the tables themselves, as a superuser, past all of our own code."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg
import orjson

from libs.common.bus import connect
from libs.common.contracts import SERVICES
from libs.common.topology import Topology, durables

ESCALATION, AUTO_ASSIGN = "ops_governance_remediation_escalation", "ops_governance_remediation_auto_assign"
AUTOPILOT = "ops_governance_remediation_autopilot"
SIGNALS = "SELECT event_id, site FROM governance.signals WHERE source = '/faults'"
# Readable reports, and such as were refused and kept; each is about a subject of its own.
REPORTS = (
    "SELECT subject, site, source FROM governance.signals WHERE source IN ('/faults/report', '/faults/unreadable')"
)
RUNS = "SELECT command_id::text, site, run_number FROM governance.runs WHERE command_id IS NOT NULL"
# Those of people; what runs note begins with its time.
NOTES = "SELECT completion_note, site FROM tracker.item WHERE completion_note <> '' AND completion_note NOT LIKE '[%'"
# Runs of a job that somebody asked for, and the command that did, as its event names it.
JOB_RUNS = """
SELECT event ->> 'causationid' AS cause, job_run.site
FROM tracker.job_run LEFT JOIN (
    SELECT convert_from(payload, 'UTF8')::jsonb AS event FROM tracker.outbox WHERE kind = 'event'
) AS told ON event ->> 'type' = 'headgate.tracker.job.finished.v1' AND (event #>> '{data,run_id}')::bigint = run_id
WHERE job_name = $1 AND trigger = 'api'
"""
STEPS = "SELECT key::text, item, episode, level, repeat FROM tracker.escalation_step WHERE outcome = 'raised'"
RAISED = "SELECT coalesce(sum((detail ->> 'raised_count')::bigint), 0)::bigint FROM tracker.job_run"
LEDGER = "SELECT item, revision, kind FROM tracker.item_change"
GAVE = "SELECT coalesce(sum((detail ->> 'assigned_count')::bigint), 0)::bigint FROM tracker.job_run"
OUTCOMES = "SELECT command_id::text, http_status FROM {service}.outcomes"
LETTERS = "SELECT consumer, encode(sha256(payload), 'hex') FROM {service}.dead_letters WHERE state = 'held'"
# What the tracker asked governance to run, and for which of its own commands.
SENT = "SELECT message_id::text, convert_from(payload, 'UTF8')::jsonb ->> 'causationid' AS cause FROM tracker.outbox"
SENT += " WHERE kind = 'command'"
BOARDS = """
SELECT gate, subject, h.run_number, coalesce(max(b.run_number), 0) AS seen
FROM governance.gate_heads AS h LEFT JOIN tracker.board AS b USING (gate, site, subject)
GROUP BY gate, site, subject, h.run_number
"""
UNSENT = "SELECT count(*) FROM {service}.outbox WHERE sent_at IS NULL"
WAITING = "SELECT count(*) FROM {service}.deferred"
ENTRIES = """
SELECT seq, event_id::text, type, site, causationid::text, recorded_at, payload, prev_hash, hash, version
FROM audit.entry ORDER BY seq
"""
UNRECORDED = """
SELECT EXISTS (SELECT FROM unnest($1::uuid[]) AS ended WHERE NOT EXISTS (
    SELECT FROM audit.entry WHERE event_id = ended))
"""
RECORDED_WITHIN_S = 10  # then it is lost, as the check says
HEAD = "SELECT seq, hash FROM audit.head"


@dataclass(frozen=True)
class Row:
    """An effect in a service: what it is about, in which site."""

    key: str
    site: str


@dataclass(frozen=True)
class Link:
    """An audit entry as stored."""

    seq: int
    event_id: str
    type: str
    site: str
    causationid: str
    recorded_at: datetime
    payload: bytes
    prev_hash: bytes
    hash: bytes
    version: int | None = 2


@dataclass
class World:
    """All that the checker looks at.

    ``sent``: id of a run that the tracker asked for -> the command that made it ask. ``boards``: (gate and subject, the
    number of its last run, the last run that the tracker has applied). ``steps``: what escalations told, (key, (item,
    episode, level, repeat)); ``raised``: how many steps runs say they told. ``changes``: the ledger, (item, revision,
    kind); ``gave``: how many items runs say they gave out. ``letters``: (consumer, SHA-256 of the payload).
    """

    signals: list[Row] = field(default_factory=list)
    reports: list[Row] = field(default_factory=list)
    unreadable: list[Row] = field(default_factory=list)
    runs: list[Row] = field(default_factory=list)
    run_numbers: list[int] = field(default_factory=list)
    sent: dict[str, str] = field(default_factory=dict)
    boards: list[tuple[str, int, int]] = field(default_factory=list)
    escalations: list[Row] = field(default_factory=list)
    steps: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    raised: int = 0
    assignments: list[Row] = field(default_factory=list)
    flights: list[Row] = field(default_factory=list)
    changes: list[tuple[int, int, str]] = field(default_factory=list)
    gave: int = 0
    notes: list[Row] = field(default_factory=list)
    outcomes: list[tuple[str, int]] = field(default_factory=list)
    letters: list[tuple[str, str]] = field(default_factory=list)
    unsent: dict[str, int] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    head: tuple[int, bytes] = (0, bytes(32))


async def read_world(database_url: str) -> World:
    """Read everything."""
    connection = await asyncpg.connect(database_url)
    try:
        world = World()
        world.signals = [Row(r["event_id"], r["site"]) for r in await connection.fetch(SIGNALS)]
        for row in await connection.fetch(REPORTS):
            rows = world.reports if row["source"] == "/faults/report" else world.unreadable
            rows.append(Row(row["subject"], row["site"]))
        for row in await connection.fetch(RUNS):
            world.runs.append(Row(row["command_id"], row["site"]))
            world.run_numbers.append(row["run_number"])
        world.notes = [Row(r["completion_note"], r["site"]) for r in await connection.fetch(NOTES)]
        world.sent = {r["message_id"]: r["cause"] for r in await connection.fetch(SENT)}
        for row in await connection.fetch(BOARDS):
            world.boards.append((f"{row['gate']} of {row['subject']}", row["run_number"], row["seen"]))
        jobs = ((ESCALATION, world.escalations), (AUTO_ASSIGN, world.assignments), (AUTOPILOT, world.flights))
        for job, rows in jobs:
            rows += [Row(r["cause"] or "nobody", r["site"]) for r in await connection.fetch(JOB_RUNS, job)]
        world.steps = [(r["key"], tuple(r)[1:]) for r in await connection.fetch(STEPS)]
        world.raised = await connection.fetchval(RAISED)
        world.changes = [tuple(r) for r in await connection.fetch(LEDGER)]
        world.gave = await connection.fetchval(GAVE)
        for service in SERVICES:
            world.outcomes += [tuple(r) for r in await connection.fetch(OUTCOMES.format(service=service))]
            world.letters += [tuple(r) for r in await connection.fetch(LETTERS.format(service=service))]
            world.unsent[service] = await connection.fetchval(UNSENT.format(service=service))
        await _until_recorded(connection, {command for command, status in world.outcomes if status != 500})
        for row in await connection.fetch(ENTRIES):
            world.links.append(Link(**{**row, "causationid": row["causationid"] or ""}))
        head = await connection.fetchrow(HEAD)
        assert head is not None
        world.head = (head["seq"], head["hash"])
        return world
    finally:
        await connection.close()


async def _until_recorded(connection: asyncpg.Connection[asyncpg.Record], ended: set[str]) -> None:
    """Jobs go on after the drain: what they ended just before the outcomes were read has its record on the way."""
    with suppress(TimeoutError):
        async with asyncio.timeout(RECORDED_WITHIN_S):
            while await connection.fetchval(UNRECORDED, list(ended)):
                await asyncio.sleep(0.05)


async def drain(database_url: str, nats_url: str, timeout_s: float = 90.0, namespace: str = "headgate") -> float:
    """Wait until no command waits, all outboxes are sent and all consumers have acknowledged all; returns seconds.

    Raises AssertionError that names what is still busy after the time-out.
    """
    topology, started = Topology(namespace), time.monotonic()
    bus = await connect(nats_url, topology, "gateway", name="drain")
    streams = {config.durable_name: stream for stream, config in durables(topology)}
    waited = [name for name in streams if name and name.endswith(("-events", "-commands", "-records"))]
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                busy = []
                for service in SERVICES:
                    if await connection.fetchval(UNSENT.format(service=service)):
                        busy.append(f"outbox of {service}")
                    if await connection.fetchval(WAITING.format(service=service)):
                        busy.append(f"deferred commands of {service}")
                if (await bus.js.stream_info(topology.commands_stream)).state.messages:
                    busy.append("commands")
                for durable in waited:
                    info = await bus.js.consumer_info(streams[durable], durable)
                    if info.num_pending or info.num_ack_pending:
                        busy.append(durable)
                if not busy:
                    return time.monotonic() - started
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise AssertionError(f"not drained after {timeout_s:g} s: {', '.join(busy)}") from error
    finally:
        await connection.close()
        await bus.close()


def envelope(link: Link) -> dict[str, object]:
    """An entry's event."""
    document: dict[str, object] = orjson.loads(link.payload)
    return document
