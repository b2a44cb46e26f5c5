"""A board for each line of a subject: what a run of one line says is no news for the others."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from libs.common.contracts.tracker.board import Board, SyncBody, sync_board
from libs.common.contracts.tracker.completion import CompleteBody, complete_board
from libs.common.contracts.tracker.items import ItemPatch, patch_item
from libs.common.contracts.tracker.retirement import Retire, retire_board
from libs.common.contracts.tracker.sla import SlaFilter
from libs.common.problems import Conflict, Invalid, NotFound
from services.tracker import completion, sla
from tests.integration.tracker_desk import Desk

pytestmark = pytest.mark.integration

SHOP: dict[str, Any] = {"gate": "release", "subject": "shop"}


@pytest.fixture
async def shop(desk: Desk) -> Desk:
    """Two lines that fail the same rule."""
    await desk.decided({"tests": "fail", "scan": "fail"}, **SHOP, line="1.0", version="1.0.5")
    await desk.decided({"tests": "fail"}, **SHOP, line="2.0", version="2.0.0")
    desk.told = []
    return desk


async def open_items(desk: Desk, **more: Any) -> set[tuple[str, str]]:
    """What is to do, by line and rule."""
    return {(item.line, item.rule_id) for item in await desk.listed(**SHOP, **more)}


async def test_a_go_of_one_line_resolves_nothing_of_another(shop: Desk) -> None:
    await shop.decided({"tests": "pass", "scan": "pass"}, **SHOP, line="2.0", version="2.0.1")
    assert shop.events == ["item.resolved"]
    assert await open_items(shop) == {("1.0", "tests"), ("1.0", "scan")}
    assert await open_items(shop, line="2.0") == set()
    assert await open_items(shop, line="") == set()


async def test_a_late_run_of_one_line_is_not_passed_over_for_a_newer_one_of_another(shop: Desk) -> None:
    await shop.decided({"tests": "pass"}, **SHOP, number=9, line="2.0", version="2.0.1")
    await shop.decided({"tests": "pass"}, **SHOP, number=8, line="1.0", version="1.0.6")
    assert await open_items(shop) == {("1.0", "scan")}
    await shop.decided({"scan": "pass"}, **SHOP, number=7, line="1.0", version="1.0.6")  # this one is late for its own
    assert await open_items(shop) == {("1.0", "scan")}


async def test_who_asks_about_a_board_says_which_line_if_there_are_several(shop: Desk) -> None:
    for ask in (completion.get_overview, completion.get_readiness, completion.get_completion):
        with pytest.raises(Invalid, match=r"shop has boards of several lines: 1\.0, 2\.0\. Say which"):
            await ask(shop.read(), Board(**SHOP))
    old = await completion.get_overview(shop.read(), Board(**SHOP, line="1.0"))
    assert (old.line, old.active_count) == ("1.0", 2)
    unknown = await completion.get_readiness(shop.read(), Board(**SHOP, line="3.0"))
    assert (unknown.line, unknown.active_count, unknown.ready) == ("3.0", 0, False)
    await shop.order(retire_board, Retire(**SHOP, line="1.0", reason="No longer kept up."))
    only = await completion.get_overview(shop.read(), Board(**SHOP))
    assert (only.line, only.active_count) == ("2.0", 1)


async def test_one_line_alone_need_not_be_named(desk: Desk) -> None:
    await desk.decided({"tests": "fail"}, **SHOP, line="1.0", version="1.0.5")
    found = await completion.get_completion(desk.read(), Board(**SHOP))
    assert (found.readiness.line, found.readiness.active_count) == ("1.0", 1)
    await desk.decided({"tests": "fail"}, **SHOP, version="0.9")
    with pytest.raises(Invalid, match=r"the one without a name \(line=\), 1\.0"):
        await completion.get_overview(desk.read(), Board(**SHOP))
    assert (await completion.get_overview(desk.read(), Board(**SHOP, line=""))).line == ""


async def test_the_run_says_which_line_is_brought_in_line(shop: Desk) -> None:
    body = SyncBody(**SHOP, version="1.0.6")
    status, answer = await shop.judged(sync_board, body, {"tests": "pass"}, **SHOP, line="1.0", version="1.0.6")
    assert (status, answer["line"], answer["resolved_count"], answer["active_count"]) == (200, "1.0", 1, 1)
    assert answer["items"][0]["line"] == "1.0"
    told = next(event for event in shop.told if event.type.endswith("board.synced.v1"))
    assert (told.data["line"], told.subject) == ("1.0", "release/shop#1.0")


async def test_a_named_line_is_what_the_gate_is_asked_to_judge(shop: Desk) -> None:
    asked = await shop.order(sync_board, SyncBody(**SHOP, version="2.0.1", line="2.0"))
    (sent,) = asked.staged
    assert orjson.loads(sent.payload)["data"]["line"] == "2.0"
    with pytest.raises(Invalid, match="judges the whole site"):
        await shop.order(sync_board, SyncBody(line="2.0"))


async def test_completing_one_line_leaves_the_others_open(shop: Desk) -> None:
    body = CompleteBody(**SHOP, version="2.0.1", completion_note="done")
    status, answer = await shop.judged(complete_board, body, {"tests": "pass"}, **SHOP, line="2.0", version="2.0.1")
    assert (status, answer["status"], answer["readiness"]["line"]) == (200, "completed", "2.0")
    other = await completion.get_completion(shop.read(), Board(**SHOP, line="1.0"))
    assert (other.status, other.readiness.ready) == ("active", False)
    shop.told = []
    await shop.decided({"tests": "fail"}, **SHOP, line="1.0", version="1.0.6")
    assert shop.events == ["item.updated"]  # and not board.reopened
    item = (await shop.listed(**SHOP, line="1.0"))[0]
    await shop.order(patch_item, ItemPatch(item_id=item.id, status="in_progress"))
    assert (await completion.get_completion(shop.read(), Board(**SHOP, line="2.0"))).status == "completed"


async def test_a_line_is_retired_alone_and_a_subject_as_a_whole(shop: Desk) -> None:
    await shop.order(retire_board, Retire(**SHOP, line="1.0", reason="No longer kept up."))
    assert await open_items(shop) == {("2.0", "tests")}
    told = shop.told[-1].data
    assert (told["lines"], told["retired_count"]) == (["1.0"], 2)
    with pytest.raises(Conflict, match="retired this subject"):
        await shop.order(retire_board, Retire(**SHOP, line="1.0", reason="Again."))
    with pytest.raises(NotFound, match="no board of this subject's line"):
        await shop.order(retire_board, Retire(**SHOP, line="7.0", reason="Which?"))
    shop.told = []
    await shop.order(retire_board, Retire(**SHOP, reason="Sold."))
    assert await open_items(shop) == set()
    assert [event.data["lines"] for event in shop.told if event.type.endswith("board.retired.v1")] == [["2.0"]]
    shop.later(1)
    await shop.decided({"tests": "fail", "scan": "fail"}, **SHOP, line="2.0", version="2.0.2")
    assert await open_items(shop) == {("2.0", "tests"), ("2.0", "scan")}  # 1.0 stays retired


async def test_sla_and_sums_count_each_line(shop: Desk) -> None:
    of_all = await sla.get_sla(shop.read(), SlaFilter(**SHOP))
    assert (
        of_all.metrics.open_items == (await sla.get_sla(shop.read(), SlaFilter(gate="release"))).metrics.open_items == 3
    )
    assert [one.line for one in of_all.top_risk_items] == ["1.0", "1.0", "2.0"]
    of_one = await sla.get_sla(shop.read(), SlaFilter(**SHOP, line="2.0"))
    assert (of_one.metrics.open_items, [one.rule_id for one in of_one.top_risk_items]) == (1, ["tests"])
