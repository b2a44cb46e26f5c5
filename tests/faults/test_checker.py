"""I7 without servers: a sound world passes, and each mutation of it is found. So the checker is not blind."""

from __future__ import annotations

import copy
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.faults.checker import ITEM, RAISED, Poison, check, tally
from tests.faults.driver import SITE, Attempt, Driver
from tests.faults.world import Link, Row, World

pytestmark = pytest.mark.faults
RECORD = "headgate.some.record.v1"
START = datetime(2026, 3, 1, 9, tzinfo=UTC)
POISON: list[Poison] = [("audit-events", "aa"), ("tracker-events", "aa"), ("tracker-commands", "bb")]


def link(seq: int, previous: bytes, cause: str, name: str, site: str = SITE) -> Link:
    """An entry that fits the chain, by docs/audit-log.md."""
    name, _, about = name.partition(" ")  # of a step that was told, its key; of an item, its id and revision
    event_id, recorded_at = about if name == RECORD else str(uuid.uuid4()), START + timedelta(seconds=seq)
    data: dict[str, object] | None = {"key": about} if about else None
    if name.startswith(ITEM):
        number, _, revision = about.partition("/")
        data = {"item": {"id": int(number), "revision": int(revision)}}
    payload = orjson.dumps({"id": event_id, "type": name, "site": site, "causationid": cause, "data": data})
    micros = (recorded_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    body = previous + seq.to_bytes(8, "big") + micros.to_bytes(8, "big") + hashlib.sha256(payload).digest()
    digest = hashlib.sha256(b"headgate.audit.v2\n" + body).digest()
    return Link(seq, event_id, name, site, cause, recorded_at, payload, previous, digest)


def relink(world: World, entries: list[tuple[str, str, str]]) -> None:
    """Write the chain anew from (cause, type, site)."""
    world.links, previous = [], bytes(32)
    for seq, (cause, name, site) in enumerate(entries, 1):
        world.links.append(link(seq, previous, cause, name, site))
        previous = world.links[-1].hash
    world.head = (len(world.links), previous)


def entries_of(world: World) -> list[tuple[str, str, str]]:
    """What `relink` takes."""
    events = [orjson.loads(entry.payload) for entry in world.links]
    return [(one["causationid"], f"{one['type']} {_about(one['data'])}".rstrip(), one["site"]) for one in events]


def _about(data: dict[str, Any] | None) -> str:
    if data is None:
        return ""
    return str(data["key"]) if "key" in data else "{id}/{revision}".format(**data["item"])


def sound() -> tuple[list[Attempt], World, list[tuple[int, str]]]:
    """Attempts of every kind and answer, and a world in which all of them came out as they should."""
    driver, world = Driver(["http://127.0.0.1:1"], ""), World()
    attempts = driver.plan(signals=12, gates=6, refusals=3, syncs=2, reports=4, unreadable=4, escalations=4, assigns=4)
    entries = []
    for number, attempt in enumerate(attempts):
        if attempt.kind == "refusal":
            attempt.answer = "refused"
            world.outcomes.append((attempt.command_id, 404))
            continue
        if attempt.kind == "unreadable":
            attempt.answer = "refused"
            world.unreadable.append(Row(attempt.marker, SITE))
            entries.append((attempt.command_id, "headgate.governance.signal.recorded.v1", SITE))
            world.outcomes.append((attempt.command_id, 422))
            continue
        attempt.answer = "unknown" if number % 4 == 3 else "acknowledged"
        if number % 8 == 7:
            continue  # unknown, and nothing came of it
        if attempt.kind in ("signal", "report"):
            (world.signals if attempt.kind == "signal" else world.reports).append(Row(attempt.marker, SITE))
            entries.append((attempt.command_id, "headgate.governance.signal.recorded.v1", SITE))
        elif attempt.kind == "escalate":
            step = uuid.uuid4()
            world.escalations.append(Row(attempt.command_id, SITE))
            world.steps.append((str(step), (number, 1, 1, 0)))
            world.raised += 1
            entries += [
                (attempt.command_id, "headgate.tracker.job.finished.v1", SITE),
                (attempt.command_id, f"{RAISED} {step}", SITE),
            ]
        elif attempt.kind == "assign":
            world.assignments.append(Row(attempt.command_id, SITE))
            world.changes += [(number, 1, "opened"), (number, 2, "assigned")]
            world.gave += 1
            entries += [
                (attempt.command_id, "headgate.tracker.job.finished.v1", SITE),
                ("a run", f"{ITEM}opened.v1 {number}/1", SITE),
                (attempt.command_id, f"{ITEM}assigned.v1 {number}/2", SITE),
            ]
        else:
            run = attempt.command_id
            if attempt.kind == "sync":
                run = str(uuid.uuid4())
                world.sent[run] = attempt.command_id
                entries.append((attempt.command_id, "headgate.tracker.board.synced.v1", SITE))
            world.runs.append(Row(run, SITE))
            world.run_numbers.append(len(world.runs))
            entries.append((run, "headgate.governance.gate.decided.v1", SITE))
        world.outcomes.append((attempt.command_id, 201))
    entries += [("", f"{RECORD} {command}", SITE) for command, _ in world.outcomes]
    relink(world, entries)
    world.boards = [("operations of site", len(world.runs), len(world.runs))]
    world.letters, world.unsent = list(POISON), {"governance": 0, "audit": 0}
    heads = [(0, bytes(32).hex()), *((entry.seq, entry.hash.hex()) for entry in world.links[::5])]
    heads.append((world.head[0], world.head[1].hex()))
    return attempts, world, heads


def first(attempts: list[Attempt], kind: str, answer: str = "acknowledged") -> Attempt:
    """The first attempt of a kind with an answer."""
    return next(one for one in attempts if one.kind == kind and one.answer == answer)


def ack_before_commit(attempts: list[Attempt], world: World) -> None:
    lost = first(attempts, "signal")
    world.signals = [row for row in world.signals if row.key != lost.marker]
    relink(world, [entry for entry in entries_of(world) if entry[0] != lost.command_id])


def inbox_skipped(attempts: list[Attempt], world: World) -> None:
    twice = first(attempts, "gate")
    world.runs.append(Row(twice.command_id, SITE))
    world.run_numbers.append(len(world.runs))
    relink(world, [*entries_of(world), (twice.command_id, "headgate.governance.gate.decided.v1", SITE)])


def outbox_row_lost(attempts: list[Attempt], world: World) -> None:
    lost = first(attempts, "signal").command_id
    relink(world, [entry for entry in entries_of(world) if entry[0] != lost])


def sequence_reused(attempts: list[Attempt], world: World) -> None:
    world.links[4] = replace(world.links[4], seq=4)


def handler_applied_twice(attempts: list[Attempt], world: World) -> None:
    world.signals.append(Row(first(attempts, "signal").marker, SITE))


def refused_applied(attempts: list[Attempt], world: World) -> None:
    world.notes.append(Row(first(attempts, "refusal", "refused").marker, SITE))


def tail_cut(attempts: list[Attempt], world: World) -> None:
    cut = world.links[-2:]
    world.links = world.links[:-2]
    world.head = (world.links[-1].seq, world.links[-1].hash)
    causes = {entry.causationid for entry in cut}
    for one in attempts:  # even if nobody ever got an answer to what was cut
        if one.command_id in causes:
            one.answer = "unknown"
            world.signals = [row for row in world.signals if row.key != one.marker]
            world.reports = [row for row in world.reports if row.key != one.marker]
            world.unreadable = [row for row in world.unreadable if row.key != one.marker]
            world.runs = [row for row in world.runs if row.key != one.command_id]
            world.escalations = [row for row in world.escalations if row.key != one.command_id]
            world.assignments = [row for row in world.assignments if row.key != one.command_id]


def duplicate_outcome(attempts: list[Attempt], world: World) -> None:
    world.outcomes.append((first(attempts, "gate").command_id, 201))


def wrong_site(attempts: list[Attempt], world: World) -> None:
    marker = first(attempts, "signal").marker
    world.signals = [Row(row.key, "elsewhere") if row.key == marker else row for row in world.signals]


def step_told_twice(attempts: list[Attempt], world: World) -> None:
    cause, step = first(attempts, "escalate").command_id, world.steps[0][0]
    relink(world, [*entries_of(world), (cause, f"{RAISED} {step}", SITE)])


def step_not_told(attempts: list[Attempt], world: World) -> None:
    step = world.steps[0][0]
    relink(world, [entry for entry in entries_of(world) if step not in entry[1]])


def step_of_nobody(attempts: list[Attempt], world: World) -> None:
    world.steps.pop()


def step_taken_twice(attempts: list[Attempt], world: World) -> None:
    """Under another key: two runs, each of which thinks that it is the first."""
    cause, step = first(attempts, "escalate").command_id, str(uuid.uuid4())
    world.steps.append((step, world.steps[0][1]))
    world.raised += 1
    relink(world, [*entries_of(world), (cause, f"{RAISED} {step}", SITE)])


def step_not_counted(attempts: list[Attempt], world: World) -> None:
    world.raised -= 1


def given_twice(attempts: list[Attempt], world: World) -> None:
    item = world.changes[-1][0]
    world.changes.append((item, 3, "assigned"))
    world.gave += 1
    relink(world, [*entries_of(world), ("another run", f"{ITEM}assigned.v1 {item}/3", SITE)])


def gift_not_counted(attempts: list[Attempt], world: World) -> None:
    world.gave -= 1


def change_not_told(attempts: list[Attempt], world: World) -> None:
    item = world.changes[-1][0]
    relink(world, [entry for entry in entries_of(world) if not entry[1].endswith(f" {item}/2")])


def change_forgotten(attempts: list[Attempt], world: World) -> None:
    world.changes = [change for change in world.changes if change != world.changes[0]]


def record_lost(_attempts: list[Attempt], world: World) -> None:
    entries = entries_of(world)
    relink(world, entries[:-1])


def swallowed_poison(attempts: list[Attempt], world: World) -> None:
    world.letters.remove(POISON[1])


MUTATIONS: tuple[tuple[Callable[[list[Attempt], World], None], str], ...] = (
    (ack_before_commit, "was acknowledged but is there 0 times"),
    (inbox_skipped, "was acknowledged but is there 2 times"),
    (outbox_row_lost, "1 effects, 0 audit entries"),
    (sequence_reused, "has the sequence 4"),
    (handler_applied_twice, "was acknowledged but is there 2 times"),
    (refused_applied, "was refused but is there 1 times"),
    (tail_cut, "handed out is not in the log"),
    (duplicate_outcome, "has 2 outcomes"),
    (wrong_site, "is in the site elsewhere"),
    (step_told_twice, "was told 2 times"),
    (step_not_told, "was told 0 times"),
    (step_of_nobody, "was told that is not there"),
    (step_taken_twice, "took a step twice"),
    (step_not_counted, "runs say that they told"),
    (given_twice, "was given 2 times"),
    (gift_not_counted, "runs say that they gave"),
    (change_not_told, "1 times in the ledger, 0 times in the audit log"),
    (change_forgotten, "0 times in the ledger, 1 times in the audit log"),
    (record_lost, "has 0 records in the audit log"),
    (swallowed_poison, "is not among the dead letters"),
)


def test_a_sound_world_passes() -> None:
    attempts, world, heads = sound()
    assert check(attempts, world, heads, POISON) == []
    assert tally(attempts, world) == (0, 0)


@pytest.mark.parametrize(("mutate", "said"), MUTATIONS, ids=[mutate.__name__ for mutate, _ in MUTATIONS])
def test_each_mutation_is_found(mutate: Callable[[list[Attempt], World], None], said: str) -> None:
    attempts, world, heads = copy.deepcopy(sound())
    mutate(attempts, world)
    problems = check(attempts, world, heads, POISON)
    assert any(said in problem for problem in problems), problems


@pytest.mark.parametrize(
    "change", ["payload", "hash", "head", "outbox", "letter", "board", "unasked", "bad outcome", "kept"]
)
def test_other_damage_is_found(change: str) -> None:
    attempts, world, heads = sound()
    entry = world.links[2]
    if change == "payload":
        world.links[2] = replace(entry, payload=entry.payload.replace(b"global", b"glibal"))
    elif change == "hash":
        world.links[2] = replace(entry, hash=bytes(32))
    elif change == "head":
        world.head = (world.head[0] + 1, world.head[1])
    elif change == "outbox":
        world.unsent["audit"] = 1
    elif change == "letter":
        world.letters.append(("metrics-telemetry", "cc"))
    elif change == "board":
        world.boards = [("operations of site", 7, 6)]
    elif change == "kept":
        world.unreadable.pop()
    elif change == "unasked":
        world.signals.append(Row("nobody", SITE))
    else:
        gate = first(attempts, "gate").command_id
        world.outcomes = [(command, 504 if command == gate else status) for command, status in world.outcomes]
    assert check(attempts, world, heads, POISON) != []


def test_the_tally_counts_what_was_lost_and_doubled() -> None:
    attempts, world, _ = sound()
    ack_before_commit(attempts, world)
    inbox_skipped(attempts, world)
    assert tally(attempts, world) == (1, 1)


def test_what_was_turned_away_at_the_door_has_left_nothing() -> None:
    attempts, world, heads = sound()
    away = Driver(["http://127.0.0.1:1"], "").plan(signals=0, gates=0, unreadable=1)[0]
    away.answer, away.status = "refused", 429
    assert check([*attempts, away], world, heads, POISON) == []
    world.unreadable.append(Row(away.marker, SITE))
    said = f"I1/I2 unreadable {away.marker} was refused but is there 1 times (429)"
    assert said in check([*attempts, away], world, heads, POISON)
    away.status = 422
    said = f"I2 {away.marker} was refused but its outcome is [] (422)"
    assert said in check([*attempts, away], world, heads, POISON)
