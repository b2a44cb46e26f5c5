"""The ladder as arithmetic: when which level has its turn, over weekends, gaps, empty levels and late ticks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.common.contracts.tracker import chains as contract
from libs.common.contracts.tracker.chains import CHAINS, Chains
from services.tracker.chains import thaw, to_chain
from services.tracker.domain.calendars import ALWAYS, Calendar
from services.tracker.domain.duty import Duty
from services.tracker.domain.escalation import LATE, Chain, Climb, Level, Position, Target, Told, begin, chain_of, climb
from services.tracker.domain.item import Item
from services.tracker.ladder import why
from tests.unit.tracker.samples import START, apply, run, verdict

OFFICE = Calendar(week=(((540, 1020),),) * 5 + ((), ()))  # 09:00 to 17:00 on weekdays, UTC
FRIDAY = datetime(2026, 3, 6, 16, 0, tzinfo=UTC)
BOSS, TEAM = Target("user", "boss"), Target("user", "team")


def item(**changed: Any) -> Item:
    items: dict[str, Item] = {}
    apply(items, run(1, verdict("a")))
    return replace(items["a"], **changed)


def level(*targets: Target, wait: float = 0, repeat: float | None = None, times: int = 0, **more: Any) -> Level:
    """A level; minutes."""
    again = None if repeat is None else timedelta(minutes=repeat)
    return Level(timedelta(minutes=wait), targets or (TEAM,), again, times, more.get("on_empty", "skip"))


def chain(*levels: Level, business: bool = False) -> Chain:
    return Chain("test", frozenset(), frozenset(), frozenset(), business, levels)


def away(*names: str) -> Duty:
    return Duty(away=frozenset(names))


def story(
    one: Chain, start: datetime, ticks: Iterable[datetime], *, calendar: Calendar = ALWAYS, duty: Duty | None = None
) -> list[tuple[datetime, int, int]]:
    """What is told at which tick: (when, level, repeat)."""
    position, told = begin(start), []
    look_at: datetime | None = start
    for now in ticks:
        if look_at is None or now < look_at:
            continue
        seen = climb(one, item(), position, calendar, now, (duty or Duty()).find)
        position, look_at = seen.position, seen.look_at
        if seen.step is not None:
            told.append((now, seen.step.level, seen.step.repeat))
    return told


def minutes(start: datetime, count: int, every: int = 1) -> list[datetime]:
    return [start + timedelta(minutes=n) for n in range(0, count, every)]


def told_after(told: list[tuple[datetime, int, int]], start: datetime) -> list[tuple[float, int, int]]:
    return [((at - start).total_seconds() / 60, lvl, repeat) for at, lvl, repeat in told]


def test_a_level_repeats_until_the_next_ones_turn() -> None:
    one = chain(level(repeat=20, times=9), level(BOSS, wait=60, repeat=30, times=2))
    told = story(one, START, minutes(START, 600))
    assert told_after(told, START) == [(0, 1, 0), (20, 1, 1), (40, 1, 2), (60, 2, 0), (90, 2, 1), (120, 2, 2)]


def test_one_telling_and_then_silence() -> None:
    assert told_after(story(chain(level(wait=5)), START, minutes(START, 10_000, 5)), START) == [(5, 1, 0)]


def test_ticks_that_come_a_little_late_add_up_to_nothing() -> None:
    ticks = [START + timedelta(minutes=n, seconds=17 + n % 40) for n in range(601)]
    told = story(chain(level(repeat=60, times=20)), START, ticks)
    assert [at.replace(second=0) for at, _, _ in told] == minutes(START, 601, 60)


def test_what_an_outage_missed_does_not_come_all_at_once() -> None:
    one = chain(level(repeat=10, times=9), level(BOSS, wait=30), level(BOSS, wait=30))
    ticks = [START, *minutes(START + timedelta(hours=5), 300)]
    assert told_after(story(one, START, ticks), START) == [(0, 1, 0), (300, 2, 0), (330, 3, 0)]


def test_a_weekend_does_not_spend_the_ladder() -> None:
    one = chain(level(), level(BOSS, wait=120, repeat=60, times=1), business=True)
    told = story(one, FRIDAY, minutes(FRIDAY, 4 * 1440), calendar=OFFICE)
    monday = FRIDAY.replace(day=9, hour=10)
    assert told == [(FRIDAY, 1, 0), (monday, 2, 0), (monday.replace(hour=11), 2, 1)]
    told = story(replace(one, business=False), FRIDAY, minutes(FRIDAY, 1440), calendar=OFFICE)
    assert told_after(told, FRIDAY) == [(0, 1, 0), (120, 2, 0), (180, 2, 1)]


def test_what_begins_on_a_weekend_is_told_on_monday() -> None:
    saturday = FRIDAY + timedelta(days=1)
    one = chain(level(), business=True)
    assert story(one, saturday, minutes(saturday, 3 * 1440), calendar=OFFICE) == [(FRIDAY.replace(day=9, hour=9), 1, 0)]


def test_working_time_that_never_comes_ends_in_the_far_future() -> None:
    rare = Calendar(week=(((0, 1),), (), (), (), (), (), ()))
    seen = climb(chain(level(wait=43_200), business=True), item(), begin(START), rare, START, Duty().find)
    assert seen.step is None
    assert seen.look_at is not None
    assert seen.look_at.year > 2035


def test_a_level_without_anybody_is_skipped_at_once() -> None:
    one = chain(level(repeat=10, times=5), level(BOSS, wait=60, repeat=30, times=1))
    seen = climb(one, item(), begin(START), ALWAYS, START, away("team").find)
    assert [(step.level, step.repeat) for step in seen.skipped] == [(1, 0)]
    assert seen.step is not None
    assert (seen.step.level, seen.step.due_at, seen.told) == (2, START, (Told("user", "boss", ("boss",)),))
    nobody = climb(one, item(), begin(START), ALWAYS, START, away("team", "boss").find)
    assert [(step.level, step.repeat) for step in nobody.skipped] == [(1, 0), (2, 0)]
    assert (nobody.step, nobody.look_at, nobody.waiting) == (None, START + timedelta(minutes=30), False)
    later = climb(one, item(), nobody.position, ALWAYS, START + timedelta(minutes=30), Duty().find)
    assert later.step is not None
    assert (later.step.level, later.step.repeat) == (2, 1)


def test_a_level_without_anybody_may_wait() -> None:
    one = chain(level(on_empty="wait"), level(BOSS, wait=60))
    seen = climb(one, item(), begin(START), ALWAYS, START, away("team").find)
    assert (seen.waiting, seen.step, seen.position, seen.look_at) == (
        True,
        None,
        begin(START),
        START + timedelta(minutes=5),
    )
    back = START + timedelta(minutes=45)
    there = climb(one, item(), seen.position, ALWAYS, back, Duty().find)
    assert there.step is not None
    assert (there.step.level, there.look_at) == (1, back + timedelta(minutes=60)), "the boss waits from the telling on"


def test_a_skipped_level_before_one_that_waits() -> None:
    one = chain(level(), level(BOSS, wait=60, on_empty="wait"))
    seen = climb(one, item(), begin(START), ALWAYS, START, away("team", "boss").find)
    assert (seen.waiting, seen.position.level, len(seen.skipped)) == (True, 1, 1)
    soon = climb(one, item(), seen.position, ALWAYS, START + timedelta(minutes=5), Duty().find)
    assert soon.step is not None
    assert (soon.step.level, soon.skipped) == (2, ())


def test_repeating_to_nobody_holds_up_no_level_behind() -> None:
    one = chain(level(repeat=10, times=9, on_empty="wait"), level(BOSS, wait=60))
    position = climb(one, item(), begin(START), ALWAYS, START, Duty().find).position
    told = []
    for now in minutes(START + timedelta(minutes=1), 90):
        seen = climb(one, item(), position, ALWAYS, now, away("team").find)
        position = seen.position
        told += [seen.step.level] if seen.step else []
        assert not seen.waiting
    assert told == [2]


def test_who_is_there() -> None:
    duty = Duty({"manager": ("mia", "max")}, {"Ops Lead": ("mia",), "DR Owner": ()}, frozenset({"ann"}))
    one = item(assignee="bob", owner_role="Ops Lead")
    assert duty.find(one, Target("channel", "all")) == Told("channel", "all")
    assert duty.find(one, Target("role", "manager")) == Told("role", "manager", ("mia", "max"))
    assert duty.find(one, Target("role", "owner")) is None
    assert duty.find(one, Target("item", "assignee")) == Told("assignee", "bob", ("bob",))
    assert duty.find(item(assignee=None), Target("item", "assignee")) is None
    assert duty.find(item(assignee="ann"), Target("item", "assignee")) is None
    assert duty.find(one, Target("user", "ann")) is None
    assert duty.find(one, Target("item", "owner_role")) == Told("owner_role", "Ops Lead", ("mia",))
    assert duty.find(item(owner_role="DR Owner"), Target("item", "owner_role")) is None
    assert duty.find(item(owner_role="Astronaut"), Target("item", "owner_role")) == Told("owner_role", "Astronaut")
    assert Duty().find(one, Target("role", "owner")) == Told("role", "owner"), "no people are known yet"
    assert away("ann").find(one, Target("role", "owner")) is None


def test_the_first_chain_that_fits_is_the_items() -> None:
    first = replace(chain(level()), name="first", rules=frozenset({"x"}))
    second = replace(chain(level()), name="second", priorities=frozenset({1, 2}), gates=frozenset({"operations"}))
    assert chain_of([first, second], item()) == second
    assert chain_of([first, second], item(rule_id="x", priority=4)) == first
    assert chain_of([first, second], item(gate="release")) is None
    assert chain_of([first, second], item(priority=3)) is None
    assert chain_of([chain(level())], item(priority=3)) is not None


def test_why() -> None:
    one = chain(level(), level())
    step = climb(one, item(), begin(START), ALWAYS, START, Duty().find).step
    assert step is not None
    due = item().due_at
    assert due is not None
    assert why(item(), one, step, due - timedelta(hours=3)) == "a is due in 3 h: level 1 of 2 of the chain test."
    text = why(item(), one, replace(step, repeat=2), due + timedelta(days=4))
    assert text == "a has been overdue for 4 days: level 1 of 2 of the chain test, told again (2)."


def test_keys_are_one_to_an_item_episode_level_and_repeat() -> None:
    step = climb(chain(level()), item(), begin(START), ALWAYS, START, Duty().find).step
    assert step is not None
    keys = {
        replace(step, level=lvl, repeat=repeat).key(item(id=number, episode=episode))
        for lvl in (1, 2)
        for repeat in (0, 1)
        for number in (1, 11)
        for episode in (1, 2)
    }
    assert len(keys) == 16
    assert step.key(item()) == replace(step, due_at=START + LATE).key(item(assignee="bob"))


LEVELS = st.lists(
    st.builds(
        lambda wait, repeat, times, empty: level(
            wait=wait, repeat=repeat if times else None, times=times if repeat else 0, on_empty=empty
        ),
        st.integers(1, 90),
        st.none() | st.integers(5, 60),
        st.integers(0, 3),
        st.sampled_from(["skip", "wait"]),
    ),
    min_size=1,
    max_size=3,
)


@given(LEVELS, st.lists(st.integers(0, 40), max_size=60), st.booleans(), st.sets(st.integers(0, 60)))
def test_however_it_ticks_nothing_is_told_twice_or_out_of_order(
    levels: list[Level], gaps: list[int], business: bool, empty: set[int]
) -> None:
    one, now, seen = chain(*levels, business=business), FRIDAY, list[Climb]()
    position: Position = begin(now)
    for number, gap in enumerate(gaps):
        now += timedelta(minutes=gap)
        found = climb(one, item(), position, OFFICE, now, (away("team") if number in empty else Duty()).find)
        position = found.position
        assert found.look_at is None or found.look_at > now or found.step is not None
        seen.append(found)
    steps = [
        (one.level, one.repeat) for found in seen for one in (*found.skipped, *([found.step] if found.step else []))
    ]
    assert steps == sorted(set(steps))
    assert len({step for step in steps if step[1] == 0}) == max((lvl for lvl, _ in steps), default=0)


def test_a_chain_comes_back_as_it_was_frozen() -> None:
    (default,) = Chains().chains
    found = to_chain(default)
    assert (found.name, found.business, len(found.levels)) == ("default", True, 1)
    assert found.levels[0].targets == (
        Target("item", "assignee"),
        Target("item", "owner_role"),
        Target("channel", "all"),
    )
    assert thaw(default.model_dump_json()) == found
    assert CHAINS.default.include_due_soon_hours == 12


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"targets": [{}]}, "exactly one"),
        ({"targets": [{"user": "ann", "role": "owner"}]}, "exactly one"),
        ({"targets": []}, "at least 1"),
        ({"targets": [{"user": "ann"}], "repeat_minutes": 60}, "go together"),
        ({"targets": [{"user": "ann"}], "max_repeats": 2}, "go together"),
        ({"targets": [{"user": "ann"}], "repeat_minutes": 4, "max_repeats": 2}, "greater than or equal to 5"),
        ({"targets": [{"user": "a\nb"}]}, "printable"),
        ({"targets": [{"user": "ann"}], "waits": 3}, "Extra inputs"),
    ],
)
def test_a_level_that_says_nothing_or_two_things_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        contract.Level.model_validate(wrong)


def test_chains_that_contradict_themselves_are_refused() -> None:
    one: dict[str, Any] = {"name": "a", "levels": [{"targets": [{"user": "ann"}]}]}
    with pytest.raises(ValidationError, match="same name"):
        Chains.model_validate({"chains": [one, one]})
    with pytest.raises(ValidationError, match="at least a minute"):
        contract.Chain.model_validate({**one, "levels": one["levels"] * 2})
    assert Chains.model_validate({"chains": [], "include_due_soon_hours": 0}).include_due_soon_hours == 0
