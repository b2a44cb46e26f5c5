"""Deadlines: hours by rules, rises and falls, pauses, moves by hand, changes of the calendar."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from services.tracker.domain.calendars import ALWAYS, HORIZON, Calendar
from services.tracker.domain.deadlines import (
    MAX_PAUSES,
    ClockRefused,
    SlaRule,
    Terms,
    due_at,
    move,
    pause,
    recount,
    resume,
)
from services.tracker.domain.episodes import judge, wants_terms
from services.tracker.domain.item import Item, is_overdue
from services.tracker.domain.plan import Options
from tests.unit.tracker.samples import START, apply, kinds, run, verdict

HOUR = timedelta(hours=1)
OFFICE = Calendar((((540, 1020),),) * 5 + ((), ()), "Europe/Berlin")  # 09:00 to 17:00, which in winter is 08 to 16 UTC


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opened(status: str = "fail", *, required: bool = True, terms: Terms | None = None, sla_hours: int = 4) -> Item:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a", status, required=required, sla_hours=sla_hours)), terms=terms)  # type: ignore[arg-type]
    return items["a"]


def test_the_first_rule_that_fits_gives_the_hours() -> None:
    terms = Terms(
        rules=(
            SlaRule(2, rule_id="a", site="north", tier="gold"),
            SlaRule(None, priority=4),
            SlaRule(6, tier="gold"),
            SlaRule(7, site="south"),
            SlaRule(8, priority=1),
        ),
        tiers={"shop": "gold"},
    )
    assert terms.sla_hours("north", "shop", "a", 1, 99) == 2
    assert terms.sla_hours("north", "shop", "b", 4, 99) is None, "no SLA is not 0 hours"
    assert terms.sla_hours("north", "shop", "b", 1, 99) == 6
    assert terms.sla_hours("south", "blog", "b", 2, 99) == 7
    assert terms.sla_hours("north", "blog", "b", 1, 99) == 8
    assert terms.sla_hours("north", "blog", "b", 2, 99) == 99, "what the gate's policy says"


def test_without_an_sla_there_is_no_deadline() -> None:
    item = opened(terms=Terms(rules=(SlaRule(None),)))
    assert (item.sla_hours, item.due_at) == (None, None)
    assert not is_overdue(item, START + timedelta(days=4000))
    assert due_at(ALWAYS, START, None) is None


def test_a_deadline_is_counted_on_the_calendar() -> None:
    # START is a Sunday; the office opens on Monday at 08:00 UTC.
    assert opened(terms=Terms(OFFICE), sla_hours=10).due_at == utc("2026-03-03T10:00")


def test_a_deadline_is_never_out_of_reach() -> None:
    assert due_at(ALWAYS, START, 10**12) == START + HORIZON
    assert due_at(Calendar(((),) * 7), START, 1) == START + HORIZON


def test_a_rise_brings_the_deadline_nearer_counted_from_the_opening() -> None:
    terms = Terms(rules=(SlaRule(2, priority=1), SlaRule(24, priority=3)))
    items = {"a": opened("warning", terms=terms)}
    assert items["a"].due_at == START + 24 * HOUR
    apply(items, run(2, verdict("a"), hours=1), terms=terms)
    assert (items["a"].sla_hours, items["a"].due_at) == (2, START + 2 * HOUR)


def test_a_fall_or_a_rise_to_more_hours_moves_nothing() -> None:
    terms = Terms(rules=(SlaRule(2, priority=3), SlaRule(24, priority=1), SlaRule(None, priority=2)))
    items = {"a": opened("warning", terms=terms)}
    for number, (status, required) in enumerate((("fail", False), ("fail", True), ("warning", True)), start=2):
        apply(items, run(number, verdict("a", status, required=required), hours=number), terms=terms)  # type: ignore[arg-type]
        assert (items["a"].sla_hours, items["a"].due_at) == (2, START + 2 * HOUR), (status, required)


def test_a_rise_out_of_no_sla_sets_a_deadline() -> None:
    terms = Terms(rules=(SlaRule(None, priority=3),))
    items = {"a": opened("warning", terms=terms)}
    apply(items, run(2, verdict("a"), hours=30), terms=terms)
    assert items["a"].due_at == START + 4 * HOUR, "counted from the opening, so it is late at once"


def test_paused_time_does_not_count() -> None:
    item = opened()
    paused = pause(item, "waits for a vendor", "ann", START + HOUR)
    assert (paused.kind, paused.changed) == ("paused", ("paused_at", "pause_reason"))
    assert paused.item.due_at == item.due_at, "it moves when the clock runs again"
    assert not is_overdue(paused.item, START + 100 * HOUR), "a paused item is not late"
    resumed = resume(paused.item, ALWAYS, "ann", START + 6 * HOUR)
    assert resumed.item.due_at == START + 9 * HOUR
    assert (resumed.item.paused_at, resumed.item.pause_reason, len(resumed.item.pauses)) == (None, "", 2)
    assert resumed.kind == "resumed"
    assert resumed.item.revision == 3


def test_what_a_person_does_to_a_clock_is_the_response_and_what_a_calendar_does_is_none() -> None:
    item = opened()
    assert recount(item, OFFICE, "mia", START + HOUR).item.responded_at is None
    paused = pause(item, "vendor", "ann", START + HOUR).item
    assert paused.responded_at == START + HOUR
    assert resume(paused, ALWAYS, "ann", START + 2 * HOUR).item.responded_at == START + HOUR, "the first counts"
    assert move(item, START + 9 * HOUR, "promised", ALWAYS, "mia", START + HOUR).item.responded_at == START + HOUR


def test_only_the_working_time_of_a_pause_counts() -> None:
    friday = replace(opened(), opened_at=utc("2026-03-06T10:00"), due_at=utc("2026-03-06T14:00"))
    paused = pause(friday, "vendor", "ann", utc("2026-03-06T12:00")).item
    # 12:00 to 16:00 on Friday and 08:00 to 09:00 on Monday are five working hours; two were left.
    monday = resume(paused, OFFICE, "ann", utc("2026-03-09T09:00")).item
    assert monday.due_at == utc("2026-03-09T11:00")


def test_a_pause_of_a_late_item_keeps_how_late_it_is() -> None:
    paused = pause(opened(), "vendor", "ann", START + 5 * HOUR).item
    assert resume(paused, ALWAYS, "ann", START + 7 * HOUR).item.due_at == START + 6 * HOUR


def test_a_pause_counts_for_a_later_rise() -> None:
    terms = Terms(rules=(SlaRule(2, priority=1), SlaRule(24, priority=3)))
    item = opened("warning", terms=terms)
    item = resume(pause(item, "vendor", "ann", START + HOUR).item, ALWAYS, "ann", START + 4 * HOUR).item
    items = {"a": item}
    apply(items, run(2, verdict("a"), hours=5), terms=terms)
    assert items["a"].due_at == START + 5 * HOUR


@pytest.mark.parametrize("claimed", [False, True])
def test_a_pass_and_a_refused_claim_end_a_pause(claimed: bool) -> None:
    item = pause(opened(), "vendor", "ann", START + HOUR).item
    if claimed:
        item = replace(item, status="done", completion_checked=True, completed_at=START + 2 * HOUR)
    items = {"a": item}
    one = run(2, verdict("a", "fail" if claimed else "pass"), hours=3)
    assert wants_terms(items, one)
    assert kinds(apply(items, one)) == {"a": "refused" if claimed else "resolved"}
    assert items["a"].paused_at is None
    assert items["a"].due_at == START + 6 * HOUR


def test_a_run_decided_before_the_pause_takes_no_time_back() -> None:
    items = {"a": pause(opened(), "vendor", "ann", START + 2 * HOUR).item}
    apply(items, run(2, verdict("a", "pass"), hours=1))
    assert (items["a"].paused_at, list(items["a"].pauses), items["a"].due_at) == (None, [], START + 4 * HOUR)


def test_a_new_episode_begins_with_a_clean_clock() -> None:
    item = move(opened(), START + 50 * HOUR, "promised", ALWAYS, "mia", START + HOUR).item
    items = {"a": resume(pause(item, "v", "ann", START + HOUR).item, ALWAYS, "ann", START + 2 * HOUR).item}
    apply(items, run(2, verdict("a", "pass"), hours=3))
    apply(items, run(3, verdict("a"), hours=9))
    again = items["a"]
    assert (again.episode, again.due_at, again.due_by_hand, again.due_reason) == (2, START + 13 * HOUR, False, "")
    assert (again.paused_at, list(again.pauses)) == (None, [])


def test_what_a_person_set_stays() -> None:
    terms = Terms(rules=(SlaRule(1, priority=1),))
    moved = move(opened("warning"), START + 50 * HOUR, "promised", ALWAYS, "mia", START + HOUR)
    assert (moved.kind, moved.changed) == ("due_moved", ("due_at", "due_by_hand", "due_reason"))
    items = {"a": moved.item}
    apply(items, run(2, verdict("a"), hours=2), terms=terms)
    assert items["a"].due_at == START + 50 * HOUR, "a rise does not overrule a person"
    assert not recount(items["a"], OFFICE, "mia", START + 3 * HOUR).changed, "nor does a calendar"
    paused = pause(items["a"], "vendor", "ann", START + 3 * HOUR).item
    assert resume(paused, ALWAYS, "ann", START + 5 * HOUR).item.due_at == START + 52 * HOUR, "but a pause moves it"
    back = move(items["a"], None, "", ALWAYS, "mia", START + 6 * HOUR).item
    assert (back.due_at, back.due_by_hand) == (START + 4 * HOUR, False)


def test_a_calendar_counts_from_the_opening_with_the_pauses() -> None:
    item = replace(opened(), opened_at=utc("2026-03-06T10:00"))
    item = replace(item, pauses=[utc("2026-03-06T12:00"), utc("2026-03-09T09:00")])
    change = recount(item, OFFICE, "mia", utc("2026-03-09T10:00"))
    assert change.kind == "recounted"
    assert change.item.due_at == utc("2026-03-09T11:00")


def test_what_a_clock_refuses() -> None:
    item = opened()
    paused = pause(item, "vendor", "ann", START).item
    with pytest.raises(ClockRefused, match="paused already"):
        pause(paused, "again", "ann", START)
    with pytest.raises(ClockRefused, match="running"):
        resume(item, ALWAYS, "ann", START)
    often = replace(item, pauses=[START] * 2 * MAX_PAUSES)
    with pytest.raises(ClockRefused, match="100 times"):
        pause(often, "again", "ann", START)
    for due in (START - HOUR, START + HORIZON + HOUR):
        with pytest.raises(ClockRefused, match="due_at must lie"):
            move(item, due, "why", ALWAYS, "mia", START)
    items = {"a": item}
    apply(items, run(2, verdict("a", "pass")))
    with pytest.raises(ClockRefused, match="resolved"):
        pause(items["a"], "x", "ann", START)
    with pytest.raises(ClockRefused, match="resolved"):
        resume(items["a"], ALWAYS, "ann", START)
    with pytest.raises(ClockRefused, match="resolved"):
        move(items["a"], START, "x", ALWAYS, "ann", START)


def test_a_run_wants_terms_only_where_a_deadline_may_be_set() -> None:
    item = opened("warning")
    paused = pause(item, "vendor", "ann", START).item
    gone = {"a": opened()}
    apply(gone, run(2, verdict("a", "pass")))
    for items, status, wanted in (
        ({}, "fail", True),
        ({}, "pass", False),
        (gone, "fail", True),
        (gone, "pass", False),
        ({"a": item}, "warning", False),
        ({"a": item}, "fail", True),
        ({"a": item}, "pass", False),
        ({"a": paused}, "warning", False),
        ({"a": paused}, "fail", True),
        ({"a": paused}, "pass", True),
    ):
        one = run(3, verdict("a", status))  # type: ignore[arg-type]
        assert wants_terms(items, one) == wanted, (status, items)
        if not wanted:
            assert judge(items, one, Options(), Terms(Calendar(((),) * 7))) == judge(items, one, Options(), Terms())


def test_a_holiday_is_no_working_day() -> None:
    closed = Calendar(OFFICE.week, OFFICE.zone, days={date(2026, 3, 2): ()})
    assert opened(terms=Terms(closed), sla_hours=1).due_at == utc("2026-03-03T09:00")
