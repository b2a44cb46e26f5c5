"""What becomes of the autopilot's runs: failures, checks, undo, shadow, and what is reported of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from libs.common.contracts.base import Nothing
from libs.common.contracts.tracker import autopilot as contract
from libs.common.contracts.tracker.autopilot import UndoBody
from libs.common.contracts.tracker.autopilot_policy import (
    POLICY,
    AutopilotChange,
    AutopilotPolicy,
    PolicyBody,
    set_policy,
)
from libs.common.contracts.tracker.autopilot_reports import (
    AnomalyWindow,
    HistoryFilter,
    anomaly_rows,
    history_rows,
    summary_rows,
)
from libs.common.contracts.tracker.escalation import Acknowledge, Snooze, acknowledge, snooze
from libs.common.contracts.tracker.hands import Take, take_item
from libs.common.contracts.tracker.items import ItemPatch, patch_item
from libs.common.contracts.versions import Publication
from libs.common.problems import Conflict, NotFound
from libs.common.service import Tx
from services.tracker.assignment import assign_planned
from services.tracker.autopilot import actions, evaluation, plans, policy, reports
from tests.integration.tracker_cockpit import Cockpit
from tests.plans import generic_plan, nodes
from tests.stack import Stack

pytestmark = pytest.mark.integration


async def test_one_action_that_fails_leaves_the_other_alone(cockpit: Cockpit, monkeypatch: pytest.MonkeyPatch) -> None:
    cockpit.later(5)

    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no luck")

    async def breaks_late(*given: Any) -> Any:
        await assign_planned(*given)
        raise RuntimeError("no luck")

    monkeypatch.setattr(actions, "assign_planned", breaks_late)
    run = await cockpit.run()
    assert run["metrics_after"]["unassigned_open_count"] == 3, "nothing of it stays"
    assert "item.assigned" not in cockpit.events
    assert (run["status"], run["actions"], run["errors"]) == (
        "critical", ["escalation"], ["auto_assign: RuntimeError('no luck')"],
    )  # fmt: skip
    assert run["auto_assign"] is None
    assert run["escalation"]["raised_count"] == 3
    monkeypatch.setattr(actions, "escalate", broken)
    cockpit.later(1)
    both = await cockpit.run()
    assert (both["actions"], len(both["errors"])) == ([], 2)
    monkeypatch.undo()
    assert (await cockpit.run())["auto_assign"]["assigned_count"] == 3, "what failed wholly starts no cooldown"


async def test_what_did_not_move_is_said(cockpit: Cockpit, monkeypatch: pytest.MonkeyPatch) -> None:

    async def forgets(tx: Tx, steps: Any, nobody: int) -> Any:
        return await assign_planned(tx, steps[1:], nobody)

    monkeypatch.setattr(actions, "assign_planned", forgets)
    run = await cockpit.run()
    item = (await cockpit.items())["a"].id
    assert run["checks"][0] == {
        "action": "auto_assign", "wanted_count": 3, "moved_count": 2, "ok": False, "not_moved": [item],
    }  # fmt: skip
    seen = await cockpit.pool.fetchrow("SELECT given_ids FROM autopilot_run WHERE run_id = $1", run["run_id"])
    assert seen is not None
    assert item not in seen["given_ids"]


async def test_a_run_is_undone_where_nobody_has_worked_on_it(cockpit: Cockpit) -> None:
    cockpit.later(5)
    run = await cockpit.run()
    items = await cockpit.items()
    cockpit.later(0.1)
    await cockpit.order(patch_item, ItemPatch(item_id=items["b"].id, completion_note="at it"))
    undone = await cockpit.ordered(contract.undo_run, UndoBody(run_id=run["run_id"], reason="too eager"))
    ids = {rule: item.id for rule, item in items.items()}
    assert (undone["released_ids"], undone["left_ids"]) == ([ids["a"], ids["c"]], [ids["b"]])
    assert undone["snoozed_ids"] == [ids["a"], ids["c"]]
    assert cockpit.events[-1] == "autopilot.undone"
    after = await cockpit.items()
    assert [after[rule].assignee is None for rule in "abc"] == [True, False, True]
    state = await cockpit.pool.fetchrow(
        "SELECT snoozed_by, reason, snoozed_until FROM escalation WHERE item = $1", ids["a"]
    )
    assert state is not None
    assert (state["snoozed_by"], state["reason"]) == (
        "ann",
        f"Undid the autopilot's run {run['run_id']}: too eager",
    )
    assert state["snoozed_until"] == cockpit.now + timedelta(days=1), "and then somebody hears of it again"
    for number, error, words in (
        (run["run_id"], Conflict, "undid run"),
        (run["auto_assign"]["run_id"], NotFound, "no run"),
        (1, NotFound, "no run"),
    ):
        with pytest.raises(error, match=words):
            await cockpit.order(contract.undo_run, UndoBody(run_id=number, reason="again"))
    dry = await cockpit.run(dry_run=True, force=True)
    with pytest.raises(Conflict, match="did nothing"):
        await cockpit.order(contract.undo_run, UndoBody(run_id=dry["run_id"], reason="why not"))
    with pytest.raises(NotFound):
        await cockpit.order(contract.undo_run, UndoBody(run_id=run["run_id"], reason="x"), site="elsewhere")
    assert (await cockpit.summary()).undone_runs == 1


async def test_a_word_to_an_escalation_is_work(cockpit: Cockpit) -> None:
    cockpit.later(5)
    run = await cockpit.run()
    items = await cockpit.items()
    cockpit.later(0.1)
    until = cockpit.now + timedelta(hours=2)
    await cockpit.order(acknowledge, Acknowledge(item_id=items["a"].id), actor=f"ole-{cockpit.site}")
    await cockpit.order(snooze, Snooze(item_id=items["b"].id, until=until), actor=f"pia-{cockpit.site}")
    undone = await cockpit.ordered(contract.undo_run, UndoBody(run_id=run["run_id"], reason="too eager"))
    assert (undone["released_ids"], undone["snoozed_ids"]) == ([items["c"].id], [items["c"].id])
    assert undone["left_ids"] == [items["a"].id, items["b"].id]
    assert await cockpit.pool.fetchval("SELECT snoozed_until FROM escalation WHERE item = $1", items["b"].id) == until


async def test_what_began_otherwise_than_planned_is_undone_too(
    cockpit: Cockpit, monkeypatch: pytest.MonkeyPatch
) -> None:
    cockpit.later(5)

    async def broken(*_: Any) -> Any:
        raise RuntimeError("no luck")

    monkeypatch.setattr(actions, "assign_planned", broken)
    run = await cockpit.run()
    assert (run["escalation"]["raised_count"], run["touched_count"]) == (3, 3)
    undone = await cockpit.ordered(contract.undo_run, UndoBody(run_id=run["run_id"], reason="half done"))
    assert len(undone["snoozed_ids"]) == 3


async def test_in_shadow_it_only_says_what_it_would_do(cockpit: Cockpit) -> None:
    await cockpit.configure(shadow=True)
    cockpit.later(5)
    run = await cockpit.clock()
    assert (run["shadow"], run["actions"], run["trigger"], len(run["planned_steps"])) == (True, [], "schedule", 6)
    await cockpit.clock()  # says the same again, which counts once
    items = await cockpit.items()
    assert all(item.assignee is None for item in items.values())
    assert (await cockpit.guard()).guard.reason == "no_recent_run"
    cockpit.later(0.1)
    await cockpit.order(take_item, Take(item_id=items["a"].id), actor=f"ole-{cockpit.site}")
    await cockpit.order(take_item, Take(item_id=items["b"].id), actor=f"ole-{cockpit.site}")
    await cockpit.assign()
    shadow = (await cockpit.summary()).shadow
    given, told = shadow["auto_assign"], shadow["escalation"]
    assert (given.suggested_count, given.same_count, given.other_count, given.by_run_count) == (3, 1, 1, 1)
    assert given.agreement_percent == 50.0
    assert (told.suggested_count, told.open_count, told.agreement_percent) == (3, 3, None)
    seen = await cockpit.preview()
    assert (await cockpit.run(plan_hash=seen["plan_hash"]))["approved"], "what a person approves is done"


async def test_reports_say_the_same_as_json_and_as_csv(cockpit: Cockpit) -> None:
    none = await reports.get_anomalies(cockpit.read(), AnomalyWindow())
    assert (none.health_status, [one.code for one in none.anomalies]) == ("critical", ["no_recent_runs"])
    empty = await cockpit.summary()
    assert (empty.total_runs, empty.success_rate_percent, empty.latest_run) == (0, 100.0, None)
    await cockpit.run(dry_run=True)
    real = await cockpit.run()
    for _ in range(4):
        await cockpit.run()
    history = (await reports.get_history(cockpit.read(), HistoryFilter())).model_dump(mode="json")
    assert [(one["executed"], one["skipped"]) for one in history["items"]] == [
        *[(False, True)] * 4,
        (True, False),
        (False, False),
    ]
    row = list(history_rows(history))[4]
    assert (row["run_id"], row["actions"], row["unassigned_open_count"]) == (
        real["run_id"],
        "auto_assign|escalation",
        0,
    )
    summary = await cockpit.summary()
    assert (summary.total_runs, summary.executed_runs, summary.dry_runs, summary.cooldown_blocked_runs) == (6, 1, 1, 4)
    assert summary.executed_action_counts.auto_assign == 1
    rows = {one["metric"]: one["value"] for one in summary_rows(summary.model_dump(mode="json"))}
    assert list(rows)[:9] == [
        "generated_at", "window_days", "total_runs", "executed_runs", "skipped_runs", "cooldown_blocked_runs",
        "error_runs", "success_rate_percent", "skipped_rate_percent",
    ]  # fmt: skip
    assert (rows["skipped_rate_percent"], rows["latest_run_skip_reason"]) == (
        summary.skipped_rate_percent,
        "cooldown_active",
    )
    found = await reports.get_anomalies(cockpit.read(), AnomalyWindow())
    assert [one.code for one in found.anomalies] == [
        "high_skip_rate", "low_success_rate", "consecutive_cooldown_skips", "critical_open_items",
    ]  # fmt: skip
    table = list(anomaly_rows(found.model_dump(mode="json")))
    assert next((row["code"], row["total_runs"], row["health_status"]) for row in table) == (
        "high_skip_rate",
        6,
        "critical",
    )


async def test_the_policy_keeps_zeros_and_echoes(cockpit: Cockpit) -> None:
    put = await cockpit.configure(escalation_due_soon_hours=0, cooldown_minutes=0, notify_enabled=False)
    assert (put["policy"]["escalation_due_soon_hours"], put["policy"]["cooldown_minutes"]) == (0, 0)
    assert (put["meta"]["applies_to"], put["meta"]["version"], put["policy_key"]) == (
        cockpit.site, "v1", "ops_governance_remediation_autopilot_policy",
    )  # fmt: skip
    assert put["policy"]["unassigned_trigger"] == 1, "what is not sent stays"
    shown = await policy.get_policy(cockpit.read(), Nothing())
    assert shown.model_dump(mode="json") == put
    with pytest.raises(Conflict):
        await cockpit.order(set_policy, PolicyBody(enabled=False, expected_version=7))
    assert (await cockpit.run())["escalation"]["raised_count"] == 0
    content = AutopilotPolicy(enabled=False)
    await cockpit.order(POLICY.publish, Publication[AutopilotPolicy](content=content, reason="off"))
    assert (await policy.get_policy(cockpit.read(), Nothing())).version == 2


def test_a_change_names_every_setting_of_the_policy() -> None:
    assert set(AutopilotChange.model_fields) == set(AutopilotPolicy.model_fields)


async def test_reports_and_the_cooldown_are_read_off_indexes(stack: Stack) -> None:
    connection = await stack.superuser()
    try:
        await connection.execute(
            "SET search_path TO tracker, public; SET enable_seqscan = off; SET enable_bitmapscan = off"
        )
        for sql, index in (
            (evaluation.SELECT_LAST, "autopilot_run_executed"),
            (reports.SELECT_NEWEST, "job_run_"),
            (reports.SELECT_WINDOW, "job_run_"),
            (reports.SELECT_SHADOWS, "autopilot_shadow_newest"),
            (plans.FORGET_PLANS, "autopilot_plan_end"),
        ):
            found = nodes(await generic_plan(connection, sql))
            assert [node for node in found if str(node.get("Index Name")).startswith(index)], sql
            assert not [node for node in found if node["Node Type"] == "Seq Scan"], sql
    finally:
        await connection.close()
