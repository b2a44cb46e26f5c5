"""The first response to an episode: what counts as one, and that it is never lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import orjson
import pytest

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.governance.runs import gate_decided
from libs.common.contracts.tracker.comments import CommentAdd, CommentWithdraw, add_comment, withdraw_comment
from libs.common.contracts.tracker.items import ItemPatch, patch_item
from libs.common.contracts.tracker.kpi import SeriesFilter
from libs.common.contracts.tracker.links import LinkAdd, add_link
from libs.common.contracts.tracker.retirement import Retire, retire_board
from libs.common.dispatch import Applied
from libs.common.ids import uuid7
from services.tracker import kpi
from tests.integration.tracker_desk import START, Desk
from tests.verdicts import decided, rule

pytestmark = pytest.mark.integration
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


async def say(desk: Desk, rule_id: str, text: str = "I look into it") -> int:
    item = (await desk.items())[rule_id].id
    (ended,) = (await desk.order(add_comment, CommentAdd(item_id=item, text=text), actor="bob")).ended
    assert ended.http_status == 201, ended.body
    return int(orjson.loads(ended.body)["id"])


async def test_a_comment_is_the_first_response_once_in_each_episode(desk: Desk) -> None:
    await desk.decided({"a": "fail", "b": "fail"})
    desk.later(2)
    before = (await desk.items())["a"]
    await desk.order(add_link, LinkAdd(item_id=before.id, title="ticket", url="https://example.org/1"))
    assert (await desk.items())["a"].responded_at is None, "a link says nothing yet"
    said = await say(desk, "a")
    after = (await desk.items())["a"]
    assert after == before.model_copy(update={"responded_at": START + timedelta(hours=2)}), "and nothing else moves"

    desk.later(1)
    await say(desk, "a", "a disk is full")
    await desk.order(patch_item, ItemPatch(item_id=after.id, assignee="bob"))
    await desk.order(withdraw_comment, CommentWithdraw(item_id=after.id, comment_id=said, for_others=True))
    assert (await desk.items())["a"].responded_at == START + timedelta(hours=2), "the first one stays"
    (today,) = (await kpi.get_series(desk.read(), SeriesFilter(days=1))).days
    assert today.first_response_hours == 2.0

    await desk.decided({"a": "pass", "b": "pass"})
    await say(desk, "b", "what was it?")
    assert (await desk.items())["b"].responded_at is None, "what is over needs no response"
    desk.later(21)
    await desk.decided({"a": "fail", "b": "fail"})
    assert (await desk.items())["a"].responded_at is None
    desk.later(5)
    await say(desk, "a", "again")
    (_, second) = (await kpi.get_series(desk.read(), SeriesFilter(days=2))).days
    assert second.first_response_hours == 5.0, "each episode has its own"


async def test_a_comment_on_what_was_retired_is_no_response(desk: Desk) -> None:
    await desk.decided({"a": "fail"}, gate="release", subject="app")
    item = (await desk.items(gate="release"))["a"]
    await desk.order(retire_board, Retire(gate="release", subject="app", reason="replaced"))
    await desk.order(add_comment, CommentAdd(item_id=item.id, text="good riddance"))
    assert (await desk.items(gate="release"))["a"].responded_at is None


async def test_a_comment_beside_a_verdict_is_not_lost(desk: Desk) -> None:
    """The verdict writes an item as a whole, as it read it: whoever responds meanwhile must wait for the board."""
    await desk.decided({"a": "fail"})
    desk.later(1)
    data = decided(rule("a", "warning"), run_number=2, site=desk.site, at=desk.now)
    message = CloudEvent(str(uuid7()), "/headgate/governance", gate_decided.type, site=desk.site, actor="gus")
    message.data = orjson.loads(data.model_dump_json())
    async with desk.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("SELECT FROM board WHERE site = $1 FOR UPDATE", desk.site)
            saying = asyncio.create_task(say(desk, "a"))
            async with asyncio.timeout(20):
                while not saying.done() and not await connection.fetchval(WAITING):
                    await asyncio.sleep(0.01)
            assert not saying.done(), "it did not wait"
            await desk.dispatcher.event(connection, message, desk.now, Applied())
        await saying
    after = (await desk.items())["a"]
    assert (after.rule_status, after.responded_at) == ("warning", desk.now)
