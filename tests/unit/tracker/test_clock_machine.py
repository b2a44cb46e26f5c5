"""An episode, whatever happens in whatever order: runs, claims, hands, pauses, moves, calendars, retirement."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.tracker.domain import hands
from services.tracker.domain.calendars import ALWAYS, Calendar
from services.tracker.domain.changes import Change, answered
from services.tracker.domain.claims import Patch, apply_patch
from services.tracker.domain.deadlines import ClockRefused, SlaRule, Terms, due_at, move, pause, recount, resume
from services.tracker.domain.episodes import judge, retire, wants_terms
from services.tracker.domain.item import Item, is_overdue
from services.tracker.domain.kpi import FLOW, Delta, deltas, stock
from services.tracker.domain.plan import Options, Run, Verdict
from tests.unit.tracker.samples import START, run, verdict

NAMES = ("a", "b", "c")
OFFICE = Calendar((((540, 1020),),) * 5 + ((), ()), "Europe/Berlin")
NIGHTS = Calendar((((0, 360), (1200, 1440)),) * 7, "America/New_York")
RULES = (
    (),
    (SlaRule(2, priority=1), SlaRule(30, priority=3)),
    (SlaRule(None, rule_id="b"), SlaRule(9, rule_id="a", priority=2), SlaRule(None, priority=4)),
)
verdicts = st.tuples(*(st.sampled_from(("pass", "fail", "warning", None)) for _ in NAMES))
names = st.sampled_from(NAMES)


class Clock(RuleBasedStateMachine):
    """A board of three rules, its calendar and SLA rules, and all that was ever told of it."""

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[str, Item] = {}
        self.now: datetime = START
        self.terms = Terms()
        self.runs = 0
        self.sums: Counter[Delta] = Counter()
        self.last: Run = run(0)
        self.responded: set[tuple[str, int]] = set()
        self.kinds: Counter[str] = Counter()

    @initialize(found=st.tuples(*(st.sampled_from(("fail", "warning")) for _ in NAMES)))
    def it_begins_with_work(self, found: tuple[Any, ...]) -> None:
        self.a_run(found, required=True, late_minutes=0)

    @rule(minutes=st.sampled_from((0, 1, 59, 240, 1440, 4321)))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(found=verdicts, required=st.booleans(), late_minutes=st.sampled_from((0, 0, 90)))
    def a_run(self, found: tuple[Any, ...], required: bool, late_minutes: int) -> None:
        self.runs += 1
        said: list[Verdict] = [
            verdict(name, status, required=required)
            for name, status in zip(NAMES, found, strict=True)
            if status is not None
        ]
        decided_at = max(self.now - timedelta(minutes=late_minutes), self.last.decided_at)
        self.last = replace(run(self.runs, *said), decided_at=decided_at, now=self.now)
        terms = self.terms if wants_terms(self.items, self.last) else Terms(Calendar(((),) * 7))
        self.take(judge(self.items, self.last, Options(), terms))

    @rule(name=names, status=st.sampled_from(("done", "blocked", "in_progress")))
    def a_person_claims(self, name: str, status: Any) -> None:
        if (item := self.items.get(name)) is not None and item.is_active:
            self.take([apply_patch(item, Patch(status=status), "ann", self.now)])

    @rule(name=names, what=st.sampled_from(("take", "give", "release", "comment")))
    def it_goes_from_hand_to_hand(self, name: str, what: str) -> None:
        item = self.items.get(name)
        if item is None:
            return
        free = item.is_active and item.status != "done" and item.assignee is None
        before = item.responded_at
        try:
            if what == "take":
                self.take([hands.take(item, "ann", self.now)])
            elif what == "release":
                self.take([hands.release(item, "", "ann", self.now)])
            elif what == "give" and free:
                self.take([hands.give(item, "bob", "least load", self.now)])
                assert self.items[name].responded_at == before, "a run is no person"
            elif what == "comment" and (change := answered(item, "ann", self.now)) is not None:
                assert not change.told, "no tag grows stale"
                self.take([change])
        except hands.NotPossible:
            return

    @rule()
    def the_subject_is_retired(self) -> None:
        self.take(retire(self.items.values(), self.terms, "mia", self.now))

    @rule(name=names)
    def a_person_pauses(self, name: str) -> None:
        self.turn(name, lambda item: pause(item, "vendor", "ann", self.now))

    @rule(name=names)
    def a_person_resumes(self, name: str) -> None:
        self.turn(name, lambda item: resume(item, self.terms.calendar, "ann", self.now))

    @rule(name=names, hours=st.sampled_from((None, 0, 5, 300)))
    def a_person_moves_the_deadline(self, name: str, hours: int | None) -> None:
        due = None if hours is None else self.now + timedelta(hours=hours)
        self.turn(name, lambda item: move(item, due, "promised" if due else "", self.terms.calendar, "mia", self.now))

    @rule(calendar=st.sampled_from((ALWAYS, OFFICE, NIGHTS)))
    def a_calendar_is_published(self, calendar: Calendar) -> None:
        self.terms = replace(self.terms, calendar=calendar)
        active = [item for item in self.items.values() if item.is_active]
        self.take([recount(item, calendar, "mia", self.now) for item in active])

    @rule(rules=st.sampled_from(RULES))
    def rules_are_published(self, rules: tuple[SlaRule, ...]) -> None:
        self.terms = replace(self.terms, rules=rules)

    @precondition(lambda self: self.items)
    @rule(name=names)
    def a_resolved_item_has_no_clock(self, name: str) -> None:
        item = self.items.get(name)
        if item is None or item.is_active:
            return
        with pytest.raises(ClockRefused):
            pause(item, "vendor", "ann", self.now)
        with pytest.raises(ClockRefused):
            resume(item, ALWAYS, "ann", self.now)
        with pytest.raises(ClockRefused):
            move(item, self.now, "promised", ALWAYS, "mia", self.now)

    def turn(self, name: str, what: Any) -> None:
        if (item := self.items.get(name)) is None:
            return
        try:
            change = what(item)
        except ClockRefused:
            return
        self.take([change])

    def take(self, changes: list[Change]) -> None:
        for change in changes:
            if change.before is not None:
                self.moved_for_a_reason(change, change.before)
            self.items[change.item.rule_id] = change.item
            self.kinds[change.kind] += 1
            if change.item.responded_at is not None:
                self.responded.add((change.item.rule_id, change.item.episode))
        for delta in deltas(changes):
            self.sums[delta._replace(amount=0)] += delta.amount

    def moved_for_a_reason(self, change: Change, before: Item) -> None:
        """What the whole machine is about: a deadline never moves by itself, and a verified item has passed."""
        after = change.item
        if change.kind == "retired":
            assert (before.is_active, after.retired_at, after.verified_at) == (True, self.now, None)
        elif before.is_active and not after.is_active:
            assert (change.kind, after.verified_at) == ("resolved", self.last.decided_at)
            assert {one.status for one in self.last.verdicts if one.rule_id == after.rule_id} == {"pass"}
        if before.responded_at is not None and before.episode == after.episode:
            assert after.responded_at == before.responded_at, "the first response stays the first"
        if before.episode != after.episode:
            assert change.kind == "reopened"
            return
        if before.due_at == after.due_at:
            return
        assert change.told, "whoever listens hears of it"
        assert "due_at" in change.changed
        if change.kind in ("resumed", "recounted", "due_moved"):
            assert change.kind != "recounted" or not before.due_by_hand
            return
        ended_pause = before.paused_at is not None and after.paused_at is None
        rose = after.priority < before.priority
        assert ended_pause or rose, (change.kind, before, after)
        if rose and not ended_pause:
            assert not before.due_by_hand
            assert after.due_at is not None
            assert before.due_at is None or after.due_at < before.due_at, "a rise brings it nearer only"

    @invariant()
    def deadlines_are_what_the_calendar_counts(self) -> None:
        for item in self.items.values():
            if item.is_active and not item.due_by_hand:
                assert item.due_at == due_at(self.terms.calendar, item.opened_at, item.sla_hours, item.pauses)
            assert (item.due_reason != "") == item.due_by_hand
            assert (item.pause_reason != "") == (item.paused_at is not None)
            assert item.is_active or item.paused_at is None
            assert item.is_active == (item.verified_at is None and item.retired_at is None)
            assert item.verified_at is None or item.retired_at is None
            assert item.verified_at is None or item.status == "done"
            assert list(item.pauses) == sorted(item.pauses)

    @invariant()
    def counts_add_up(self) -> None:
        counted: Counter[Delta] = Counter()
        for item in self.items.values():
            for delta in stock(item):
                counted[delta._replace(amount=0)] += delta.amount
        assert {key: amount for key, amount in self.sums.items() if amount and key.measure not in FLOW} == dict(counted)
        flow: Counter[str] = Counter()
        for key, amount in self.sums.items():
            flow[key.measure] += amount
        assert flow["backlog"] == flow["open"], "what came and went is what is there"
        assert flow["opened"] + flow["reopened"] == sum(item.episode for item in self.items.values())
        assert (flow["resolved"], flow["refused"]) == (self.kinds["resolved"], self.kinds["refused"])
        assert flow["responded"] == len(self.responded), "one for each episode at the most"
        assert flow["sla_met"] + flow["sla_missed"] <= flow["resolved"]
        due = sum(amount for key, amount in counted.items() if key.measure == "due")
        late = [item for item in self.items.values() if is_overdue(item, self.now)]
        assert len(late) <= due, "whatever is late is among what is due"


Clock.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
test_the_clock = Clock.TestCase
