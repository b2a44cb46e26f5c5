"""The invariants, as pure functions over what was answered (attempts) and what is there (world).

A checker that is blind makes every fault test green. So it knows the chain's format by itself (docs/audit-log.md) and
shares no code with the services, and `test_checker.py` plants bugs that it must find.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from tests.faults.driver import SITE, Attempt
from tests.faults.world import Link, World, envelope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXPECTED_EVENT = {
    "signal": "headgate.governance.signal.recorded.v1",
    "gate": "headgate.governance.gate.decided.v1",
    "sync": "headgate.tracker.board.synced.v1",
    "report": "headgate.governance.signal.recorded.v1",
    "unreadable": "headgate.governance.signal.recorded.v1",
    "escalate": "headgate.tracker.job.finished.v1",
    "assign": "headgate.tracker.job.finished.v1",
    "fly": "headgate.tracker.job.finished.v1",
}
ITEM = "headgate.tracker.item."
# A flight that is forced tells of itself and of the run of each of its two actions.
EVENTS_EACH = {"fly": 3}
RAISED = "headgate.tracker.escalation.raised.v1"
TURNED_AWAY = 429
Poison = tuple[str, str]  # consumer that must bury it, SHA-256 of its bytes


def check(
    attempts: Iterable[Attempt], world: World, heads: Iterable[tuple[int, str]], poison: Iterable[Poison] = ()
) -> list[str]:
    """Every broken invariant as a sentence; an empty list means that all hold."""
    attempts = list(attempts)
    return [
        *effects(attempts, world),
        *audited(attempts, world),
        *outcomes(attempts, world),
        *recorded(world),
        *applied(world),
        *told_once(world),
        *remembered(world),
        *chain(world),
        *prefixes(world, heads),
        *drained(world, poison),
    ]


def key_of(attempt: Attempt) -> str:
    """How an attempt is named where its effect shows."""
    return attempt.command_id if attempt.kind in ("gate", "sync", "escalate", "assign", "fly") else attempt.marker


def effect_counts(world: World) -> dict[str, Counter[str]]:
    """How often each thing is there, by kind and key. A run that the tracker asked for belongs to its sync."""
    return {
        "signal": Counter(row.key for row in world.signals),
        "gate": Counter(row.key for row in world.runs if row.key not in world.sent),
        "sync": Counter(world.sent[row.key] for row in world.runs if row.key in world.sent),
        "refusal": Counter(row.key for row in world.notes),
        "report": Counter(row.key for row in world.reports),
        "unreadable": Counter(row.key for row in world.unreadable),
        "escalate": Counter(row.key for row in world.escalations),
        "assign": Counter(row.key for row in world.assignments),
        "fly": Counter(row.key for row in world.flights),
    }


def _was_read(attempt: Attempt) -> bool:
    """Whether an unreadable report was refused for what it says; with 429 nobody looked: too many came at once."""
    return attempt.kind == "unreadable" and attempt.answer == "refused" and attempt.status != TURNED_AWAY


def _after(attempt: Attempt) -> str:
    return f" ({attempt.status})" if attempt.status else ""


def effects(attempts: list[Attempt], world: World) -> list[str]:
    """I1, I2: acknowledged exactly once, unknown at most once, refused never (an unreadable report is kept all the
    same, once); nothing that nobody asked for."""
    counts, problems = effect_counts(world), []
    for attempt in attempts:
        found = counts[attempt.kind].pop(key_of(attempt), 0)
        allowed = {"acknowledged": {1}, "unknown": {0, 1}, "refused": {0}}[attempt.answer]
        if attempt.kind == "refusal":
            allowed = {0}
        if _was_read(attempt):
            allowed = {1}  # refused, and kept: an older good report must not stay in charge
        if found not in allowed:
            said = f"{attempt.marker} was {attempt.answer} but is there {found} times{_after(attempt)}"
            problems.append(f"I1/I2 {attempt.kind} {said}")
    for kind, left in counts.items():
        problems += [f"I1 a {kind} {key} is there that nobody asked for" for key in left]
    rows = (*world.signals, *world.runs, *world.notes, *world.reports, *world.unreadable)
    for row in (*rows, *world.escalations, *world.assignments, *world.flights):
        if row.site != SITE:
            problems.append(f"I1 {row.key} is in the site {row.site}")
    if len(set(world.run_numbers)) != len(world.run_numbers):
        problems.append("I1 a run number was given twice")
    return problems


def audited(attempts: list[Attempt], world: World) -> list[str]:
    """I1, I2 in the audit log: by causationid, exactly the event of each command that had an effect."""
    seen: dict[str, list[Link]] = defaultdict(list)
    for link in world.links:
        seen[link.causationid].append(link)
    counts, problems = effect_counts(world), []
    good = {command for command, status in world.outcomes if status < 400}
    for attempt in attempts:
        links = [link for link in seen[attempt.command_id] if link.type == EXPECTED_EVENT.get(attempt.kind)]
        # The event of a sync tells that it ended well, which comes after its run.
        had = int(attempt.command_id in good) if attempt.kind == "sync" else counts[attempt.kind][key_of(attempt)]
        if len(links) != had * EVENTS_EACH.get(attempt.kind, 1):
            problems.append(f"I1 {attempt.kind} {attempt.marker}: {had} effects, {len(links)} audit entries")
        problems += [f"I1 {attempt.marker} is audited in the site {link.site}" for link in links if link.site != SITE]
        if attempt.kind == "refusal" and seen[attempt.command_id]:
            problems.append(f"I2 the refused {attempt.marker} is in the audit log")
    for run in world.sent:
        decided = [link for link in seen[run] if link.type == EXPECTED_EVENT["gate"]]
        if len(decided) != sum(row.key == run for row in world.runs):
            problems.append(f"I1 the run {run} for the tracker has {len(decided)} audit entries")
    return problems


def recorded(world: World) -> list[str]:
    """I2 in the audit log: of each command that ended there is one record, whose id is the command's."""
    found = Counter(link.event_id for link in world.links)
    return [
        f"I2 the command {command} has {found[command]} records in the audit log"
        for command, status in dict(world.outcomes).items()
        if status != 500 and found[command] != 1
    ]


def tally(attempts: Iterable[Attempt], world: World) -> tuple[int, int]:
    """(lost, doubled): acknowledged without an effect or an audit entry; effects or audit entries above one."""
    counts = effect_counts(world)
    entries = Counter((link.causationid, link.type) for link in world.links)
    lost = doubled = 0
    for attempt in attempts:
        numbers = (
            counts[attempt.kind][key_of(attempt)],
            entries[(attempt.command_id, EXPECTED_EVENT.get(attempt.kind, ""))],
        )
        lost += attempt.answer == "acknowledged" and attempt.kind != "refusal" and min(numbers) == 0
        doubled += max(numbers) > 1
    return lost, doubled


def outcomes(attempts: list[Attempt], world: World) -> list[str]:
    """Each acknowledged command has exactly one outcome, and a good one."""
    stored: dict[str, list[int]] = {}
    for command, status in world.outcomes:
        stored.setdefault(command, []).append(status)
    problems = []
    for attempt in attempts:
        found = stored.get(attempt.command_id, [])
        if len(found) > 1:
            problems.append(f"I2 {attempt.marker} has {len(found)} outcomes")
        if attempt.answer == "acknowledged" and (not found or found[0] >= 400):
            problems.append(f"I1 {attempt.marker} was acknowledged but its outcome is {found}")
        if _was_read(attempt) and found != [422]:
            problems.append(f"I2 {attempt.marker} was refused but its outcome is {found}{_after(attempt)}")
    return problems


def applied(world: World) -> list[str]:
    """I1 across services: the tracker has applied the last run of every gate."""
    return [
        f"I1 {name}: its last run is {last}, the tracker has seen {seen}"
        for name, last, seen in world.boards
        if last != seen
    ]


def told_once(world: World) -> list[str]:
    """I1 of the escalation: each step is there once, and told once, and counted once by the run that took it."""
    entries = (envelope(link)["data"] for link in world.links if link.type == RAISED)
    told = Counter(str(data["key"]) for data in entries if isinstance(data, dict))
    steps = dict(world.steps)
    problems = [
        f"I1 the step {steps[key]} of an escalation was told {told[key]} times" for key in steps if told[key] != 1
    ]
    problems += [f"I1 a step {key} was told that is not there" for key in told if key not in steps]
    if len(set(steps.values())) != len(world.steps):
        problems.append("I1 an escalation took a step twice")
    if world.raised != len(world.steps):
        problems.append(f"I1 runs say that they told {world.raised} steps, {len(world.steps)} are there")
    return problems


def remembered(world: World) -> list[str]:
    """I1 of items: each change in the ledger is in the audit log once, and the other way round; runs give an item that
    nobody has once, and count it."""
    entries = (envelope(link)["data"] for link in world.links if link.type.startswith(ITEM))
    told = Counter(
        (int(item["id"]), int(item["revision"]))
        for data in entries
        if isinstance(data, dict) and isinstance(item := data.get("item"), dict)
    )
    kept = Counter((item, revision) for item, revision, _ in world.changes)
    given = Counter(item for item, _, kind in world.changes if kind == "assigned")
    problems = [
        f"I1 revision {revision} of the item {item} is {kept[item, revision]} times in the ledger, "
        f"{told[item, revision]} times in the audit log"
        for item, revision in kept | told
        if (kept[item, revision], told[item, revision]) != (1, 1)
    ]
    problems += [f"I1 the item {item} was given {count} times" for item, count in given.items() if count > 1]
    if world.gave != given.total():
        problems.append(f"I1 runs say that they gave {world.gave} items, the ledger has {given.total()}")
    return problems


def chain(world: World) -> list[str]:
    """I3: sequence 1..N, every hash recomputed, every column equal to the event's bytes, the head at the end."""
    problems, previous = [], bytes(32)
    ids: set[str] = set()
    for number, link in enumerate(world.links, 1):
        if link.seq != number:
            problems.append(f"I3 entry {number} has the sequence {link.seq}")
            break
        micros = (link.recorded_at - _EPOCH) // timedelta(microseconds=1)
        body = previous + number.to_bytes(8, "big") + micros.to_bytes(8, "big", signed=True)
        domain = b"headgate.audit.v%d\n" % (link.version or 1)
        expected = hashlib.sha256(domain + body + hashlib.sha256(link.payload).digest()).digest()
        if link.prev_hash != previous or link.hash != expected:
            problems.append(f"I3 entry {number} does not fit the chain")
            break
        event = envelope(link)
        if (event["id"], event["type"], event["site"]) != (link.event_id, link.type, link.site):
            problems.append(f"I3 entry {number} differs from its event")
        if link.event_id in ids:
            problems.append(f"I3 event {link.event_id} is audited twice")
        ids.add(link.event_id)
        previous = link.hash
    if not problems and world.head != (len(world.links), previous):
        problems.append(f"I3 the head says {world.head[0]}, the log ends at {len(world.links)}: a tail was cut")
    return problems


def prefixes(world: World, heads: Iterable[tuple[int, str]]) -> list[str]:
    """I4: every head that was ever handed out is still in the log."""
    by_seq = {link.seq: link.hash.hex() for link in world.links} | {0: bytes(32).hex()}
    return [f"I4 the head {seq} handed out is not in the log" for seq, digest in heads if by_seq.get(seq) != digest]


def drained(world: World, poison: Iterable[Poison]) -> list[str]:
    """I5: outboxes are empty, and the dead letters are exactly the poison that was put in."""
    expected, found = Counter(poison), Counter(world.letters)
    return [
        *(f"I5 {count} messages left in the outbox of {name}" for name, count in world.unsent.items() if count),
        *(f"I5 a dead letter that is no poison: {letter}" for letter in (found - expected).elements()),
        *(f"I5 the poison {letter} is not among the dead letters" for letter in (expected - found).elements()),
    ]
