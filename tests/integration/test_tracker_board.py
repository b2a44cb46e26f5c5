"""The tracker's handlers on real PostgreSQL, with its own role: whole boards, order of runs, completion."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import orjson
import pytest
from prometheus_client import CollectorRegistry

from libs.common.cloudevents import CloudEvent, decode
from libs.common.contracts.governance.runs import RuleStatus, gate_decided
from libs.common.contracts.tracker.board import Board, SyncBody, sync_board
from libs.common.contracts.tracker.completion import CompleteBody, complete_board
from libs.common.contracts.tracker.items import ItemKey, ItemPatch, patch_item
from libs.common.ids import uuid7
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Read
from services.tracker import completion, gauges, items
from tests.integration.tracker_desk import START, Desk
from tests.verdicts import decided, rule

pytestmark = pytest.mark.integration


async def test_a_story_of_two_episodes(desk: Desk) -> None:
    await desk.decided({"a": "fail", "b": "fail", "c": "warning", "d": "pass"})
    assert desk.events == ["item.opened"] * 3
    first = await desk.items()
    assert [(one.item_id, one.rule_id, one.priority) for one in first.values()] == [
        ("GR-001", "a", 1),
        ("GR-002", "b", 1),
        ("GR-003", "c", 3),
    ]
    assert first["a"].due_at == START + timedelta(hours=4)
    desk.later(1)
    await desk.decided({"a": "pass", "b": "fail", "c": "warning"})
    assert desk.events == ["item.updated", "item.updated", "item.resolved"]
    second = await desk.items()
    assert (second["a"].is_active, second["a"].verified_at, second["a"].reason) == (False, desk.now, "a: pass")
    assert second["b"].due_at == first["b"].due_at
    assert list(second) == ["b", "c", "a"], "active first"
    desk.later(24)
    await desk.decided({"a": "fail", "b": "pass", "c": "pass"})
    third = (await desk.items())["a"]
    assert (third.id, third.episode, third.status) == (first["a"].id, 2, "pending")
    assert third.due_at == desk.now + timedelta(hours=4)
    episodes = await desk.pool.fetch("SELECT * FROM item_episode WHERE item = $1 ORDER BY episode", third.id)
    assert [(one["opened_by_run"], one["resolved_by_run"], one["due_at"]) for one in episodes] == [
        (1001, 1002, first["a"].due_at),
        (1003, None, third.due_at),
    ]
    assert episodes[0]["resolved_at"] == START + timedelta(hours=1)


async def test_old_and_repeated_runs_change_nothing(desk: Desk) -> None:
    await desk.decided({"a": "pass", "b": "fail"}, number=5)
    desk.told = []
    for number in (4, 5, 1):
        await desk.decided({"a": "fail", "b": "pass"}, number=number)
    assert desk.events == []
    found = await desk.items()
    assert list(found) == ["b"]
    assert found["b"].gate_run_id == 1005


async def test_a_completion_overtaken_by_a_go_of_another_version_is_not_ready(desk: Desk) -> None:
    """The board follows the newer run; whoever asked about version 1 must not read its NO_GO as done."""
    go = decided(rule("a", "pass"), run_number=9, site=desk.site, gate="release", subject="app", version="2")
    message = CloudEvent(str(uuid7()), "/headgate/governance", gate_decided.type, site=desk.site, actor="gus")
    for force, expected in ((False, 409), (True, 200)):
        body = CompleteBody(gate="release", subject="app", version="1", force=force, completion_note="we must")
        (sent,) = (await desk.order(complete_board, body)).staged
        message.id = str(uuid7())
        await desk.apply(message, go, command=False)
        own = decided(
            rule("a", "fail"),
            run_number=8,
            decision="no_go",
            site=desk.site,
            gate="release",
            subject="app",
            version="1",
        )
        late = CloudEvent(
            str(uuid7()), message.source, message.type, site=desk.site, actor="gus", causationid=str(sent.message_id)
        )
        (ended,) = (await desk.apply(late, own, command=False)).ended
        answer = orjson.loads(ended.body)
        assert ended.http_status == expected, answer
        blockers = answer["blockers"] if not force else answer["readiness"]["blockers"]
        assert blockers == ["Run 1008, which this asked for, is NO_GO for version 1."]
    assert (answer["status"], answer["readiness"]["ready"]) == ("completed_with_exceptions", False)


async def test_a_sync_overtaken_by_a_newer_run_is_answered_with_the_newer(desk: Desk) -> None:
    asked = await desk.order(sync_board, SyncBody())
    await desk.decided({"a": "fail"}, number=9)
    desk.told = []
    applied = await desk.decided({"b": "fail"}, number=8, cause=str(asked.staged[0].message_id))
    (ended,) = applied.ended
    result = orjson.loads(ended.body)
    assert (ended.http_status, result["created_count"], result["active_count"]) == (200, 0, 1)
    assert [item["rule_id"] for item in result["items"]] == ["a"]
    assert desk.events == ["board.synced"]


async def test_boards_do_not_meet(desk: Desk) -> None:
    await desk.decided({"a": "fail"}, number=1, gate="release", subject="shop")
    await desk.decided({"a": "fail"}, number=1, gate="release", subject="till")
    await desk.decided({"a": "pass"}, number=2, gate="release", subject="shop")
    assert (await desk.items(gate="release", subject="shop"))["a"].is_active is False
    assert (await desk.items(gate="release", subject="till"))["a"].is_active is True
    assert len(await desk.listed(gate="release")) == 1
    assert await desk.items() == {}


async def test_runs_of_a_board_at_once_end_with_the_newest(desk: Desk) -> None:
    outcomes_of = [{"a": "fail" if number % 2 else "pass", "b": "fail"} for number in range(1, 9)]
    await asyncio.gather(*(desk.decided(rules, number=n) for n, rules in enumerate(outcomes_of, 1)))  # type: ignore[arg-type]
    row = await desk.pool.fetchrow("SELECT run_number, run_id FROM board WHERE site = $1", desk.site)
    assert row is not None
    assert (row["run_number"], row["run_id"]) == (8, 1008)
    found = await desk.items()
    assert found["b"].is_active
    assert "a" not in found or not found["a"].is_active


async def test_sync_opens_only_what_its_options_allow_and_resolves_nothing_left_out(desk: Desk) -> None:
    failing: dict[str, RuleStatus] = {"a": "fail", "b": "fail", "c": "warning"}
    status, result = await desk.judged(sync_board, SyncBody(max_items=1), failing)
    assert (status, result["created_count"], result["synced_count"]) == (200, 1, 1)
    assert result["items"][0]["created_by"] == "ann", "who asked for the run, not the service that ran it"
    assert desk.events == ["item.opened", "board.synced"]
    await desk.decided(failing)
    _, result = await desk.judged(sync_board, SyncBody(include_warnings=False, max_items=1), failing)
    counts = [result[f"{name}_count"] for name in ("created", "reopened", "resolved", "active")]
    assert counts == [0, 0, 0, 3]
    assert (result["decision"], result["include_warnings"], result["max_items"]) == ("no_go", False, 1)


async def test_sync_needs_a_target_that_fits_the_gate(desk: Desk) -> None:
    for body in (
        SyncBody(gate="release"),
        SyncBody(gate="release", subject="shop"),
        SyncBody(gate="release", version="1.0"),
        SyncBody(subject="shop"),
        SyncBody(version="1.0"),
    ):
        with pytest.raises(Invalid, match="subject and version"):
            await desk.order(sync_board, body)
    asked = await desk.order(sync_board, SyncBody(gate="release", subject="shop", version="1.0"))
    wanted = {"gate": "release", "subject": "shop", "version": "1.0", "line": None, "artifact_digest": None}
    assert decode(asked.staged[0].payload).data == wanted
    asked = await desk.order(sync_board, SyncBody())
    assert decode(asked.staged[0].payload).data == {
        "gate": "operations",
        "subject": None,
        "version": None,
        "line": None,
        "artifact_digest": None,
    }


async def test_a_claim_falls_by_a_later_failure_only(desk: Desk) -> None:
    await desk.decided({"a": "fail"})
    item = (await desk.items())["a"]
    desk.later(1)
    await desk.order(patch_item, ItemPatch(item_id=item.id, assignee="bob", status="done"), actor="bob")
    claimed = (await desk.items())["a"]
    assert (claimed.status, claimed.completed_at, claimed.is_active) == ("done", desk.now, True)
    desk.told = []
    await desk.decided({"a": "fail"}, at=desk.now - timedelta(minutes=1))
    assert (desk.events, (await desk.items())["a"].status) == ([], "done")
    desk.later(1)
    await desk.decided({"a": "fail"})
    assert desk.events == ["item.reopened"]
    refused = (await desk.items())["a"]
    assert (refused.status, refused.completed_at, refused.episode) == ("pending", None, 1)
    assert (refused.due_at, refused.assignee) == (item.due_at, "bob")
    assert "Claim refused: run 1003" in refused.completion_note


async def test_patch(desk: Desk) -> None:
    await desk.decided({"a": "fail", "b": "fail"})
    key = (await desk.items())["a"].id
    desk.told = []
    applied = await desk.order(patch_item, ItemPatch(item_id=key))
    (told,) = desk.told
    assert (told.name, told.subject, told.data["changed"]) == ("tracker.item.updated", str(key), [])
    assert orjson.loads(applied.ended[0].body)["id"] == key
    for item_id, site in ((key, "elsewhere"), (2**62, desk.site)):
        with pytest.raises(NotFound, match=f"no item {item_id} at this site"):
            await desk.order(patch_item, ItemPatch(item_id=item_id, status="done"), site=site)
    with pytest.raises(NotFound):
        await items.get_item(Read(desk.pool, "elsewhere", "ann", desk.now), ItemKey(item_id=key))
    await desk.decided({"a": "pass", "b": "fail"})
    with pytest.raises(Conflict, match=r"Item .* is resolved: run 1002 passed a"):
        await desk.order(patch_item, ItemPatch(item_id=key, status="pending"))
    await desk.order(patch_item, ItemPatch(item_id=key, completion_note="for the record", assignee="bob"))
    item = await items.get_item(desk.read(), ItemKey(item_id=key))
    assert (item.completion_note, item.assignee, item.is_active) == ("for the record", "bob", False)


async def test_null_is_nobody_and_nothing_else(desk: Desk) -> None:
    await desk.decided({"a": "fail"})
    key = (await desk.items())["a"].id
    await desk.order(patch_item, ItemPatch(item_id=key, assignee="bob", completion_note="kept"))
    for field in ("status", "completion_checked", "completion_note"):
        with pytest.raises(Invalid, match=f"{field} can't be null; leave the field out"):
            await desk.order(patch_item, ItemPatch.model_validate({"item_id": key, "assignee": None, field: None}))
    assert (await desk.items())["a"].assignee == "bob"
    await desk.order(patch_item, ItemPatch(item_id=key, status="blocked"))
    assert (await desk.items())["a"].assignee == "bob"
    await desk.order(patch_item, ItemPatch(item_id=key, assignee=None))
    item = (await desk.items())["a"]
    assert (item.assignee, item.status, item.completion_note) == (None, "blocked", "kept")


async def test_list_filters(desk: Desk) -> None:
    await desk.decided({"a": "fail", "b": "fail", "c": "pass"})
    await desk.order(patch_item, ItemPatch(item_id=(await desk.items())["b"].id, status="blocked"))
    blocked = await desk.listed(status="blocked")
    assert [item.rule_id for item in blocked] == ["b"]
    assert len(await desk.listed(limit=1)) == 1
    await desk.decided({"a": "pass", "b": "fail"})
    assert [item.rule_id for item in await desk.listed()] == ["b"]


async def test_overview_and_readiness(desk: Desk) -> None:
    readiness = await completion.get_readiness(desk.read(), Board())
    assert (readiness.ready, readiness.completion_rate_percent, readiness.readiness_score_percent) == (False, 100, 0)
    await desk.decided({"a": "fail", "b": "fail", "c": "warning", "d": "fail"})
    found = await desk.items()
    await desk.order(patch_item, ItemPatch(item_id=found["a"].id, status="done", assignee="bob"))
    await desk.order(patch_item, ItemPatch(item_id=found["b"].id, status="blocked"))
    await desk.decided({"a": "fail", "b": "fail", "c": "warning", "d": "pass"})
    desk.later(4)
    assert (await completion.get_overview(desk.read(), Board())).overdue_count == 0, "due now is not yet overdue"
    desk.later(0.1)
    readiness = await completion.get_readiness(desk.read(), Board())
    counts = readiness.model_dump(exclude={"generated_at", "line", "blockers", "ready"})
    assert counts == {
        "total_items": 3,
        "active_count": 3,
        "closed_count": 1,
        "pending_count": 1,
        "in_progress_count": 0,
        "done_count": 1,
        "blocked_count": 1,
        "completion_rate_percent": 33,
        "missing_assignee_count": 2,
        "critical_open_count": 1,
        "overdue_count": 2,
        "missing_completion_checked_count": 2,
        "unverified_done_count": 1,
        "readiness_score_percent": 33,
    }
    assert len(readiness.blockers) == 8
    assert not readiness.ready


async def test_complete_then_reopened_by_a_run_and_by_a_patch(desk: Desk) -> None:
    status, problem = await desk.judged(complete_board, CompleteBody(), {"a": "fail"})
    assert (status, problem["readiness_score_percent"]) == (409, 50)
    assert "1 item is pending." in problem["blockers"]
    assert desk.events == ["item.opened"], "what the fresh run found stays, though completion was refused"
    state = await completion.get_completion(desk.read(), Board())
    assert (state.status, state.last_checked_at) == ("active", desk.now)
    status, result = await desk.judged(complete_board, CompleteBody(completion_note="calm", force=True), {"a": "pass"})
    assert (status, result["status"], result["force_used"]) == (200, "completed", False)
    assert (result["completed_by"], result["completion_note"]) == ("ann", "calm")
    assert result["readiness"]["ready"] is True
    assert desk.events == ["item.resolved", "board.completed"]
    await desk.decided({"a": "pass"})
    assert (await completion.get_completion(desk.read(), Board())).status == "completed"
    await desk.decided({"a": "fail"})
    assert desk.events == ["item.reopened", "board.reopened"]
    state = await completion.get_completion(desk.read(), Board())
    assert (state.status, state.completed_by, state.completed_at, state.completion_note) == ("active", None, None, "")
    body = CompleteBody(completion_note="accepted by the owner", force=True)
    status, result = await desk.judged(complete_board, body, {"a": "fail"})
    assert (status, result["status"], result["force_used"]) == (200, "completed_with_exceptions", True)
    await desk.decided({"a": "fail"})
    item = (await desk.items())["a"]
    await desk.order(patch_item, ItemPatch(item_id=item.id))
    assert (await completion.get_completion(desk.read(), Board())).status == "completed_with_exceptions"
    desk.told = []
    await desk.order(patch_item, ItemPatch(item_id=item.id, assignee="bob"))
    assert desk.events == ["item.updated", "board.reopened"]
    assert (await completion.get_completion(desk.read(), Board())).status == "active"


async def test_force_needs_a_reason(desk: Desk) -> None:
    with pytest.raises(Invalid, match="completion_note"):
        await desk.order(complete_board, CompleteBody(force=True, completion_note="  "))


async def test_a_result_that_contradicts_itself_does_not_pass(desk: Desk) -> None:
    await desk.decided({"a": "fail"})
    odd = rule("a", "pass").model_copy(update={"passed": False})
    message = CloudEvent(str(uuid7()), "/headgate/governance", gate_decided.type, site=desk.site, actor="gus")
    await desk.apply(message, decided(odd, run_number=2, site=desk.site, at=desk.now), command=False)
    assert (await desk.items())["a"].is_active


async def test_the_login_has_no_more_rights_than_it_needs(desk: Desk) -> None:
    kept = ("item", "board", "item_episode", "item_change")
    statements = [f"DELETE FROM {table}" for table in kept]
    for statement in (*statements, "TRUNCATE run_request", "UPDATE item_change SET actor = 'bob'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await desk.pool.execute(statement)


async def test_gauges(desk: Desk) -> None:
    registry = CollectorRegistry()
    gate = f"g{desk.site}"

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {"gate": gate, **labels})

    await desk.decided({"a": "fail", "b": "fail"}, gate=gate)
    await gauges.refresh(desk.pool, registry)
    assert value("headgate_open_items", status="pending") == 2
    assert value("headgate_overdue_items") == 2, "the runs of this test lie in the past"
    await desk.decided({"a": "pass", "b": "pass"}, gate=gate)
    await gauges.refresh(desk.pool, registry)
    assert value("headgate_open_items", status="pending") is None
