"""The tracker on PostgreSQL, whatever happens in whatever order: what rows, ledger, sums and events say is one story.

The pure machine is tests/unit/tracker/test_clock_machine.py; this one has few examples and all of SQL.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydantic import BaseModel

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Command
from libs.common.contracts.governance.runs import RuleStatus
from libs.common.contracts.tracker.board import Board, SyncBody, sync_board
from libs.common.contracts.tracker.calendars import CALENDAR, CalendarContent
from libs.common.contracts.tracker.clocks import DueBody, PauseBody, ResumeBody, move_due, pause_item, resume_item
from libs.common.contracts.tracker.comments import CommentAdd, add_comment
from libs.common.contracts.tracker.completion import CompleteBody, complete_board
from libs.common.contracts.tracker.hands import Release, Take, release_item, take_item
from libs.common.contracts.tracker.items import Item, ItemPatch, ItemStatus, patch_item
from libs.common.contracts.tracker.kpi import KpiWindow
from libs.common.contracts.tracker.retirement import Retire, retire_board
from libs.common.contracts.tracker.sla import SLA_RULES, SlaRule, SlaRules
from libs.common.contracts.versions import Publication
from libs.common.ids import uuid7
from libs.common.postgres import make_pool
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Tx
from services.tracker import completion, kpi
from services.tracker.domain.item import to_item
from services.tracker.domain.kpi import FLOW, stock
from tests.integration.tracker_desk import Desk

pytestmark = pytest.mark.integration

NAMES = ("a", "b", "c")
GATE, SUBJECT = "release", "app"
OFFICE = CalendarContent.model_validate(
    {"zone": "Europe/Berlin", "week": {day: ["09:00-17:00"] for day in ("monday", "tuesday", "friday")}}
)
RULES = (SlaRules(), SlaRules(rules=[SlaRule(sla_hours=2, severity="required_fail"), SlaRule(sla_hours=None)]))
names = st.sampled_from(NAMES)
verdicts = st.dictionaries(names, st.sampled_from(("pass", "fail", "warning")), min_size=1)
hours = st.sampled_from((0.0, 0.5, 7.0, 31.0))

ITEMS = "SELECT * FROM item WHERE site = $1"
SUMS = """
SELECT measure, bucket, gate, owner_role, rule_id, assignee, sum(amount)::bigint AS amount
FROM (SELECT * FROM kpi_total UNION ALL SELECT site, measure, bucket, gate, owner_role, rule_id, assignee, amount
    FROM kpi_delta) AS every
WHERE site = $1 GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(amount) <> 0
"""
LEDGER = """
SELECT item_change.* FROM item_change JOIN item ON item.id = item_change.item WHERE site = $1 ORDER BY item_change.id
"""
EPISODES = """
SELECT one.*, item.episode AS present FROM item_episode AS one JOIN item ON item.id = one.item WHERE site = $1
"""
# Rows of what belongs to an item and is no field of it.
BESIDE = ("commented",)
MOVES = ("opened", "reopened", "resumed", "recounted", "due_moved")
ENDS_PAUSE = ("refused", "resolved", "retired")


class Boards(RuleBasedStateMachine):
    """A board of three rules at a site of its own."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.desk = Desk(self.do(make_pool(self.url, schema="tracker", size=2, application="machine")))
        self.told: Counter[tuple[int, int]] = Counter()
        self.passed: dict[str, bool] = {}  # by the last run that named the rule and might open it

    def teardown(self) -> None:
        self.do(self.desk.pool.close())
        self.runner.close()

    def do(self, what: Awaitable[Any]) -> Any:
        async def it() -> Any:
            return await what

        return self.runner.run(it())

    def order(self, command: Command, body: BaseModel) -> Any:
        """What the command answers, or None if it is refused."""
        try:
            applied = self.do(self.desk.order(command, body))
        except (Conflict, NotFound, Invalid):
            return None
        self.listen()
        return orjson.loads(applied.ended[0].body) if applied.ended else None

    def listen(self) -> None:
        for event in self.desk.told:
            if event.name.startswith("tracker.item."):
                self.told[event.data["item"]["id"], event.data["item"]["revision"]] += 1
        self.desk.told = []

    def item(self, name: str) -> Item | None:
        found: dict[str, Item] = self.do(self.desk.items(gate=GATE))
        return found.get(name)

    @initialize(found=st.fixed_dictionaries(dict.fromkeys(NAMES, st.sampled_from(("fail", "warning")))))
    def it_begins_with_work(self, found: dict[str, RuleStatus]) -> None:
        self.a_run(found, "api")

    @rule(later=hours)
    def time_passes(self, later: float) -> None:
        self.desk.later(later)

    @rule(found=verdicts, trigger=st.sampled_from(("api", "schedule")))
    def a_run(self, found: dict[str, RuleStatus], trigger: str) -> None:
        retired = self.is_retired()
        self.do(self.desk.decided(found, gate=GATE, subject=SUBJECT, trigger=trigger))
        self.listen()
        if not (retired and (trigger == "schedule" or self.desk.now <= retired)):
            self.heard(found)

    @rule(found=verdicts)
    def a_run_of_before_comes_late(self, found: dict[str, RuleStatus]) -> None:
        before = self.rows()
        self.do(self.desk.decided(found, gate=GATE, subject=SUBJECT, number=1))
        self.listen()
        assert self.rows() == before

    @rule(found=verdicts, include_warnings=st.booleans(), max_items=st.sampled_from((1, 200)))
    def somebody_syncs(self, found: dict[str, RuleStatus], include_warnings: bool, max_items: int) -> None:
        body = SyncBody(gate=GATE, subject=SUBJECT, version="1", include_warnings=include_warnings, max_items=max_items)
        status, answer = self.do(self.judged(sync_board, body, found, filtered=not include_warnings or max_items == 1))
        assert status == 200
        active = {item["rule_id"] for item in answer["items"]}
        assert answer["active_count"] == len(active)
        failing = {name for name, said in found.items() if said != "pass"}
        assert active >= failing or not include_warnings or max_items == 1, "work is never left out unasked"

    @rule(found=verdicts, force=st.booleans())
    def somebody_completes(self, found: dict[str, RuleStatus], force: bool) -> None:
        body = CompleteBody(gate=GATE, subject=SUBJECT, version="1", force=force, completion_note="we must")
        status, answer = self.do(self.judged(complete_board, body, found))
        open_items = [item for item in self.do(self.desk.items(gate=GATE)).values() if item.is_active]
        ready = not open_items and "fail" not in found.values()
        assert status == (200 if ready or force else 409), answer
        if status == 200:
            assert (answer["status"], answer["force_used"]) == (
                ("completed", False) if ready else ("completed_with_exceptions", True)
            )

    async def judged(
        self, command: Command, body: BaseModel, found: dict[str, RuleStatus], *, filtered: bool = False
    ) -> tuple[int, Any]:
        """A deferred command and its run, which brings a retired board back."""
        asked = await self.desk.order(command, body)
        (sent,) = asked.staged
        self.desk.now += timedelta(seconds=1)
        applied = await self.desk.decided(found, cause=str(sent.message_id), gate=GATE, subject=SUBJECT)
        self.heard({name: said for name, said in found.items() if said == "pass" or not filtered})
        self.listen()
        (ended,) = applied.ended
        return ended.http_status, orjson.loads(ended.body)

    def heard(self, found: dict[str, RuleStatus]) -> None:
        self.passed |= {name: said == "pass" for name, said in found.items()}

    @rule(name=names, change=st.sampled_from(({"status": "done"}, {"status": "blocked"}, {"assignee": "bob"})))
    def a_person_patches(self, name: str, change: dict[str, Any]) -> None:
        if (item := self.item(name)) is not None:
            answer = self.order(patch_item, ItemPatch.model_validate({"item_id": item.id, **change}))
            assert answer is not None or not item.is_active

    @rule(name=names, takes=st.booleans())
    def it_changes_hands(self, name: str, takes: bool) -> None:
        if (item := self.item(name)) is not None:
            body = Take(item_id=item.id) if takes else Release(item_id=item.id)
            self.order(take_item if takes else release_item, body)

    @rule(name=names)
    def a_person_comments(self, name: str) -> None:
        if (item := self.item(name)) is not None:
            assert self.order(add_comment, CommentAdd(item_id=item.id, text="I see"))["author"] == "ann"
            after = self.item(name)
            assert after is not None
            assert not item.is_active or after.responded_at == (item.responded_at or self.desk.now)

    @rule(name=names)
    def a_clock_is_turned(self, name: str) -> None:
        if (item := self.item(name)) is not None:
            paused = item.paused_at is not None
            body = ResumeBody(item_id=item.id) if paused else PauseBody(item_id=item.id, reason="vendor")
            assert (self.order(resume_item if paused else pause_item, body) is None) == (not item.is_active)

    @rule(name=names, later=st.sampled_from((None, 0, 40)))
    def a_deadline_is_moved(self, name: str, later: int | None) -> None:
        if (item := self.item(name)) is not None:
            due = None if later is None else self.desk.now + timedelta(hours=later)
            self.order(move_due, DueBody(item_id=item.id, due_at=due, reason="agreed"))

    @rule(calendar=st.sampled_from((CalendarContent(), OFFICE)))
    def a_calendar_is_published(self, calendar: CalendarContent) -> None:
        assert self.order(CALENDAR.publish, Publication[CalendarContent](content=calendar, reason="hours"))

    @rule(content=st.sampled_from(RULES))
    def rules_are_published(self, content: SlaRules) -> None:
        before = self.rows()
        assert self.order(SLA_RULES.publish, Publication[SlaRules](content=content, reason="tiers"))
        assert self.rows() == before, "they hold for what opens from then on"

    @rule()
    def the_subject_is_retired(self) -> None:
        retired = self.is_retired()
        answer = self.order(retire_board, Retire(gate=GATE, subject=SUBJECT, reason="sold"))
        assert (answer is None) == bool(retired)

    @rule()
    def sums_are_folded(self) -> None:
        async def fold() -> None:
            async with self.desk.pool.acquire() as connection, connection.transaction():
                message = CloudEvent(str(uuid7()), "/x", "x", site=self.desk.site)
                await kpi.fold(Tx("tracker", connection, message, self.desk.now))

        self.do(fold())

    @precondition(lambda self: self.passed)
    @rule(name=names)
    def what_is_over_is_nobodys_to_change(self, name: str) -> None:
        item = self.item(name)
        if item is not None and not item.is_active:
            with pytest.raises(Conflict):
                self.do(self.desk.order(pause_item, PauseBody(item_id=item.id, reason="vendor")))
            status: ItemStatus = "blocked" if item.status == "pending" else "pending"
            with pytest.raises(Conflict):
                self.do(self.desk.order(patch_item, ItemPatch(item_id=item.id, status=status)))

    def is_retired(self) -> Any:
        return self.do(self.desk.pool.fetchval("SELECT retired_at FROM board WHERE site = $1", self.desk.site))

    def rows(self) -> list[Any]:
        return [dict(row) for row in self.do(self.desk.pool.fetch(f"{ITEMS} ORDER BY id", self.desk.site))]

    @invariant()
    def done_is_verified_only_by_a_pass(self) -> None:
        for row in self.rows():
            if row["verified_at"] is not None:
                assert self.passed[row["rule_id"]], row
            assert row["is_active"] == (row["verified_at"] is None and row["retired_at"] is None)
        episodes = self.do(self.desk.pool.fetch(EPISODES, self.desk.site))
        for one in episodes:
            ended = (one["resolved_at"] is not None) + (one["retired_at"] is not None)
            assert ended == 1 or (one["episode"] == one["present"] and ended == 0), (
                "each ends once, the last may be open"
            )

    @invariant()
    def sums_are_a_recount(self) -> None:
        rows = self.do(self.desk.pool.fetch(SUMS, self.desk.site))
        found = {tuple(row)[:-1]: row["amount"] for row in rows if row["measure"] not in FLOW}
        counted: Counter[tuple[Any, ...]] = Counter()
        for row in self.rows():
            for one in stock(to_item(row)):
                counted[one.measure, one.bucket, one.gate, one.owner_role, one.rule_id, one.assignee] += one.amount
        assert found == dict(counted)
        flow: Counter[str] = Counter()
        for row in rows:
            flow[row["measure"]] += row["amount"]
        kinds = Counter(row["kind"] for row in self.ledger())
        assert flow["backlog"] == flow["open"]
        assert flow["opened"] + flow["reopened"] == kinds["opened"] + kinds["reopened"]
        assert (flow["resolved"], flow["refused"]) == (kinds["resolved"], kinds["refused"])

    def ledger(self) -> list[Any]:
        return list(self.do(self.desk.pool.fetch(LEDGER, self.desk.site)))

    @invariant()
    def the_ledger_tells_all(self) -> None:
        """Each change is a row and an event; the rows lead to what is there; a deadline moves for a reason only."""
        kept: Counter[tuple[int, int]] = Counter()
        last: dict[int, dict[str, Any]] = {}
        for row in self.ledger():
            if row["kind"] in BESIDE:
                continue
            kept[row["item"], row["revision"]] += 1
            state = last.setdefault(row["item"], {})
            assert row["kind"] == "opened" or {name: state[name] for name in row["before"]} == row["before"]
            state |= row["after"]
            if "due_at" in row["changed"] and row["kind"] not in MOVES:
                moved_for_a_reason(row)
        for key in kept:
            assert kept[key] == 1, key
            assert self.told[key] >= 1, "a row without an event"
        assert set(self.told) == set(kept), "an event without a row"
        for row in self.rows():
            now = orjson.loads(orjson.dumps(row, option=orjson.OPT_UTC_Z, default=str))
            assert last[row["id"]] == {name: now[name] for name in last[row["id"]]}

    @invariant()
    def counts_add_up(self) -> None:
        read = self.desk.read()
        found = self.do(completion.get_overview(read, Board(gate=GATE, subject=SUBJECT)))
        by_status = found.pending_count + found.in_progress_count + found.done_count + found.blocked_count
        assert by_status == found.active_count
        assert found.active_count + found.closed_count == len(self.rows())
        figures = self.do(kpi.get_kpi(read, KpiWindow(gate=GATE))).metrics
        assert (figures.active_items, figures.total_items) == (found.active_count, len(self.rows()))
        assert (figures.overdue_count, figures.critical_open_count) == (found.overdue_count, found.critical_open_count)


def moved_for_a_reason(row: Any) -> None:
    before, after = row["before"], row["after"]
    if row["kind"] in (*ENDS_PAUSE, "updated") and before.get("paused_at") is not None:
        return
    assert after["priority"] < before["priority"], row
    assert before["due_at"] is None or after["due_at"] < before["due_at"], "a rise brings it nearer only"


def test_whatever_happens_it_is_one_story(tracker_url: str) -> None:
    class Here(Boards):
        url = tracker_url

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            phases=(Phase.generate,),  # on a database a failure is shrunk for minutes
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
