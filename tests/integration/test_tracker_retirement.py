"""A subject that is released no more: its items are work no longer, its history stays, and a run brings it back."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from libs.common.contracts.tracker.board import Board, SyncBody, sync_board
from libs.common.contracts.tracker.clocks import PauseBody, pause_item
from libs.common.contracts.tracker.items import ItemPatch, patch_item
from libs.common.contracts.tracker.retirement import Retire, retire_board
from libs.common.problems import Conflict, Invalid, NotFound
from services.tracker import completion
from tests.integration.tracker_desk import START, Desk

pytestmark = pytest.mark.integration

SHOP = Board(gate="release", subject="shop")
RETIRE = Retire(gate="release", subject="shop", reason="sold")


@pytest.fixture
async def shop(desk: Desk) -> Desk:
    """A board with an open item, a claim and a resolved item, retired after an hour."""
    await desk.decided({"a": "fail", "b": "fail", "c": "fail"}, gate="release", subject="shop")
    await desk.decided({"a": "fail", "b": "fail", "c": "pass"}, gate="release", subject="shop")
    found = await desk.items(gate="release")
    await desk.order(patch_item, ItemPatch(item_id=found["b"].id, status="done"))
    desk.later(1)
    desk.told = []
    await desk.order(retire_board, RETIRE, actor="mia")
    return desk


async def test_items_of_a_retired_subject_are_work_no_longer_and_stay(shop: Desk) -> None:
    assert shop.events == ["item.updated", "item.updated", "board.retired"]
    assert await shop.listed(gate="release") == []
    found = await shop.items(gate="release")
    now = shop.now
    states = {rule: (item.is_active, item.status, item.retired_at, item.verified_at) for rule, item in found.items()}
    assert states == {
        "a": (False, "pending", now, None),
        "b": (False, "done", now, None),
        "c": (False, "done", None, START),
    }
    shop.later(1000)
    overview = await completion.get_overview(shop.read(), SHOP)
    assert (overview.active_count, overview.overdue_count, overview.closed_count) == (0, 0, 3)
    shown = await completion.get_completion(shop.read(), SHOP)
    assert (shown.retired_at, shown.retired_by, shown.retired_reason) == (now, "mia", "sold")
    kinds = "SELECT kind, actor, after FROM item_change WHERE item = $1 ORDER BY id DESC LIMIT 1"
    row = await shop.pool.fetchrow(kinds, found["a"].id)
    assert row is not None
    assert (row["kind"], row["actor"], row["after"]["is_active"]) == ("retired", "mia", False)
    episodes = "SELECT retired_at FROM item_episode WHERE item = ANY ($1::bigint[]) ORDER BY item"
    ids = [item.id for _, item in sorted(found.items())]
    assert [one["retired_at"] for one in await shop.pool.fetch(episodes, ids)] == [now, now, None]


async def test_what_is_retired_says_so_to_whoever_works_on_it(shop: Desk) -> None:
    item = (await shop.items(gate="release"))["a"]
    with pytest.raises(Conflict, match="its subject was retired"):
        await shop.order(patch_item, ItemPatch(item_id=item.id, status="done"))
    await shop.order(patch_item, ItemPatch(item_id=item.id, completion_note="for the record"))
    with pytest.raises(Conflict, match="mia retired this subject at 2026-03-01 10:00 UTC"):
        await shop.order(retire_board, RETIRE)


async def test_a_later_run_opens_it_again_with_new_deadlines(shop: Desk) -> None:
    shop.later(48)
    shop.told = []
    await shop.decided({"a": "fail", "b": "pass", "c": "pass"}, gate="release", subject="shop")
    assert shop.events == ["board.reopened", "item.reopened"]
    found = await shop.items(gate="release")
    item = found["a"]
    assert (item.is_active, item.episode, item.retired_at) == (True, 2, None)
    assert item.due_at == shop.now + timedelta(hours=4)
    assert not found["b"].is_active
    assert (await completion.get_completion(shop.read(), SHOP)).retired_at is None
    await shop.order(retire_board, RETIRE)
    assert await shop.listed(gate="release") == []


async def test_a_pause_ends_with_the_retirement(desk: Desk) -> None:
    await desk.decided({"a": "fail"}, gate="release", subject="shop")
    item = (await desk.items(gate="release"))["a"]
    await desk.order(pause_item, PauseBody(item_id=item.id, reason="waits for the buyer"))
    desk.later(2)
    await desk.order(retire_board, RETIRE)
    after = (await desk.items(gate="release"))["a"]
    assert item.due_at is not None
    assert (after.paused_at, after.due_at) == (None, item.due_at + timedelta(hours=2))
    ended = await desk.pool.fetchval("SELECT due_at FROM item_episode WHERE item = $1", item.id)
    assert ended == after.due_at


async def test_runs_that_nobody_asked_for_bring_nothing_back(shop: Desk) -> None:
    before = await shop.items(gate="release")
    shop.told = []
    late = shop.now - timedelta(minutes=1)
    await shop.decided({"a": "fail"}, gate="release", subject="shop", at=late)
    shop.later(48)
    await shop.decided({"a": "fail"}, gate="release", subject="shop", trigger="schedule")
    assert (shop.events, await shop.items(gate="release")) == ([], before)
    number = await shop.pool.fetchval("SELECT run_number FROM board WHERE site = $1", shop.site)
    assert number == shop.runs


async def test_a_sync_brings_it_back_though_governance_has_a_slow_clock(shop: Desk) -> None:
    shop.later(0.01)
    body = SyncBody(gate="release", subject="shop", version="1")
    (asked,) = (await shop.order(sync_board, body)).staged
    early = shop.now - timedelta(minutes=5)
    applied = await shop.decided({"a": "fail"}, cause=str(asked.message_id), gate="release", subject="shop", at=early)
    answer = orjson.loads(applied.ended[0].body)
    assert (answer["decision"], answer["reopened_count"], answer["active_count"]) == ("no_go", 1, 1)


async def test_what_cannot_be_retired(desk: Desk) -> None:
    with pytest.raises(NotFound, match="no board of this subject"):
        await desk.order(retire_board, RETIRE)
    await desk.decided({"a": "fail"})
    with pytest.raises(Invalid, match="the site itself"):
        await desk.order(retire_board, Retire(gate="operations", subject="site", reason="closed"))
    await desk.decided({"a": "fail"}, gate="release", subject="shop")
    with pytest.raises(NotFound):
        await desk.order(retire_board, RETIRE, site="elsewhere")
