"""The autopilot at the tracker's desk: one evaluation, plans that bind, limits, a switch, undo, shadow, reports."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from libs.common import versions
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Nothing
from libs.common.contracts.tracker import autopilot as contract
from libs.common.contracts.tracker.autopilot import RunBody, StopBody
from libs.common.contracts.tracker.autopilot_policy import (
    AutopilotChange,
    PolicyBody,
    set_policy,
)
from libs.common.contracts.tracker.chains import CHAINS, Chain, Chains, Level, Target
from libs.common.contracts.tracker.escalation import Acknowledge, Snooze, acknowledge, snooze, unacknowledge
from libs.common.contracts.tracker.hands import Take, take_item
from libs.common.contracts.tracker.items import ItemPatch, patch_item
from libs.common.contracts.versions import Publication
from libs.common.ids import uuid7
from libs.common.problems import Conflict
from libs.common.service import Tx
from services.tracker.assignment import assign_planned
from services.tracker.autopilot import flight, plans, policy
from tests.integration.tracker_cockpit import Cockpit

pytestmark = pytest.mark.integration

WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"


async def test_a_preview_says_what_a_run_then_does(cockpit: Cockpit) -> None:
    cockpit.later(5)  # all are overdue for an hour
    seen = await cockpit.preview()
    assert cockpit.events == ["autopilot.previewed"]
    assert seen["planned_actions"] == ["auto_assign", "escalation"]
    steps = [
        (one["action"], one["rule_id"], cockpit.short(one["assignee"]), one["level"]) for one in seen["plan"]["steps"]
    ]
    assert steps == [
        ("auto_assign", "a", "ole", None),
        ("auto_assign", "b", "pia", None),
        ("auto_assign", "c", "ole", None),
        ("escalation", "a", None, 1),
        ("escalation", "b", None, 1),
        ("escalation", "c", None, 1),
    ]
    by_rule = {one["rule_id"]: one for one in seen["plan"]["steps"] if one["action"] == "escalation"}
    assert by_rule["a"]["targets"] == [f"assignee ole-{cockpit.site}", "user boss"]
    assert "has been overdue for 60 min" in by_rule["a"]["why"]
    assert (await cockpit.items())["a"].assignee is None
    run = await cockpit.run(plan_hash=seen["plan_hash"])
    assert (run["approved"], run["actions"], run["touched_count"]) == (True, ["auto_assign", "escalation"], 3)
    assert [check["ok"] for check in run["checks"]] == [True, True]
    assert run["metrics"]["unassigned_open_count"] == 3
    assert run["metrics_after"]["unassigned_open_count"] == 0
    assert run["plan_hash"] == seen["plan_hash"]
    assert cockpit.events == [
        *["item.assigned"] * 3,
        "job.finished",
        *["escalation.raised"] * 3,
        "job.finished",
        "job.finished",
    ]
    children = await cockpit.pool.fetch("SELECT * FROM job_run WHERE parent_run = $1 ORDER BY run_id", run["run_id"])
    assert [(row["job_name"], row["trigger"]) for row in children] == [
        ("ops_governance_remediation_auto_assign", "autopilot"),
        ("ops_governance_remediation_escalation", "autopilot"),
    ]
    assert (run["auto_assign"]["assigned_count"], run["escalation"]["raised_count"]) == (3, 3)
    again = await cockpit.refused(plan_hash=seen["plan_hash"])
    assert "done already" in again.detail


async def test_a_plan_is_done_just_so_or_refused_with_what_differs(cockpit: Cockpit) -> None:
    cockpit.later(5)
    seen = await cockpit.preview()
    items = await cockpit.items()
    await cockpit.order(take_item, Take(item_id=items["b"].id), actor=f"pia-{cockpit.site}")
    await cockpit.order(acknowledge, Acknowledge(item_id=items["a"].id), actor="ann")
    refusal = await cockpit.refused(plan_hash=seen["plan_hash"])
    differs = {(one["action"], one["rule_id"]): one["why"] for one in refusal.extra["differences"]}
    assert differs[("auto_assign", "b")] == "It has been changed since the plan was made."
    assert differs[("escalation", "b")] == differs[("auto_assign", "b")]
    cockpit.later(0.1)
    seen = await cockpit.preview()
    await cockpit.order(unacknowledge, Acknowledge(item_id=items["a"].id), actor="ann")
    await cockpit.order(snooze, Snooze(item_id=items["c"].id, until=cockpit.now + timedelta(days=1)), actor="ann")
    refusal = await cockpit.refused(plan_hash=seen["plan_hash"])
    assert [one["rule_id"] for one in refusal.extra["differences"]] == ["c"]
    assert "rests" in refusal.extra["differences"][0]["why"]
    after = await cockpit.items()
    assert after["a"].assignee is None, "nothing was done"
    assert (
        await cockpit.pool.fetchval(
            "SELECT count(*) FROM escalation WHERE started_at IS NOT NULL AND site = $1", cockpit.site
        )
    ) == 0
    fresh = await cockpit.preview()
    assert fresh["plan_hash"] != seen["plan_hash"]
    assert (await cockpit.run(plan_hash=fresh["plan_hash"]))["approved"]


@pytest.mark.parametrize("what", ["away", "full", "changed"])
async def test_a_plan_does_not_outlive_its_people_nor_its_items(cockpit: Cockpit, what: str) -> None:
    seen = await cockpit.preview()
    ole = f"ole-{cockpit.site}"
    if what == "away":
        values = (ole, cockpit.now, cockpit.now + timedelta(days=1))
        sql = "INSERT INTO absence (username, away_from, away_to, created_by, created_at) VALUES ($1, $2, $3, $1, $2)"
        await cockpit.pool.execute(sql, *values)
    elif what == "full":
        await cockpit.pool.execute("UPDATE person SET max_open_items = 1 WHERE username = $1", ole)
    else:
        item = (await cockpit.items())["a"]
        await cockpit.order(patch_item, ItemPatch(item_id=item.id, completion_note="not for ole"))
    refusal = await cockpit.refused(plan_hash=seen["plan_hash"])
    whys = " ".join(one["why"] for one in refusal.extra["differences"])
    assert {"away": "is away until", "full": "as many as the limit allows", "changed": "has been changed"}[what] in whys


async def test_a_plan_ends_and_goes_by_one_policy(cockpit: Cockpit) -> None:
    seen = await cockpit.preview()
    assert seen["ends_at"] == (cockpit.now + timedelta(minutes=30)).isoformat().replace("+00:00", "Z")
    await cockpit.configure(cooldown_minutes=5)
    assert "policy has been changed" in (await cockpit.refused(plan_hash=seen["plan_hash"])).detail
    seen = await cockpit.preview()
    cockpit.later(0.5)
    assert "could be approved until" in (await cockpit.refused(plan_hash=seen["plan_hash"])).detail
    assert "no plan with this hash" in (await cockpit.refused(plan_hash="0" * 64)).detail
    tried = await cockpit.preview(policy=AutopilotChange(max_touched_items=1))
    assert (tried["plan"]["touched_count"], tried["plan_hash"], tried["policy"]["max_touched_items"]) == (1, None, 1)
    message = CloudEvent(str(uuid7()), "/x", "x", site="global", actor="x")
    async with cockpit.pool.acquire() as connection, connection.transaction():
        await plans.forget_plans(Tx("tracker", connection, message, cockpit.now + timedelta(days=2)))
    assert await cockpit.pool.fetchval("SELECT count(*) FROM autopilot_plan WHERE site = $1", cockpit.site) == 0


async def test_the_cooldown_counts_runs_that_acted(cockpit: Cockpit) -> None:
    assert (await cockpit.guard()).guard.reason == "no_recent_run"
    dry = await cockpit.run(dry_run=True)
    assert (dry["dry_run"], dry["auto_assign"]["assigned_count"], dry["auto_assign"]["dry_run"]) == (True, 0, True)
    assert (await cockpit.guard()).guard.reason == "no_recent_run"
    real = await cockpit.run()
    assert real["auto_assign"]["assigned_count"] == 3
    cockpit.later(0.25)
    blocked = await cockpit.run()
    assert (blocked["skipped"], blocked["skip_reason"], blocked["actions"]) == (True, "cooldown_active", [])
    guard = (await cockpit.guard()).guard
    assert (guard.ready, guard.reason, guard.last_run_id, guard.minutes_until_ready) == (
        False, "cooldown_active", real["run_id"], 15,
    )  # fmt: skip
    assert (await cockpit.guard(force=True)).guard.reason == "force_override"
    seen = await cockpit.preview()
    assert "short while ago" in (await cockpit.refused(plan_hash=seen["plan_hash"])).detail
    cockpit.later(0.25)  # a blocked run renews nothing
    assert (await cockpit.guard()).guard.reason == "cooldown_passed"
    assert not (await cockpit.run())["skipped"]


async def test_what_sets_an_action_off(cockpit: Cockpit) -> None:
    await cockpit.configure(unassigned_trigger=4, overdue_trigger=1)
    seen = (await cockpit.guard()).evaluation
    assert (seen.should_run_auto_assign, seen.should_run_escalation) == (False, True), "critical ones always escalate"
    await cockpit.decided({"a": "pass", "b": "pass", "c": "warning"})
    idle = await cockpit.run()
    assert (idle["skip_reason"], idle["planned_actions"], idle["status"]) == ("no_triggered_actions", [], "warning")
    forced = await cockpit.run(force=True)
    assert forced["planned_actions"] == ["auto_assign", "escalation"]
    await cockpit.configure(unassigned_trigger=0, overdue_trigger=0)
    assert (await cockpit.guard()).evaluation.planned_actions == ["auto_assign", "escalation"], "0 is always met"
    await cockpit.configure(enabled=False)
    off = await cockpit.run(force=True)
    assert (off["skip_reason"], off["planned_actions"], off["errors"]) == ("disabled", [], [])
    cockpit.later(2)
    await cockpit.configure(enabled=True, unassigned_trigger=9, overdue_trigger=9, skip_if_no_action=False)
    nothing = await cockpit.run()
    assert (nothing["skipped"], nothing["actions"]) == (False, [])


async def test_a_stop_holds_at_once_and_nothing_gets_past_it(cockpit: Cockpit) -> None:
    seen = await cockpit.preview()
    stopped = await cockpit.ordered(contract.stop_autopilot, StopBody(reason="audit"))
    assert (stopped["stopped"], stopped["scope"], stopped["stopped_by"]) == (True, "own", "ann")
    assert cockpit.events[-1] == "autopilot.switched"
    for given in ({}, {"force": True}, {"dry_run": True}):
        run = await cockpit.run(**given)
        assert (run["skip_reason"], run["actions"], run["guard"]["reason"]) == ("stopped", [], "stopped")
    assert "is stopped" in (await cockpit.refused(plan_hash=seen["plan_hash"])).detail
    with pytest.raises(Conflict, match="stopped here already"):
        await cockpit.order(contract.stop_autopilot, StopBody(reason="again"))
    await cockpit.order(contract.resume_autopilot, StopBody(reason="done"))
    with pytest.raises(Conflict, match="not stopped at this site"):
        await cockpit.order(contract.resume_autopilot, StopBody(reason="done"))
    await cockpit.order(contract.stop_autopilot, StopBody(reason="all of them"), site="global")
    try:
        assert (await cockpit.guard()).switch.scope == "global"
        assert (await cockpit.run(force=True))["skip_reason"] == "stopped"
        with pytest.raises(Conflict, match="resume it in the site global"):
            await cockpit.order(contract.resume_autopilot, StopBody(reason="done"))
    finally:
        await cockpit.order(contract.resume_autopilot, StopBody(reason="on"), site="global")
    assert not (await cockpit.run())["skipped"]


async def test_a_stop_waits_for_the_run_under_way(cockpit: Cockpit) -> None:
    await cockpit.run(dry_run=True)  # the site has had its switch before
    message = CloudEvent(str(uuid7()), "/headgate/gateway", "run", site=cockpit.site, actor="ann")
    async with cockpit.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await flight.fly(Tx("tracker", connection, message, cockpit.now), RunBody(), "api")
        stop = asyncio.create_task(cockpit.order(contract.stop_autopilot, StopBody(reason="now")))
        while not await connection.fetchval(WAITS) and not stop.done():
            await asyncio.sleep(0)
        assert not stop.done(), "it is no stop while a run can still store what it does"
        await transaction.commit()
    await stop
    assert (await policy.switch_of(cockpit.pool, cockpit.site)).stopped


async def test_a_word_to_an_escalation_waits_for_no_run(cockpit: Cockpit) -> None:
    seen = await cockpit.preview()
    item = (await cockpit.items())["a"]
    message = CloudEvent(str(uuid7()), "/headgate/gateway", "run", site=cockpit.site, actor="ann")
    async with cockpit.pool.acquire() as connection, connection.transaction():
        steps = contract.Preview.model_validate(seen).plan.steps
        await assign_planned(Tx("tracker", connection, message, cockpit.now), steps)
        async with asyncio.timeout(10):  # else the run would wait for whoever waits for it
            await cockpit.order(acknowledge, Acknowledge(item_id=item.id))


async def test_runs_at_once_act_once(cockpit: Cockpit) -> None:
    await cockpit.run(dry_run=True)
    runs = await asyncio.gather(*(cockpit.run() for _ in range(6)))
    assert sorted(run["skipped"] for run in runs) == [False, *[True] * 5]
    assert sum((run["auto_assign"] or {"assigned_count": 0})["assigned_count"] for run in runs) == 3


async def test_the_cap_leaves_the_rest_to_the_next_run(cockpit: Cockpit) -> None:
    cockpit.later(5)
    await cockpit.configure(max_touched_items=2, cooldown_minutes=0)
    first = await cockpit.run()
    assert (first["touched_count"], first["left_out_count"]) == (2, 2)
    assert [step["rule_id"] for step in first["planned_steps"]] == ["a", "b", "a", "b"]
    second = await cockpit.run()
    assert (second["touched_count"], second["left_out_count"], second["auto_assign"]["assigned_count"]) == (1, 0, 1)


async def test_who_else_would_be_told_is_a_difference(cockpit: Cockpit) -> None:
    managers = Chain(name="test", calendar="always", levels=(Level(targets=(Target(role="manager"),)),))
    mia = await cockpit.hire("mia", "manager")
    chains = Chains(chains=(managers,))
    await cockpit.order(CHAINS.publish, Publication[Chains](content=chains, reason="a test"))
    cockpit.later(5)
    seen = await cockpit.preview()
    assert seen["plan"]["steps"][-1]["targets"] == [f"role manager ({mia})"]
    eve = await cockpit.hire("eve", "manager")
    whys = {one["why"] for one in (await cockpit.refused(plan_hash=seen["plan_hash"])).extra["differences"]}
    assert whys == {f"Planned to tell role manager ({mia}); now it would be role manager ({eve}, {mia})."}


async def test_what_nobody_can_take_is_said(cockpit: Cockpit) -> None:
    for name in ("ole", "pia"):
        await cockpit.hire(name, "operator", active=False, revision=2)
    await cockpit.decided({"a": "pass", "b": "pass", "c": "warning"})
    for given in ({"dry_run": True}, {}):
        run = await cockpit.run(**given)
        assert (run["status"], run["no_candidate_count"], run["touched_count"]) == ("warning", 1, 0)
        child = run["auto_assign"]
        assert (child["candidate_count"], child["no_candidate_count"], child["status"]) == (1, 1, "warning")
    assert (await cockpit.guard()).guard.reason == "no_recent_run", "what moved nothing holds up no other run"


async def test_a_dry_run_says_what_a_real_one_does(cockpit: Cockpit) -> None:
    await cockpit.configure(max_touched_items=2)
    cockpit.later(5)
    dry, real = await cockpit.run(dry_run=True), await cockpit.run()
    assert dry["auto_assign"]["candidate_count"] == real["auto_assign"]["candidate_count"] == 2
    assert dry["escalation"]["would_raise_count"] == real["escalation"]["raised_count"] == 2
    assert dry["planned_steps"] == real["planned_steps"]
    assert (dry["metrics_after"]["unassigned_open_count"], dry["escalation"]["raised_count"]) == (3, 0)


async def test_of_two_changes_of_the_policy_none_is_lost(cockpit: Cockpit, monkeypatch: pytest.MonkeyPatch) -> None:
    await cockpit.configure(cooldown_minutes=5)
    real, met = versions.current, False

    async def meanwhile(*asked: Any) -> Any:
        """Between the reading and the writing of one change another one is made."""
        nonlocal met
        found = await real(*asked)
        if not met:
            met = True
            await cockpit.configure(enabled=False)
        return found

    monkeypatch.setattr(versions, "current", meanwhile)
    with pytest.raises(Conflict, match="read it, then publish again"):
        await cockpit.order(set_policy, PolicyBody(cooldown_minutes=60))
    assert met
    assert not (await policy.get_policy(cockpit.read(), Nothing())).policy.enabled
