"""Waivers and halts on real servers: two persons, an end by the clock, and a GO that rests on one is judged again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from prometheus_client import REGISTRY

from libs.common.cloudevents import format_time
from libs.common.contracts.governance.halts import lift_halt, line_halted, list_halts, stop_line
from libs.common.contracts.governance.runs import list_runs
from libs.common.contracts.governance.waivers import (
    approve_waiver,
    decline_waiver,
    get_waiver,
    list_waivers,
    request_waiver,
    revoke_waiver,
    waiver_approved,
    waiver_requested,
    withdraw_waiver,
)
from services.governance.exceptions.lifecycle import STATES
from tests.integration.governance_desk import rule, run, send_ops, start
from tests.stack import Answer, Stack

RULE = "runbook_no_critical"
BROKEN = {"overall_status": "critical", "critical_count": 2}


async def ask(stack: Stack, *, days: float = 5, actor: str = "ann", **more: Any) -> Answer:
    """Ask for a waiver of the operations gate."""
    ends_at = format_time(stack.clock() + timedelta(days=days))
    body = {"gate": "operations", "rule_id": RULE, "ends_at": ends_at, "reason": "known", "issue": "OPS-7", **more}
    return await stack.command(request_waiver, body, actor=actor)


async def say(stack: Stack, command: Any, waiver_id: int, actor: str = "bob") -> Answer:
    """A word on a waiver."""
    return await stack.command(command, {"waiver_id": waiver_id, "reason": "looked at it"}, actor=actor)


def requests_counted() -> dict[str, float]:
    """What this process has counted as ``approval_requests_total``, by status."""
    return {one: REGISTRY.get_sample_value("approval_requests_total", {"status": one}) or 0.0 for one in STATES}


async def test_a_waiver_takes_two_persons_and_ends_by_the_clock(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack, runbook=BROKEN)
    assert (await run(stack))["decision"] == "no_go"
    asked = await ask(stack)
    assert (asked.status, asked.json["state"], asked.json["in_force"]) == (201, "requested", False)
    waiver_id = asked.json["waiver_id"]
    assert (await stack.heard(waiver_requested)).data["requested_by"] == "ann"
    assert (await run(stack))["decision"] == "no_go"
    own = await say(stack, approve_waiver, waiver_id, actor="ann")
    assert (own.status, "somebody else" in own.json["detail"]) == (403, True)
    approved = await say(stack, approve_waiver, waiver_id)
    assert (approved.json["state"], approved.json["in_force"]) == ("approved", True)
    assert (await stack.heard(waiver_approved)).data["decided_by"] == "bob"
    assert (await say(stack, approve_waiver, waiver_id, actor="eve")).status == 409
    result = await run(stack)
    waived = rule(result, RULE)
    assert (result["decision"], result["status"], waived["status"], waived["passed"]) == (
        "go",
        "warning",
        "waived",
        False,
    )
    assert (waived["waivers"][0]["approved_by"], waived["waivers"][0]["issue"]) == ("bob", "OPS-7")
    assert (await run(stack))["baseline_run"] is None, "a GO that rests on a waiver is no baseline"
    stack.clock.advance(days=5)
    await send_ops(stack, "later", runbook=BROKEN)
    after = await run(stack)
    assert (after["decision"], rule(after, RULE)["status"]) == ("no_go", "fail")
    assert (await stack.query(get_waiver, {"waiver_id": waiver_id})).json["in_force"] is False


async def test_what_nobody_needs_is_named_and_a_withdrawn_one_is_over(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack)
    before = requests_counted()
    waiver_id = (await ask(stack)).json["waiver_id"]
    await say(stack, approve_waiver, waiver_id)
    result = await run(stack)
    assert (result["status"], result["unused_waivers"]) == ("success", [waiver_id])
    assert (await say(stack, withdraw_waiver, waiver_id, actor="eve")).status == 403
    assert (await say(stack, withdraw_waiver, waiver_id, actor="ann")).json["state"] == "withdrawn"
    assert (await run(stack))["unused_waivers"] == []
    second = (await ask(stack)).json["waiver_id"]
    assert (await say(stack, decline_waiver, second)).json["state"] == "declined"
    assert (await say(stack, approve_waiver, second)).status == 409
    listed = (await stack.query(list_waivers, {})).json["items"]
    assert [one["state"] for one in listed] == ["declined", "withdrawn"]
    counted = {status: count - before[status] for status, count in requests_counted().items()}
    assert counted == {"requested": 2, "approved": 1, "declined": 1, "withdrawn": 1, "revoked": 0}


async def test_a_revoked_waiver_has_the_go_judged_again(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack, runbook=BROKEN)
    waiver_id = (await ask(stack)).json["waiver_id"]
    await say(stack, approve_waiver, waiver_id)
    assert (await run(stack))["decision"] == "go"
    assert (await say(stack, revoke_waiver, waiver_id)).json["state"] == "revoked"
    await stack.run_job("governance", "rejudge")
    newest = (await stack.query(list_runs, {"gate": "operations"})).json["items"][0]
    assert (newest["decision"], newest["trigger"]) == ("no_go", "schedule")


async def test_bad_waivers_are_refused_with_what_to_do(stack: Stack) -> None:
    await start(stack)
    for more, words in (
        ({"rule_id": "nothing"}, "has no rule nothing; its rules are"),
        ({"days": 91}, "90 days at most"),
        ({"days": -1}, "in the future"),
        ({"days": 8, "without_evidence": True}, "7 days at most"),
        ({"subject": "app"}, "judges a whole site"),
        ({"gate": "release", "rule_id": "tests_passed"}, "say which"),
        ({"fingerprint": "f", "without_evidence": True, "days": 1}, "waived once it was seen"),
    ):
        answer = await ask(stack, **more)
        assert (answer.status, words in answer.json["detail"]) == (422, True), (more, answer)
    assert (await say(stack, approve_waiver, 4711)).status == 404
    assert (await ask(stack, gate="nowhere")).status == 404


async def test_one_command_stops_every_gate_and_the_go_that_stands(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack)
    await send_ops(stack, site="plant-a")
    assert (await run(stack, site="plant-a"))["decision"] == "go"
    halted = await stack.command(stop_line, {"reason": "bad certificate"}, actor="eve")
    assert (halted.status, halted.json["rechecked_count"]) == (201, 1)
    assert (await stack.heard(line_halted)).data["halted_by"] == "eve"
    await stack.run_job("governance", "rejudge")
    newest = (await stack.query(list_runs, {"gate": "operations"}, site="plant-a")).json["items"][0]
    assert (newest["decision"], newest["holds"][0]["kind"]) == ("no_go", "halt")
    assert newest["reasons"] == ["The line is stopped by eve (everywhere): bad certificate."]
    there = (await stack.query(list_halts, {"in_force": True}, site="plant-a")).json
    assert (there["items"], [one["reason"] for one in there["everywhere"]]) == ([], ["bad certificate"])
    assert (await stack.query(list_halts, {})).json["everywhere"] == [], "at global they are its own"
    assert (await stack.query(list_halts, {"in_force": False}, site="plant-a")).json["everywhere"] == []
    body = {"halt_id": halted.json["halt_id"], "reason": "renewed"}
    assert (await stack.command(lift_halt, body, site="plant-a")).status == 404, "only the site global lifts its own"
    assert (await stack.command(lift_halt, body, actor="ann")).json["lifted_by"] == "ann"
    assert (await stack.command(lift_halt, body)).status == 409
    assert (await run(stack, site="plant-a"))["decision"] == "go"
    for site in ("global", "plant-a"):
        left = (await stack.query(list_halts, {"in_force": True}, site=site)).json
        assert (left["items"], left["everywhere"]) == ([], [])


async def test_a_halt_of_a_pattern_leaves_others_alone(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack)
    assert (await stack.command(stop_line, {"subjects": "acme/*", "reason": "x"})).json["rechecked_count"] == 0
    assert (await run(stack))["decision"] == "go"
    assert (await stack.command(stop_line, {"subjects": "s?te", "reason": "x"})).json["rechecked_count"] == 1
    assert (await run(stack))["decision"] == "no_go"


async def test_no_go_slips_through_beside_a_halt(stack: Stack) -> None:
    """Runs and a halt at the same time: whatever their order, no GO is left that nobody will look at."""
    await start(stack)
    sites = [f"plant-{n}" for n in range(6)]
    for site in sites:
        await send_ops(stack, site=site)
    await asyncio.gather(*(run(stack, site=site) for site in sites), stack.command(stop_line, {"reason": "stop"}))
    await stack.run_job("governance", "rejudge")
    for site in sites:
        newest = (await stack.query(list_runs, {"gate": "operations"}, site=site)).json["items"][0]
        assert newest["decision"] == "no_go", site
