"""SLA on real PostgreSQL: clocks, calendars, rules, and what counts as overdue."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Command
from libs.common.contracts.governance.runs import gate_decided
from libs.common.contracts.tracker.board import Board
from libs.common.contracts.tracker.calendars import (
    CALENDAR,
    CalendarBody,
    CalendarContent,
    CalendarPreview,
    HolidaysOf,
    OwnDay,
    preview_calendar,
)
from libs.common.contracts.tracker.clocks import DueBody, PauseBody, ResumeBody, move_due, pause_item, resume_item
from libs.common.contracts.tracker.items import Item, ItemPatch, patch_item
from libs.common.contracts.tracker.sla import SLA_RULES, Sla, SlaFilter, SlaRule, SlaRules
from libs.common.contracts.versions import Publication
from libs.common.dispatch import Applied
from libs.common.ids import uuid7
from libs.common.problems import Conflict, Invalid, NotFound
from services.tracker import calendars, completion, gauges
from services.tracker.sla import get_sla
from tests.integration.tracker_desk import START, Desk
from tests.verdicts import decided, rule

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)
OFFICE = CalendarContent(
    zone="Europe/Berlin",
    week={day: ["09:00-17:00"] for day in ("monday", "tuesday", "wednesday", "thursday", "friday")},
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def answer(desk: Desk, command: Command, body: BaseModel, actor: str = "ann") -> Any:
    (ended,) = (await desk.order(command, body, actor)).ended
    assert ended.http_status == 200
    return orjson.loads(ended.body)


async def publish(desk: Desk, content: CalendarContent | SlaRules) -> None:
    if isinstance(content, CalendarContent):
        await answer(desk, CALENDAR.publish, published(content), "mia")
    else:
        await answer(desk, SLA_RULES.publish, Publication[SlaRules](content=content, reason="a test"), "mia")


def published(content: CalendarContent) -> Publication[CalendarContent]:
    return Publication[CalendarContent](content=content, reason="a test")


async def sla(desk: Desk, **wanted: Any) -> Sla:
    return await get_sla(desk.read(), SlaFilter(**wanted))


async def test_a_pause_and_what_it_leaves_behind(desk: Desk) -> None:
    await desk.decided({"a": "fail"})
    item = (await desk.items())["a"]
    desk.later(1)
    desk.told = []
    paused = Item(**await answer(desk, pause_item, PauseBody(item_id=item.id, reason="waits for a vendor")))
    assert (paused.paused_at, paused.pause_reason, paused.due_at) == (desk.now, "waits for a vendor", item.due_at)
    desk.later(10)
    with pytest.raises(Conflict, match="paused already"):
        await desk.order(pause_item, PauseBody(item_id=item.id, reason="x"))
    resumed = Item(**await answer(desk, resume_item, ResumeBody(item_id=item.id)))
    assert resumed.due_at == START + 14 * HOUR
    assert resumed == (await desk.items())["a"], "the answer is what is stored"
    assert resumed.pauses == [START + HOUR, START + 11 * HOUR]
    assert desk.events == ["item.updated", "item.updated"]
    rows = await desk.pool.fetch("SELECT kind, before, after FROM item_change WHERE item = $1 ORDER BY id", item.id)
    assert [row["kind"] for row in rows] == ["opened", "paused", "resumed"]
    assert rows[1]["after"]["pause_reason"] == "waits for a vendor"
    assert rows[2]["after"]["due_at"] == "2026-03-01T23:00:00Z"


async def test_clocks_of_others_and_of_resolved_items_are_refused(desk: Desk) -> None:
    await desk.decided({"a": "fail"})
    item = (await desk.items())["a"]
    bodies: dict[Command, BaseModel] = {
        pause_item: PauseBody(item_id=item.id, reason="x"),
        resume_item: ResumeBody(item_id=item.id),
        move_due: DueBody(item_id=item.id, due_at=None, reason="x"),
    }
    for command, body in bodies.items():
        with pytest.raises(NotFound):
            await desk.order(command, body, site="elsewhere")
    await desk.decided({"a": "pass"})
    for command, body in bodies.items():
        with pytest.raises(Conflict, match="resolved"):
            await desk.order(command, body)


async def test_a_deadline_moved_by_hand_stays(desk: Desk) -> None:
    await desk.decided({"a": "warning"})
    item = (await desk.items())["a"]
    due = START + 50 * HOUR
    moved = Item(**await answer(desk, move_due, DueBody(item_id=item.id, due_at=due, reason="promised"), "mia"))
    assert (moved.due_at, moved.due_by_hand, moved.due_reason, moved.updated_by) == (due, True, "promised", "mia")
    await desk.decided({"a": "fail"})
    await publish(desk, OFFICE)
    assert (await desk.items())["a"].due_at == due
    back = Item(**await answer(desk, move_due, DueBody(item_id=item.id, due_at=None, reason="no longer"), "mia"))
    assert (back.due_at, back.due_by_hand, back.due_reason) == (utc("2026-03-02T12:00"), False, "")


async def test_rules_give_the_hours_of_what_opens_from_then_on(desk: Desk) -> None:
    await desk.decided({"a": "fail"})
    await publish(
        desk,
        SlaRules(
            rules=[SlaRule(sla_hours=None, rule_id="c"), SlaRule(sla_hours=2, severity="required_fail")],
            tiers={"shop": "gold"},
        ),
    )
    await desk.decided({"a": "fail", "b": "fail", "c": "fail", "d": "warning"})
    found = await desk.items()
    assert {rule: (item.sla_hours, item.due_at) for rule, item in found.items()} == {
        "a": (4, START + 4 * HOUR),
        "b": (2, START + 2 * HOUR),
        "c": (None, None),
        "d": (4, START + 4 * HOUR),
    }
    assert list(found) == ["b", "a", "c", "d"], "within a priority, what has no deadline comes last"
    desk.later(1000)
    overview = await completion.get_overview(desk.read(), Board())
    assert overview.overdue_count == (await sla(desk)).metrics.overdue_count == 3


async def test_a_calendar_moves_open_items_and_says_so_before(desk: Desk) -> None:
    # START is Sunday the 1st of March, 09:00 UTC; the office opens on Monday at 08:00 UTC.
    await desk.decided({"a": "fail", "b": "fail", "c": "fail"})
    before = await desk.items()
    await desk.decided({"a": "fail", "b": "fail", "c": "pass"})
    await answer(desk, move_due, DueBody(item_id=before["b"].id, due_at=START, reason="now"))
    desk.later(10)
    desk.told = []
    preview = CalendarPreview(**await answer(desk, preview_calendar, CalendarBody(content=OFFICE), "mia"))
    assert (preview.open_count, preview.moved_count, preview.by_hand_count) == (2, 1, 1)
    assert (preview.earlier_count, preview.later_count, preview.left_out) == (0, 1, 0)
    assert (preview.newly_overdue_count, preview.no_longer_overdue_count) == (0, 1)
    (moved,) = preview.items
    assert (moved.id, moved.due_at, moved.new_due_at) == (before["a"].id, START + 4 * HOUR, utc("2026-03-02T12:00"))
    assert desk.events == ["calendar.previewed"]
    assert (await desk.items())["a"].due_at == START + 4 * HOUR, "nothing has moved yet"
    await publish(desk, OFFICE)
    assert desk.events == ["calendar.published", "item.updated", "calendar.applied"]
    after = await desk.items()
    assert after["a"].due_at == moved.new_due_at
    assert (after["b"].due_at, after["c"].due_at) == (START, before["c"].due_at)
    again = CalendarPreview(**await answer(desk, preview_calendar, CalendarBody(content=OFFICE), "mia"))
    assert again.moved_count == 0
    await desk.decided({"d": "fail"})
    assert (await desk.items())["d"].due_at == utc("2026-03-02T12:00"), "and what opens counts on it"


async def test_a_calendar_for_all_sites_moves_those_that_have_none(desk: Desk, tracker_url: str) -> None:
    await desk.decided({"a": "fail"})
    other = Desk(desk.pool)
    await other.decided({"a": "fail"})
    await publish(other, CalendarContent())
    everywhere = Desk(desk.pool)
    everywhere.site = "global"
    await publish(everywhere, OFFICE)
    try:
        assert (await desk.items())["a"].due_at == utc("2026-03-02T12:00")
        assert (await other.items())["a"].due_at == START + 4 * HOUR
        sites = {event.site for event in everywhere.told if event.name == "tracker.item.updated"}
        assert desk.site in sites, "told where the item is"
        assert other.site not in sites
    finally:
        await publish(everywhere, CalendarContent())
    assert (await desk.items())["a"].due_at == START + 4 * HOUR


async def test_holidays_come_from_the_library_and_own_days_beat_them(desk: Desk) -> None:
    calendar = OFFICE.model_copy(
        update={
            "holidays": HolidaysOf(country="DE", subdivision="BY"),
            "days": [OwnDay(date=date(2026, 4, 6), hours=["10:00-12:00"], name="stocktaking")],
        }
    )
    await publish(desk, calendar)
    desk.now = utc("2026-04-02T14:00")  # the Thursday before Easter, an hour before the office closes
    await desk.decided({"a": "fail"})
    # 1 h on Thursday; Good Friday closed; 2 h on Easter Monday, which is an own day; 1 h on Tuesday.
    assert (await desk.items())["a"].due_at == utc("2026-04-07T08:00")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (CalendarContent(week={}), "no open minute in the 400 days"),
        (CalendarContent(holidays=HolidaysOf(country="ZZ")), "No holidays are known for ZZ"),
        (CalendarContent(holidays=HolidaysOf(country="DE", subdivision="Atlantis")), "known for DE, Atlantis"),
    ],
)
async def test_calendars_that_make_no_sense_are_refused_and_not_published(
    desk: Desk, content: CalendarContent, says: str
) -> None:
    bodies: dict[Command, BaseModel] = {
        preview_calendar: CalendarBody(content=content),
        CALENDAR.publish: published(content),
    }
    for command, body in bodies.items():
        with pytest.raises(Invalid, match=says):
            await desk.order(command, body)
    assert await desk.pool.fetchval("SELECT count(*) FROM document_version WHERE site = $1", desk.site) == 0


async def test_a_calendar_waits_for_runs_under_way_and_moves_what_they_opened(desk: Desk) -> None:
    """The run opens its item by the old calendar; unless the new one waits for it, nobody would ever count it anew."""
    data = decided(rule("a", "fail"), run_number=1, decision="no_go", site=desk.site, at=desk.now)
    message = CloudEvent(str(uuid7()), "/headgate/governance", gate_decided.type, site=desk.site, actor="gus")
    message.data = orjson.loads(data.model_dump_json())
    async with desk.pool.acquire() as connection:
        async with connection.transaction():
            await desk.dispatcher.event(connection, message, desk.now, Applied())
            publishing = asyncio.create_task(publish(desk, OFFICE))
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            async with asyncio.timeout(20):
                while not publishing.done() and not await connection.fetchval(waiting):
                    await asyncio.sleep(0.01)
            assert not publishing.done(), "it did not wait"
        await publishing
    assert (await desk.items())["a"].due_at == utc("2026-03-02T12:00")


async def test_too_many_items_at_once_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendars, "MAX_MOVED", 1)
    await desk.decided({"a": "fail", "b": "fail"})
    with pytest.raises(Conflict, match="calendars of their own"):
        await desk.order(CALENDAR.publish, published(OFFICE))
    assert (await desk.items())["a"].due_at == START + 4 * HOUR


async def test_sla_counts_and_the_ten_of_most_risk(desk: Desk) -> None:
    await publish(desk, SlaRules(rules=[SlaRule(sla_hours=None, rule_id="none")]))
    rules: Any = {f"r{number:02d}": "fail" for number in range(12)}
    await desk.decided(rules | {"w": "warning", "none": "fail", "gone": "fail"})
    found = await desk.items()
    await desk.decided(rules | {"w": "warning", "none": "fail", "gone": "pass"})
    for name, patch in (
        ("r00", {"assignee": "ann", "status": "in_progress"}),
        ("r01", {"assignee": "ann", "status": "done"}),
        ("r02", {"assignee": "bob", "status": "blocked"}),
    ):
        await answer(desk, patch_item, ItemPatch(item_id=found[name].id, **patch))  # type: ignore[arg-type]
    await answer(desk, pause_item, PauseBody(item_id=found["r03"].id, reason="vendor"))
    now = START + 4 * HOUR
    desk.now = now - HOUR / 2
    shown = await sla(desk, due_soon_hours=1)
    assert shown.metrics.model_dump() == {
        "total_items": 14,
        "open_items": 13,
        "pending_count": 11,
        "in_progress_count": 1,
        "done_count": 1,
        "blocked_count": 1,
        "completion_rate_percent": 7,
        "overdue_count": 0,
        "due_soon_count": 11,
        "critical_open_count": 12,
        "unassigned_open_count": 11,
        "paused_count": 1,
        "no_sla_count": 1,
    }
    assert shown.assignee_open_counts == {"unassigned": 11, "ann": 1, "bob": 1}
    assert len(shown.top_risk_items) == 10
    first = shown.top_risk_items[0]
    assert (first.id, first.rule_id, first.due_at, first.minutes_until_due) == (found["r00"].id, "r00", now, 30)
    desk.now = now
    edge = (await sla(desk, due_soon_hours=0)).metrics
    assert (edge.overdue_count, edge.due_soon_count) == (0, 0), "due now is not late; within no hours nothing is due"
    assert (await sla(desk, due_soon_hours=1)).metrics.due_soon_count == 11
    desk.now = now + timedelta(seconds=30)
    late = await sla(desk)
    assert (late.metrics.overdue_count, late.metrics.due_soon_count) == (11, 0)
    assert late.top_risk_items[0].minutes_until_due == -1, "negative when late"
    assert (await sla(desk, subject="site")).metrics == late.metrics
    assert (await sla(desk, subject="other")).metrics.total_items == 0
    empty = await sla(desk, gate="release")
    assert (empty.metrics.completion_rate_percent, empty.top_risk_items, empty.assignee_open_counts) == (100, [], {})
    overview = await completion.get_overview(desk.read(), Board())
    readiness = await completion.get_readiness(desk.read(), Board())
    assert overview.overdue_count == readiness.overdue_count == late.metrics.overdue_count
    registry = CollectorRegistry()
    await desk.pool.execute("UPDATE item SET due_at = due_at - interval '50 years' WHERE site = $1", desk.site)
    await gauges.refresh(desk.pool, registry)
    counted = await desk.pool.fetchval(
        "SELECT count(*) FROM item WHERE gate = 'operations' AND is_active AND status <> 'done' AND paused_at IS NULL "
        "AND due_at < now()"
    )
    assert registry.get_sample_value("headgate_overdue_items", {"gate": "operations"}) == counted


async def test_the_end_of_an_episode_keeps_the_deadline_that_held(desk: Desk) -> None:
    await desk.decided({"a": "fail"})
    item = (await desk.items())["a"]
    await answer(desk, pause_item, PauseBody(item_id=item.id, reason="vendor"))
    desk.later(9)
    await desk.decided({"a": "pass"})
    row = await desk.pool.fetchrow("SELECT due_at, resolved_at FROM item_episode WHERE item = $1", item.id)
    assert row is not None
    assert (row["due_at"], row["resolved_at"]) == (START + 13 * HOUR, START + 9 * HOUR)
    gone = (await desk.items())["a"]
    assert (gone.paused_at, gone.pause_reason) == (None, "")
