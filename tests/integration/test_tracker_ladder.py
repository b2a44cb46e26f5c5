"""The ladder on real PostgreSQL: who is told when and how often, also by two at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.tracker.calendars import CALENDAR, CalendarContent
from libs.common.contracts.tracker.chains import Level, Target
from libs.common.contracts.tracker.clocks import (
    DueBody,
    PauseBody,
    ResumeBody,
    move_due,
    pause_item,
    resume_item,
)
from libs.common.contracts.tracker.escalation import JOB, Acknowledge, acknowledge
from libs.common.contracts.tracker.items import ItemPatch, patch_item
from libs.common.contracts.tracker.sla import SLA_RULES, SlaRule, SlaRules
from libs.common.contracts.versions import Publication
from libs.common.ids import uuid7
from libs.common.problems import Refusal
from libs.common.service import JobDone, Tx
from services.tracker.chains import rules_of
from services.tracker.domain.item import to_item
from services.tracker.ladder import advance, first_rungs
from tests.integration.tracker_desk import Desk
from tests.integration.tracker_tower import BOSS, TEAM, TWO_LEVELS, Tower, chain

pytestmark = pytest.mark.integration


@pytest.fixture
def tower(desk: Desk) -> Tower:
    return Tower(desk)


async def test_re_notified_after_the_interval_and_not_before(tower: Tower) -> None:
    await tower.fails("a")
    await tower.run()
    assert len(tower.raised()) == 1
    counts = []
    for _ in range(50):
        tower.desk.later(1)
        await tower.job(JOB)
        counts.append(len(tower.raised()))
    assert [hour for hour, count in enumerate(counts, 1) if count] == [24, 48]


async def test_a_ladder_of_two_levels(tower: Tower) -> None:
    await tower.publish(TWO_LEVELS)
    (item,) = (await tower.fails("a")).values()
    await tower.run()
    assert tower.steps() == [("a", 1, 0)]
    assert await tower.tick(130) == [
        (20, "a", 1, 1),
        (40, "a", 1, 2),
        (60, "a", 2, 0),
        (90, "a", 2, 1),
        (120, "a", 2, 2),
    ]
    state = await tower.state(item)
    assert (state.state, state.chain, state.chains_source, state.level, state.repeat) == (
        "exhausted",
        "test",
        "own",
        2,
        2,
    )
    assert [(one.level, one.repeat, one.outcome) for one in state.steps][-1] == (1, 0, "raised")
    assert len({one.key for one in state.steps}) == 6
    assert (await tower.run()).raised_count == 0


async def test_switched_off_the_ladder_stands_still(tower: Tower) -> None:
    await tower.publish(TWO_LEVELS)
    await tower.fails("a")
    await tower.run()
    await tower.publish(TWO_LEVELS, enabled=False)
    tower.desk.told = []
    assert await tower.tick(70) == []
    await tower.publish(TWO_LEVELS)
    tower.raised()
    assert await tower.tick(1) == [(1, "a", 2, 0)], "of what was missed, only the highest level"


async def test_an_escalation_keeps_the_chain_it_began_with(tower: Tower) -> None:
    await tower.publish(TWO_LEVELS)
    first = (await tower.fails("a"))["a"]
    await tower.run()
    await tower.publish(chain(Level(targets=(BOSS,)), name="other"))
    second = (await tower.fails("a", "b"))["b"]
    await tower.run()
    tower.raised()
    assert [step[1:] for step in await tower.tick(60)] == [("a", 1, 1), ("a", 1, 2), ("a", 2, 0)]
    old, new = await tower.state(first), await tower.state(second)
    assert (old.chain, old.chains_version, new.chain, new.chains_version) == ("test", 1, "other", 2)
    assert old.chain_digest != new.chain_digest


async def test_a_level_without_anybody_is_skipped_or_waits(tower: Tower) -> None:
    nobody = Target(item="assignee")
    skipping = chain(Level(targets=(nobody,)), Level(targets=(BOSS,), wait_minutes=60), name="skips", rules=("a",))
    waiting = chain(Level(targets=(nobody,), on_empty="wait"), Level(targets=(BOSS,), wait_minutes=60), name="waits")
    await tower.publish(skipping, waiting)
    ids = await tower.fails("a", "b")
    tower.raised()
    done = await tower.run()
    assert (done.skipped_count, done.waiting_count, done.raised_count, tower.steps()) == (1, 1, 1, [("a", 2, 0)])
    assert [(one.level, one.outcome) for one in (await tower.state(ids["a"])).steps if one.outcome == "skipped"] == [
        (1, "skipped")
    ]
    assert (await tower.state(ids["b"])).state == "waiting"
    assert await tower.tick(20) == []
    await tower.desk.order(patch_item, ItemPatch(item_id=ids["b"], assignee="bob"))
    assert [step[1:] for step in await tower.tick(6)] == [("b", 1, 0)]


async def _together(tower: Tower, name: str, times: int) -> list[JobDone]:
    done = await asyncio.gather(*(tower.job(name) for _ in range(times)))
    return [one for one in done if one is not None]


async def test_two_replicas_at_once_tell_once(tower: Tower) -> None:
    await tower.publish(chain(Level(targets=(TEAM,), repeat_minutes=20, max_repeats=9)))
    rules = [f"r{n:02d}" for n in range(30)]
    await tower.fails(*rules)
    tower.raised()
    runs = await _together(tower, JOB, 4)
    assert sum(run.detail["started_count"] for run in runs) == len(rules)
    assert Counter(tower.steps()) == {(rule, 1, 0): 1 for rule in rules}
    tower.desk.later(20 / 60)
    await asyncio.gather(*(tower.job(name) for name in ("escalation_ladder", JOB) * 2))
    assert Counter(tower.steps()) == {(rule, 1, 1): 1 for rule in rules}


async def test_the_same_instant_twice_tells_once(tower: Tower) -> None:
    await tower.publish(TWO_LEVELS)
    await tower.fails("a")
    tower.raised()
    for _ in range(2):
        await tower.job(JOB)
    assert tower.steps() == [("a", 1, 0)]
    tower.desk.later(1)
    for _ in range(2):
        await tower.job("escalation_ladder")
    assert tower.steps() == [("a", 2, 0)]


async def test_a_key_that_is_taken_is_told_by_nobody_else(tower: Tower) -> None:
    """Whatever the ladder thinks: if it fell back, its steps are in the table and not told again."""
    await tower.publish(TWO_LEVELS)
    item = (await tower.fails("a"))["a"]
    await tower.run()
    tower.raised()
    await tower.desk.pool.execute(
        "UPDATE escalation SET level = 0, reached = false, look_at = level_at WHERE item = $1", item
    )
    assert await tower.job("escalation_ladder") is None
    assert tower.steps() == []
    with pytest.raises(asyncpg.UniqueViolationError):
        await tower.desk.pool.execute("INSERT INTO escalation_step SELECT * FROM escalation_step WHERE item = $1", item)


async def test_one_site_whose_chains_cannot_be_read_holds_up_no_other(tower: Tower) -> None:
    await tower.publish(TWO_LEVELS)
    await tower.fails("a")
    await tower.run()
    broken = Tower(Desk(tower.desk.pool))
    broken.desk.now = tower.desk.now
    await broken.publish(TWO_LEVELS)
    await broken.fails("x")
    await broken.run()
    await tower.desk.pool.execute(
        "INSERT INTO document_version SELECT kind, site, 2, $2, digest, author, reason, NULL, published_at "
        "FROM document_version WHERE site = $1",
        broken.desk.site,
        '{"ladders": 1}',
    )
    tower.desk.later(1)
    tower.raised()
    done = await tower.job("escalation_ladder")
    assert done is not None
    assert done.status == "warning"
    assert broken.desk.site in done.detail["unreadable_sites"]
    assert tower.desk.site not in done.detail["unreadable_sites"]
    assert tower.steps() == [("a", 2, 0)]
    with pytest.raises(Refusal, match="does not fit this version"):
        await broken.run()


async def test_the_login_can_rewrite_no_step(tower: Tower) -> None:
    for statement in ("DELETE FROM escalation_step", "UPDATE escalation_step SET level = 9", "DELETE FROM escalation"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tower.desk.pool.execute(statement)


async def test_a_word_that_comes_between_looking_and_beginning_counts(tower: Tower) -> None:
    number = (await tower.fails("a"))["a"]
    rows = await tower.desk.pool.fetch("SELECT * FROM item WHERE id = $1", number)
    async with tower.desk.pool.acquire() as connection, connection.transaction():
        rules = await rules_of(connection, tower.desk.site, tower.desk.now)
        seen = first_rungs([to_item(dict(row)) for row in rows], rules, tower.desk.now)
        await tower.desk.order(acknowledge, Acknowledge(item_id=number))
        message = CloudEvent(str(uuid7()), "/headgate/tracker", "job", site=tower.desk.site, actor="service:tracker")
        tx = Tx("tracker", connection, message, tower.desk.now)
        done = await advance(tx, {tower.desk.site: rules}, seen)
    assert (done.started_count, done.raised_count, tx.staged) == (0, 0, [])
    assert (await tower.state(number)).state == "acknowledged"


async def test_a_paused_clock_and_a_deadline_far_away_let_it_rest(tower: Tower) -> None:
    await tower.publish(TWO_LEVELS)
    ids = await tower.fails("a", "b")
    await tower.run()
    tower.raised()
    await tower.desk.order(pause_item, PauseBody(item_id=ids["a"], reason="the vendor"))
    far = tower.desk.now + timedelta(days=9)
    await tower.desk.order(move_due, DueBody(item_id=ids["b"], due_at=far, reason="agreed"))
    tower.desk.told = []
    assert await tower.tick(70) == []
    assert [(await tower.state(ids[name])).state for name in ("a", "b")] == ["resting"] * 2
    assert (await tower.run()).candidate_count == 0
    await tower.desk.order(resume_item, ResumeBody(item_id=ids["a"]))
    tower.desk.told = []
    done = await tower.run()
    assert (done.candidate_count, done.snapshot["metrics"]["open_items"]) == (1, 2)
    assert tower.steps() == [("a", 2, 0)]


async def test_what_is_never_due_is_no_candidate(tower: Tower) -> None:
    await tower.publish(TWO_LEVELS)
    item = (await tower.fails("a"))["a"]
    await tower.run()
    never = SlaRules(rules=[SlaRule(sla_hours=None)])
    await tower.desk.order(SLA_RULES.publish, Publication[SlaRules](content=never, reason="nobody waits for it"))
    await tower.desk.pool.execute("UPDATE item SET due_at = NULL, sla_hours = NULL WHERE id = $1", item)
    tower.desk.told = []
    assert await tower.tick(70) == []
    assert (await tower.run()).candidate_count == 0
    assert (await tower.state(item)).state == "resting"


async def test_a_weekend_of_the_published_calendar_spends_no_ladder(tower: Tower) -> None:
    days = ("monday", "tuesday", "wednesday", "thursday", "friday")
    office = {day: ["09:00-17:00"] for day in days}
    calendar = CalendarContent.model_validate({"week": office, "zone": "Europe/Berlin"})
    await tower.desk.order(CALENDAR.publish, Publication[CalendarContent](content=calendar, reason="office hours"))
    await tower.publish(TWO_LEVELS.model_copy(update={"calendar": "business"}), include_due_soon_hours=96)
    tower.desk.now = datetime(2026, 3, 27, 15, 45, tzinfo=UTC)  # Friday, 16:45 in Berlin
    await tower.fails("a")
    await tower.run()
    tower.raised()
    assert await tower.tick(60) == []
    tower.desk.now = datetime(2026, 3, 30, 6, 59, tzinfo=UTC)  # Monday; the clocks went forward on Sunday
    assert await tower.tick(60) == [(6, "a", 1, 1), (26, "a", 1, 2), (46, "a", 2, 0)]


async def test_a_new_calendar_holds_from_the_next_look_on(tower: Tower) -> None:
    closed = CalendarContent.model_validate({"week": {"monday": ["09:00-17:00"]}})
    await tower.desk.order(CALENDAR.publish, Publication[CalendarContent](content=closed, reason="Mondays"))
    quick = chain(Level(targets=(TEAM,)), Level(targets=(BOSS,), wait_minutes=60), calendar="business")
    await tower.publish(quick, include_due_soon_hours=168)
    tower.desk.now = datetime(2026, 3, 2, 16, 50, tzinfo=UTC)  # ten minutes before the week is over
    await tower.fails("a")
    await tower.run()
    tower.raised()
    assert await tower.tick(60) == []
    always = Publication[CalendarContent](content=CalendarContent(), reason="always")
    await tower.desk.order(CALENDAR.publish, always)
    tower.desk.told = []
    assert await tower.tick(1) == [(1, "a", 2, 0)]
