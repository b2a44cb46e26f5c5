"""The tracker as a running service: verdicts in, items and answers out, over real NATS and PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from libs.common.cloudevents import CloudEvent, decode
from libs.common.contracts.governance.runs import RuleResult, gate_decided, run_gate
from libs.common.contracts.tracker.board import board_reopened, board_synced, get_overview, sync_board
from libs.common.contracts.tracker.completion import board_completed, complete_board, get_completion
from libs.common.contracts.tracker.item_lists import list_items
from libs.common.contracts.tracker.items import (
    get_item,
    item_opened,
    item_reopened,
    item_resolved,
    patch_item,
)
from services.tracker.service import SERVICE
from tests.stack import Answer, Stack
from tests.verdicts import decided, rule

pytestmark = pytest.mark.integration

SITE = "north"


class Floor:
    """The tracker, and governance's part played by the test: it takes run commands and tells verdicts."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.number = 0

    async def judge(self, *rules: RuleResult, cause: str = "", number: int = 0) -> str:
        """Tell a verdict of the operations gate; returns the event's id."""
        self.number = max(self.number, number or self.number + 1)
        data = decided(
            *rules,
            run_number=number or self.number,
            decision="no_go" if any(one.status == "fail" for one in rules) else "go",
            site=SITE,
            at=self.stack.clock(),
        )
        return await self.stack.publish(gate_decided, data, site=SITE, causationid=cause)

    async def settled(self, *rules: RuleResult, number: int = 0) -> None:
        """Tell a verdict and await that it is applied."""
        await self.judge(*rules, number=number)
        await self.stack.idle("tracker")

    async def asked(self) -> CloudEvent:
        """The newest command to run the gate."""
        await self.stack.idle("tracker")
        topology = self.stack.topology
        subject = f"{topology.namespace}.command.{run_gate.name}.*"
        message = await self.stack.bus.js.get_last_msg(topology.commands_stream, subject)
        return decode(message.data or b"")

    async def order(self, command: Any, body: dict[str, Any], *rules: RuleResult) -> Answer:
        """A deferred command, with the verdict that it asks for."""
        command_id = await self.stack.post(command, body, site=SITE)
        await self.judge(*rules, cause=(await self.asked()).id)
        return await self.stack.outcome(command_id)

    async def patch(self, item_id: int, site: str = SITE, **fields: Any) -> Answer:
        return await self.stack.command(patch_item, {"item_id": item_id, **fields}, site=site)

    async def items(self, **params: Any) -> dict[str, dict[str, Any]]:
        answer = await self.stack.query(list_items, {"include_inactive": True, **params}, site=SITE)
        assert answer.status == 200, answer
        return {item["rule_id"]: item for item in answer.json}


@pytest.fixture
async def floor(stack: Stack) -> Floor:
    await stack.start(SERVICE)
    return Floor(stack)


async def test_a_rule_in_shadow_opens_nothing_and_ends_what_it_opened(floor: Floor) -> None:
    await floor.settled(rule("disk", "fail"), rule("new", "shadow"))
    assert set(await floor.items()) == {"disk"}
    await floor.settled(rule("disk", "shadow"))
    assert (await floor.items())["disk"]["is_active"] is True
    await floor.settled(rule("disk", "shadow").model_copy(update={"passed": True}))
    assert (await floor.items())["disk"]["is_active"] is False


async def test_no_go_is_worked_on_and_go_resolves(floor: Floor, stack: Stack) -> None:
    await floor.settled(rule("disk", "fail"), rule("drill", "warning", required=False))
    opened = await stack.heard(item_opened, lambda event: event.data["item"]["rule_id"] == "disk")
    disk = (await floor.items())["disk"]
    assert opened.data["item"] == disk
    assert (opened.subject, opened.site) == (str(disk["id"]), SITE)
    assert (disk["item_id"], disk["status"], disk["priority"], disk["sla_hours"]) == ("GR-001", "pending", 1, 4)
    stack.clock.advance(hours=1)
    claimed = await floor.patch(disk["id"], assignee="bob", status="done")
    assert (claimed.status, claimed.json["completion_checked"], claimed.json["assignee"]) == (200, True, "bob")
    stack.clock.advance(hours=1)
    await floor.settled(rule("disk", "pass"), rule("drill", "pass", required=False))
    await stack.heard(item_resolved, lambda event: event.data["item"]["rule_id"] == "drill")
    resolved = (await floor.items())["disk"]
    assert (resolved["is_active"], resolved["status"], resolved["due_at"]) == (False, "done", disk["due_at"])
    assert resolved["completed_at"] == claimed.json["completed_at"] < resolved["verified_at"]
    overview = await stack.query(get_overview, {}, site=SITE)
    assert (overview.json["active_count"], overview.json["closed_count"]) == (0, 2)


async def test_a_claim_that_a_later_run_does_not_confirm_comes_back(floor: Floor, stack: Stack) -> None:
    await floor.settled(rule("disk", "fail"))
    before = (await floor.items())["disk"]
    stack.clock.advance(hours=1)
    await floor.patch(before["id"], status="done")
    stack.clock.advance(hours=1)
    await floor.settled(rule("disk", "fail"))
    told = await stack.heard(item_reopened)
    assert told.data["changed"] == ["status", "completion_checked", "completion_note", "completed_at"]
    after = (await floor.items())["disk"]
    assert (after["status"], after["completed_at"], after["episode"]) == ("pending", None, 1)
    assert after["due_at"] == before["due_at"]
    assert "Claim refused" in after["completion_note"]


async def test_sync_answers_with_the_board_after_a_fresh_run(floor: Floor, stack: Stack) -> None:
    failing = (rule("disk", "fail"), rule("drill", "warning", required=False))
    answer = await floor.order(sync_board, {"include_warnings": False}, *failing)
    assert answer.status == 200, answer
    assert (answer.json["created_count"], [item["rule_id"] for item in answer.json["items"]]) == (1, ["disk"])
    assert answer.json["items"][0]["created_by"] == "ann"
    await floor.settled(*failing)
    stack.clock.advance(hours=1)
    answer = await floor.order(sync_board, {"include_warnings": False, "max_items": 1}, *failing)
    counts = [answer.json[f"{name}_count"] for name in ("created", "reopened", "resolved", "active", "synced")]
    assert counts == [0, 0, 0, 2, 2], "a filtered sync resolves nothing"
    synced = await stack.heard(board_synced, lambda event: event.data["active_count"] == 2)
    assert (synced.actor, synced.data["gate"], synced.data["subject"]) == ("ann", "operations", "site")


async def test_sync_of_a_software_gate_needs_its_target(floor: Floor, stack: Stack) -> None:
    answer = await stack.command(sync_board, {"gate": "release", "subject": "shop"}, site=SITE)
    assert (answer.status, answer.json["type"]) == (422, "urn:headgate:problem:invalid")
    assert "send subject and version" in answer.json["detail"]


async def test_runs_out_of_order_change_nothing_but_are_answered(floor: Floor, stack: Stack) -> None:
    command_id = await stack.post(sync_board, {}, site=SITE)
    asked = await floor.asked()
    assert (asked.site, asked.data["gate"], asked.actor) == (SITE, "operations", "service:tracker")
    await floor.settled(rule("disk", "pass"), rule("tape", "fail"), number=3)
    await floor.settled(rule("disk", "fail"), number=2)
    await floor.judge(rule("disk", "fail"), cause=asked.id, number=1)
    answer = await stack.outcome(command_id)
    assert answer.status == 200, answer
    assert [item["rule_id"] for item in answer.json["items"]] == ["tape"]
    assert list(await floor.items()) == ["tape"]


async def test_complete_is_refused_with_blockers_then_granted(floor: Floor, stack: Stack) -> None:
    refused = await floor.order(complete_board, {}, rule("disk", "fail"))
    assert refused.status == 409
    assert "1 item is pending." in refused.json["blockers"]
    assert refused.json["readiness_score_percent"] == 50
    assert "disk" in await floor.items(), "what the fresh run found stays"
    granted = await floor.order(complete_board, {"completion_note": "calm"}, rule("disk", "pass"))
    assert (granted.status, granted.json["status"], granted.json["completed_by"]) == (200, "completed", "ann")
    await stack.heard(board_completed, lambda event: event.data["force_used"] is False)
    await floor.settled(rule("disk", "fail"))
    await stack.heard(board_reopened)
    state = await stack.query(get_completion, {}, site=SITE)
    assert (state.json["status"], state.json["readiness"]["ready"]) == ("active", False)


async def test_another_site_sees_and_changes_nothing(floor: Floor, stack: Stack) -> None:
    await floor.settled(rule("disk", "fail"))
    item_id = (await floor.items())["disk"]["id"]
    assert (await floor.patch(item_id, site="south", status="done")).status == 404
    assert (await stack.query(get_item, {"item_id": item_id}, site="south")).status == 404
    assert (await stack.query(list_items, {}, site="south")).json == []
    assert (await stack.query(get_item, {"item_id": item_id}, site=SITE)).json["status"] == "pending"


async def test_a_patch_that_had_to_wait_sees_what_changed_meanwhile(floor: Floor, stack: Stack) -> None:
    await floor.settled(rule("disk", "fail"))
    item_id = (await floor.items())["disk"]["id"]
    other = await stack.superuser()
    try:
        begun = other.transaction()
        await begun.start()
        await other.execute("SELECT 1 FROM tracker.board FOR UPDATE")
        command_id = await stack.post(patch_item, {"item_id": item_id, "assignee": "bob"}, site=SITE)
        async with asyncio.timeout(10):
            while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.02)
        await other.execute("UPDATE tracker.item SET completion_note = 'by hand', priority = 7")
        await begun.commit()
    finally:
        await other.close()
    answer = await stack.outcome(command_id)
    assert (answer.status, answer.json["assignee"]) == (200, "bob")
    assert (answer.json["completion_note"], answer.json["priority"]) == ("by hand", 7)
    stored = (await floor.items())["disk"]
    assert (stored["assignee"], stored["completion_note"], stored["priority"]) == ("bob", "by hand", 7)


async def test_patches_in_one_batch_build_on_each_other(floor: Floor, stack: Stack) -> None:
    await floor.settled(rule("disk", "fail"))
    item_id = (await floor.items())["disk"]["id"]
    await stack.stop("tracker")
    bodies = ({"assignee": "bob"}, {"completion_note": "half done"}, {"status": "in_progress"})
    ids = [await stack.post(patch_item, {"item_id": item_id, **body}, site=SITE) for body in bodies]
    await stack.start(SERVICE)
    answers = [(await stack.outcome(command_id)).json for command_id in ids]
    found = [(one["assignee"], one["completion_note"], one["status"]) for one in answers]
    last = ("bob", "half done", "in_progress")
    assert found == [("bob", "", "pending"), ("bob", "half done", "pending"), last]
    stored = (await floor.items())["disk"]
    assert (stored["assignee"], stored["completion_note"], stored["status"]) == last
