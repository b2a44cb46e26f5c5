"""What the notifier answers for a step: whom a run reached, and that a level which reached nobody goes on at once."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import orjson
import pytest

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Event, Nothing
from libs.common.contracts.notifier.escalations import (
    EscalationAnswer,
    EscalationDelivery,
    escalation_delivered,
    escalation_failed,
)
from libs.common.contracts.tracker.chains import Level
from libs.common.contracts.tracker.escalation import (
    JOB,
    Acknowledge,
    Escalated,
    Snooze,
    acknowledge,
    snooze,
    unacknowledge,
)
from libs.common.contracts.tracker.items import ItemPatch, patch_item
from libs.common.ids import uuid7
from services.tracker import escalation
from services.tracker.answers import notified
from tests.integration.tracker_desk import Desk
from tests.integration.tracker_tower import BOSS, TEAM, TWO_LEVELS, Tower, chain

pytestmark = pytest.mark.integration


@pytest.fixture
def tower(desk: Desk) -> Tower:
    return Tower(desk)


async def answer(tower: Tower, event: Event, raised: Any, *deliveries: EscalationDelivery, error: str = "") -> None:
    """As the notifier answers for what was raised."""
    told = EscalationAnswer(
        key=raised["key"],
        item_id=raised["item"]["id"],
        level=raised["level"],
        deliveries=list(deliveries),
        error=error or None,
    )
    message = CloudEvent(str(uuid7()), "/headgate/notifier", event.type, site=tower.desk.site, actor="service:notifier")
    await tower.desk.apply(message, told, command=False)


def of(channel: str, state: Any, error: str | None = None) -> EscalationDelivery:
    return EscalationDelivery(channel=channel, kind="slack", state=state, error=error)


async def begun(tower: Tower, *rules: str) -> list[Any]:
    """Items on the first of two levels; what was raised of them."""
    await tower.publish(TWO_LEVELS)
    await tower.fails(*rules)
    await tower.run()
    return tower.raised()


async def latest(tower: Tower) -> Escalated:
    return Escalated.model_validate_json(await escalation.latest(tower.desk.read(), Nothing()))


async def test_a_run_says_whom_it_reached_when_that_is_known(tower: Tower) -> None:
    one, two, three = await begun(tower, "a", "b", "c")
    found = await latest(tower)
    assert (found.notify_attempted, found.notify_dispatched, found.notify_pending_count) == (True, False, 3)
    assert (found.notify_error, found.notify_channels) == (None, [])
    await answer(tower, escalation_delivered, one, of("ops", "delivered"), of("mail", "pending"))
    await answer(tower, escalation_failed, two, of("ops", "failed", "404"), error="bob has no channel.")
    found = await latest(tower)
    assert (found.notify_attempted, found.notify_dispatched, found.notify_pending_count) == (True, True, 1)
    assert found.notify_error == "1 of 3 reached nobody. bob has no channel."
    assert [
        (told.target, told.success, told.error, told.delivered_count, told.failed_count, told.pending_count)
        for told in found.notify_channels
    ] == [("mail", False, None, 0, 0, 1), ("ops", False, "404", 1, 1, 0)]
    await answer(tower, escalation_delivered, three, of("ops", "delivered"))
    assert (await latest(tower)).notify_pending_count == 0
    steps = (await tower.state(one["item"]["id"])).steps
    assert [(step.dispatched, [told.state for told in step.deliveries]) for step in steps] == [
        (True, ["delivered", "pending"])
    ]
    assert (await tower.run()).notify_attempted is False, "this one told nobody of anything"
    assert (await tower.run(dry_run=True)).notify_attempted is False


async def test_a_level_that_reached_nobody_goes_on_at_once_and_once(tower: Tower) -> None:
    (raised,) = await begun(tower, "a")
    await answer(tower, escalation_failed, raised, of("ops", "failed", "refused"), error="None could be told.")
    assert tower.steps() == [("a", 2, 0)], "60 minutes early"
    for _ in range(2):
        await answer(tower, escalation_failed, raised, error="again")
        await answer(tower, escalation_delivered, raised, of("ops", "delivered"))
    assert tower.raised() == []
    found = await tower.state(raised["item"]["id"])
    first = next(step for step in found.steps if step.level == 1)
    assert (first.dispatched, first.error, found.level, found.reached) == (False, "None could be told.", 2, True)
    assert await tower.tick(29) == []
    assert await tower.tick(1) == [(1, "a", 2, 1)], "from here on by the chain"


async def test_a_level_that_was_reached_waits_as_the_chain_says(tower: Tower) -> None:
    (raised,) = await begun(tower, "a")
    await answer(tower, escalation_delivered, raised, of("ops", "delivered"))
    assert await tower.tick(20) == [(20, "a", 1, 1)]
    (again,) = [step for step in (await tower.state(raised["item"]["id"])).steps if step.repeat == 1]
    await answer(tower, escalation_failed, {**raised, "key": again.key}, error="Now it is down.")
    assert tower.raised() == [], "its first telling was heard"
    assert await tower.tick(40) == [(20, "a", 1, 2), (40, "a", 2, 0)]


async def test_a_telling_again_that_fails_too_goes_on(tower: Tower) -> None:
    (raised,) = await begun(tower, "a")
    assert await tower.tick(20) == [(20, "a", 1, 1)]
    (again,) = [step for step in (await tower.state(raised["item"]["id"])).steps if step.repeat == 1]
    await answer(tower, escalation_failed, {**raised, "key": again.key}, error="It is down.")
    assert tower.steps() == [("a", 2, 0)]
    await answer(tower, escalation_failed, raised, error="It was down before.")
    assert tower.raised() == [], "it is further already"


async def test_acknowledged_and_snoozed_ones_stay_where_they_are(tower: Tower) -> None:
    known, asleep, done = await begun(tower, "a", "b", "c")
    until = tower.desk.now + timedelta(hours=5)
    await tower.desk.order(acknowledge, Acknowledge(item_id=known["item"]["id"]))
    await tower.desk.order(snooze, Snooze(item_id=asleep["item"]["id"], until=until))
    await tower.desk.order(patch_item, ItemPatch(item_id=done["item"]["id"], status="done", assignee="bob"))
    tower.desk.told = []
    for raised in (known, asleep, done):
        await answer(tower, escalation_failed, raised, error="None could be told.")
    assert tower.desk.told == []
    assert await tower.tick(59) == []
    await tower.desk.order(unacknowledge, Acknowledge(item_id=known["item"]["id"]))
    tower.desk.told = []
    assert await tower.tick(1) == [(1, "a", 2, 0)]
    tower.desk.now = until - timedelta(minutes=1)
    assert ("b", 2, 0) not in [step[1:] for step in await tower.tick(0)]
    assert (1, "b", 2, 0) in await tower.tick(1), "as soon as the snooze is over"
    assert (await escalation.get_check(tower.desk.read(), Nothing())).unreached_count == 0


async def test_of_the_last_level_it_is_told_and_the_check_shows_it(tower: Tower) -> None:
    await tower.publish(chain(Level(targets=(TEAM,), repeat_minutes=60, max_repeats=2)))
    await tower.fails("a", "b")
    await tower.run()
    first, second = tower.raised()
    await answer(tower, escalation_delivered, second, of("ops", "delivered"))
    await answer(tower, escalation_failed, first, of("ops", "failed", "x"), error="team has no channel.")
    (told,) = tower.desk.told
    assert (told.name, told.data["error"]) == ("tracker.escalation.unreached", "team has no channel.")
    assert (told.data["rule_id"], told.data["level"], told.data["chain"]) == ("a", 1, "test")
    found = await escalation.get_check(tower.desk.read(), Nothing())
    assert (found.status, found.late_count, found.unreached_count) == ("critical", 0, 1)
    assert [(one.rule_id, one.level, one.error) for one in found.unreached] == [("a", 1, "team has no channel.")]
    checked = await tower.job("escalation_check")
    assert checked is not None
    assert (checked.status, checked.detail["unreached_count"]) == ("critical", 1)
    tower.raised()
    assert (60, "a", 1, 1) in await tower.tick(60), "it is told again as the chain says"
    steps = (await tower.state(first["item"]["id"])).steps
    again = next(step for step in steps if step.repeat == 1)
    await answer(tower, escalation_delivered, {**first, "key": again.key}, of("ops", "delivered"))
    assert (await escalation.get_check(tower.desk.read(), Nothing())).unreached_count == 0


async def test_an_answer_that_comes_late_moves_only_its_own_level(tower: Tower) -> None:
    levels = (Level(targets=(TEAM,), wait_minutes=wait) for wait in (0, 5, 60))
    await tower.publish(chain(*levels))
    await tower.fails("a")
    await tower.run()
    (raised,) = tower.raised()
    assert await tower.tick(5) == [(5, "a", 2, 0)]
    await answer(tower, escalation_failed, raised, error="The first level reached nobody.")
    assert tower.raised() == [], "the second may have"
    assert (await tower.state(raised["item"]["id"])).reached
    assert await tower.tick(59) == []


async def test_nobody_misses_what_a_person_has_spoken_for(tower: Tower) -> None:
    await tower.publish(chain(Level(targets=(TEAM,))))
    await tower.fails("a", "b", "c")
    await tower.run()
    known, asleep, done = tower.raised()
    await tower.desk.order(acknowledge, Acknowledge(item_id=known["item"]["id"]))
    await tower.desk.order(snooze, Snooze(item_id=asleep["item"]["id"], until=tower.desk.now + timedelta(hours=1)))
    await tower.desk.order(patch_item, ItemPatch(item_id=done["item"]["id"], status="done", assignee="bob"))
    tower.desk.told = []
    for raised in (known, asleep, done):
        await answer(tower, escalation_failed, raised, error="None could be told.")
    assert tower.desk.told == []
    assert (await escalation.get_check(tower.desk.read(), Nothing())).unreached_count == 0
    tower.desk.later(1)
    found = (await escalation.get_check(tower.desk.read(), Nothing())).unreached
    assert [one.rule_id for one in found] == ["b"], "its snooze is over"


async def test_a_chain_that_is_switched_off_meanwhile_goes_on_when_it_is_on_again(tower: Tower) -> None:
    (raised,) = await begun(tower, "a")
    await tower.publish(TWO_LEVELS, notify_enabled=False)
    tower.desk.told = []
    await answer(tower, escalation_failed, raised, error="None could be told.")
    assert await tower.tick(2) == []
    await tower.publish(TWO_LEVELS)
    assert await tower.tick(1) == [(1, "a", 2, 0)]


async def test_an_answer_for_a_step_that_nobody_took_is_dropped(tower: Tower) -> None:
    (raised,) = await begun(tower, "a")
    for event in (escalation_failed, escalation_delivered):
        await answer(tower, event, {**raised, "key": uuid.uuid4()}, error="whose?")
    assert tower.raised() == []
    assert (await tower.state(raised["item"]["id"])).steps[0].dispatched is None


async def test_the_job_answers_for_its_own_steps_alone(tower: Tower) -> None:
    (raised,) = await begun(tower, "a")
    await tower.fails("a", "b")
    done = await tower.job(JOB)
    assert done is not None
    assert (done.detail["notify_attempted"], done.detail["notify_pending_count"]) == (True, 1)
    await answer(tower, escalation_failed, raised, error="Not of this run.")
    async with tower.desk.pool.acquire() as connection:
        known = await notified(connection, uuid.UUID(done.detail["cause"]))
    assert (known["notify_pending_count"], known["notify_error"]) == (1, None)
    assert orjson.dumps(known["notify_channels"]) == b"[]"


async def test_an_episode_that_ended_is_left_alone(tower: Tower) -> None:
    await tower.publish(chain(Level(targets=(TEAM,)), Level(targets=(BOSS,), wait_minutes=60)))
    await tower.fails("a")
    await tower.run()
    (raised,) = tower.raised()
    await tower.fails("a", status="pass")
    await tower.fails("a")
    tower.raised()
    await answer(tower, escalation_failed, raised, error="None could be told.")
    assert tower.raised() == []
    assert (await tower.state(raised["item"]["id"])).state == "none"
