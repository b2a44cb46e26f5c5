"""How many verdicts a second the tracker applies, one handler call each: beside a raw loop, and with two replicas."""

from __future__ import annotations

from datetime import UTC, datetime

from bench.consumer import durable, servers
from bench.figures import Figure, Report, median_rate
from bench.lab import BenchError, Lab, Space
from libs.common.bus import Outgoing
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.governance.runs import GateDecided, GateSummary, RuleResult, gate_decided
from libs.common.ids import uuid7

EVENTS = 2_000
ROUNDS = 5
RULES = 4
SCHEMA = """
CREATE SCHEMA bench_boards;
CREATE TABLE bench_boards.inbox (LIKE tracker.inbox INCLUDING ALL);
CREATE TABLE bench_boards.board (LIKE tracker.board INCLUDING ALL);
CREATE TABLE bench_boards.item (LIKE tracker.item INCLUDING ALL);
CREATE TABLE bench_boards.run_request (LIKE tracker.run_request INCLUDING ALL);
"""
APPLIED = "SELECT count(*) FROM {schema}.board WHERE run_number = $1"


def verdict(space: Space, number: int, run_number: int) -> Outgoing:
    """A verdict GO about the subject ``s<number>``."""
    rule = RuleResult(
        id="rule",
        status="pass",
        required=True,
        passed=True,
        weight=1.0,
        message="The rule saw 0 where 0 is wanted",
        owner_role="Ops Lead",
        sla_hours=4,
        action="Nothing to do",
    )
    data = GateDecided(
        run_id=run_number * EVENTS + number,
        gate="release",
        site="global",
        subject=f"s{number}",
        version="",
        run_number=run_number,
        trigger="api",
        decision="go",
        status="success",
        decided_at=datetime.now(UTC),
        summary=GateSummary(
            total_rules=RULES,
            required_rules=RULES,
            passed_rules=RULES,
            failure_count=0,
            warning_count=0,
            weighted_total=RULES,
            weighted_passed=RULES,
            weighted_score_percent=100.0,
        ),
        rules=[rule.model_copy(update={"id": f"rule_{n}"}) for n in range(RULES)],
    )
    id_ = str(uuid7())
    event = CloudEvent(
        id=id_,
        source="/headgate/governance",
        type=gate_decided.type,
        subject=f"release/s{number}",
        time=datetime.now(UTC),
        actor="ann",
        causationid=str(uuid7()),
    )
    subject = space.topology.event_subject(gate_decided, "global")
    return Outgoing(id_, subject, event.encode(data.model_dump_json().encode()))


async def run(lab: Lab, report: Report) -> None:
    """One replica, the raw loop, and two replicas elsewhere, in turns; each verdict is about a board of its own."""
    async with lab.space(["tracker"]) as one, lab.space(["tracker", "tracker"]) as two:
        await _start_floor(one)
        await one.subscribed(one.topology.events_stream, "tracker-events")
        await two.subscribed(two.topology.events_stream, "tracker-events", 2)
        took: dict[str, list[float]] = {"one": [], "raw": [], "two": []}
        for number in range(ROUNDS + 1):  # the first one makes the boards
            for name, seconds in (await _round(one, two, number + 1)).items():
                if number:
                    took[name].append(seconds)
        for space, schema in ((one, "tracker"), (one, "bench_boards"), (two, "tracker")):
            found = await space.database.fetchval(APPLIED.format(schema=schema), ROUNDS + 1)
            if found != EVENTS:
                raise BenchError(f"{schema} applied the last verdict for {found} boards, not for {EVENTS}")
    rates = {name: median_rate(EVENTS, seconds) for name, seconds in took.items()}
    add = report.figures.append
    add(Figure("boards", "tracker, a call per verdict", "events/s", rates["one"], "raw loop, same SQL", rates["raw"]))
    add(Figure("boards", "two trackers", "events/s", rates["two"], "one tracker", rates["one"], 1.7))


async def _round(one: Space, two: Space, run_number: int) -> dict[str, float]:
    stream, held = one.topology.events_stream, "tracker.inbox"
    holds = {
        "one": await one.hold(held),
        "raw": await one.hold("bench_boards.inbox"),
        "two": await two.hold(held),
    }
    for space in (one, two):
        await space.publish([verdict(space, number, run_number) for number in range(EVENTS)])
    return {
        "one": await one.drain(stream, "tracker-events", holds["one"]),
        "two": await two.drain(two.topology.events_stream, "tracker-events", holds["two"]),
        "raw": await one.drain(stream, "boards", holds["raw"]),
    }


async def _start_floor(space: Space) -> None:
    await space.database.execute(SCHEMA)
    await durable(space, "boards", space.topology.event_filter(None, gate_decided.name))
    arguments = {"name": "floor-boards", "schema": "bench_boards", "durable": "boards", "pull": "own", "work": "boards"}
    space.raw("floor", arguments | servers(space))
    await space.subscribed(space.topology.events_stream, "boards")
