"""What people say to an escalation, on real PostgreSQL: seen, not now, go on; and what ends it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.common.contracts.tracker.escalation import (
    JOB,
    Acknowledge,
    Snooze,
    acknowledge,
    snooze,
    unacknowledge,
    wake,
)
from libs.common.contracts.tracker.items import ItemKey, ItemPatch, patch_item
from libs.common.problems import Conflict, Invalid, NotFound
from services.tracker import acknowledgement
from tests.integration.tracker_desk import Desk
from tests.integration.tracker_tower import TWO_LEVELS, Tower

pytestmark = pytest.mark.integration


@pytest.fixture
def tower(desk: Desk) -> Tower:
    return Tower(desk)


async def test_done_stops_it_and_a_refused_claim_lets_it_go_on(tower: Tower) -> None:
    await tower.publish(TWO_LEVELS)
    item = (await tower.fails("a"))["a"]
    await tower.run()
    await tower.desk.order(acknowledge, Acknowledge(item_id=item, reason="on it"))
    await tower.desk.order(patch_item, ItemPatch(item_id=item, status="done", assignee="bob"))
    with pytest.raises(Conflict, match="is done"):
        await tower.desk.order(snooze, Snooze(item_id=item, until=tower.desk.now + timedelta(hours=1)))
    tower.desk.later(1)
    await tower.fails("a")
    assert (await tower.state(item)).state == "acknowledged"
    tower.raised()
    await tower.job(JOB)
    assert tower.steps() == [("a", 2, 0)], "the claim was refused, and so is the acknowledgement"
    await tower.desk.order(patch_item, ItemPatch(item_id=item, status="done"))
    assert await tower.tick(40) == []
    assert (await tower.state(item)).state == "resting"
    await tower.fails("a")
    tower.raised()
    await tower.job(JOB)
    assert tower.steps() == [("a", 2, 1)]


async def test_a_new_episode_begins_anew(tower: Tower) -> None:
    await tower.publish(TWO_LEVELS)
    item = (await tower.fails("a"))["a"]
    await tower.run()
    await tower.desk.order(acknowledge, Acknowledge(item_id=item))
    before = {one.key for one in (await tower.state(item)).steps}
    await tower.fails("a", status="pass")
    await tower.fails("a")
    assert (await tower.state(item)).state == "none"
    tower.raised()
    await tower.run()
    assert tower.steps() == [("a", 1, 0)]
    state = await tower.state(item)
    assert (state.episode, len(state.steps)) == (2, 1)
    assert not before & {one.key for one in state.steps}


async def test_acknowledge_and_back(tower: Tower) -> None:
    await tower.publish(TWO_LEVELS)
    item = (await tower.fails("a"))["a"]
    await tower.run()
    tower.desk.told = []
    await tower.desk.order(acknowledge, Acknowledge(item_id=item, reason="on it"), actor="bob")
    (told,) = tower.desk.told
    assert (told.name, told.actor, told.data["reason"]) == ("tracker.escalation.acknowledged", "bob", "on it")
    state = await tower.state(item)
    assert (state.state, state.acknowledged_by, state.reason, state.next_at) == ("acknowledged", "bob", "on it", None)
    with pytest.raises(Conflict, match="by bob already"):
        await tower.desk.order(acknowledge, Acknowledge(item_id=item))
    assert await tower.tick(90) == []
    assert (await tower.run()).raised_count == 0
    await tower.desk.order(unacknowledge, Acknowledge(item_id=item))
    tower.desk.told = []
    assert await tower.tick(31) == [(1, "a", 2, 0), (31, "a", 2, 1)], "the next level's turn has come meanwhile"
    with pytest.raises(Conflict, match="not acknowledged"):
        await tower.desk.order(unacknowledge, Acknowledge(item_id=item))


async def test_acknowledged_or_snoozed_before_it_begins(tower: Tower) -> None:
    ids = await tower.fails("a", "b", "c")
    await tower.desk.order(acknowledge, Acknowledge(item_id=ids["a"]))
    until = tower.desk.now + timedelta(hours=2)
    await tower.desk.order(snooze, Snooze(item_id=ids["b"], until=until))
    tower.raised()
    assert (await tower.run()).started_count == 1
    assert tower.steps() == [("c", 1, 0)]
    tower.desk.later(1.99)
    assert (await tower.run()).started_count == 0
    tower.desk.later(0.01)
    tower.raised()
    assert (await tower.run()).started_count == 1
    assert tower.steps() == [("b", 1, 0)]
    await tower.desk.order(unacknowledge, Acknowledge(item_id=ids["a"]))
    await tower.run()
    assert tower.steps() == [("a", 1, 0)]


async def test_snooze_until_a_time_and_wake(tower: Tower) -> None:
    await tower.publish(TWO_LEVELS)
    item = (await tower.fails("a"))["a"]
    await tower.run()
    now = tower.desk.now
    for until in (now, now + timedelta(days=30, seconds=1)):
        with pytest.raises(Invalid, match="30 days"):
            await tower.desk.order(snooze, Snooze(item_id=item, until=until))
    await tower.desk.order(snooze, Snooze(item_id=item, until=now + timedelta(minutes=30), reason="lunch"), actor="bob")
    tower.desk.told = []
    state = await tower.state(item)
    assert (state.state, state.snoozed_by, state.next_at) == ("snoozed", "bob", now + timedelta(minutes=30))
    assert await tower.tick(31) == [(30, "a", 1, 1)]
    await tower.desk.order(snooze, Snooze(item_id=item, until=tower.desk.now + timedelta(days=1)))
    await tower.desk.order(wake, Acknowledge(item_id=item))
    with pytest.raises(Conflict, match="not snoozed"):
        await tower.desk.order(wake, Acknowledge(item_id=item))
    tower.desk.told = []
    assert await tower.tick(30) == [(19, "a", 1, 2), (29, "a", 2, 0)], "woken it goes on when its next step is due"


async def test_an_item_of_another_site_is_not_there(tower: Tower) -> None:
    item = (await tower.fails("a"))["a"]
    for command, body in (
        (acknowledge, Acknowledge(item_id=item)),
        (wake, Acknowledge(item_id=item)),
        (snooze, Snooze(item_id=item, until=tower.desk.now + timedelta(hours=1))),
    ):
        with pytest.raises(NotFound, match="at this site"):
            await tower.desk.order(command, body, site="elsewhere")
    with pytest.raises(NotFound):
        await acknowledgement.get_escalation(tower.desk.read(), ItemKey(item_id=2**62))
