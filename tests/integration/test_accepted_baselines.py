"""Accepted baselines: two persons accept what is there now, until a day; whatever comes beside it fails as before."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from libs.common.cloudevents import format_time
from libs.common.contracts.governance.admission import admit
from libs.common.contracts.governance.baselines import (
    approve_baseline,
    baseline_approved,
    decline_baseline,
    get_baseline,
    list_baselines,
    request_baseline,
    revoke_baseline,
    withdraw_baseline,
)
from libs.common.contracts.governance.budget import exception_spent
from libs.common.contracts.governance.explanations import get_explanation
from tests.integration.governance_desk import heartbeat, report, rule, run, send_release, start
from tests.stack import Answer, Stack
from tests.unit.governance.samples import case, junit, sarif

RULE = "sarif_no_new_high"
TARGET = {"gate": "release", "subject": "app", "version": "1"}


def found(*names: str) -> list[dict[str, Any]]:
    """High findings."""
    return [
        {"ruleId": f"R-{name}", "level": "error", "message": {"text": name}, "partialFingerprints": {"f": name}}
        for name in names
    ]


async def ask(stack: Stack, version: str = "1", days: float = 10, actor: str = "ann", **more: Any) -> Answer:
    ends_at = format_time(stack.clock() + timedelta(days=days))
    body = {"gate": "release", "subject": "app", "version": version, "ends_at": ends_at, "reason": "old code", **more}
    return await stack.command(request_baseline, body, actor=actor)


async def say(stack: Stack, command: Any, accepted_id: int, actor: str = "bob") -> Answer:
    return await stack.command(command, {"accepted_id": accepted_id, "reason": "looked at them"}, actor=actor)


async def accepted(stack: Stack, **more: Any) -> int:
    asked = await ask(stack, **more)
    assert asked.status == 201, asked
    assert (await say(stack, approve_baseline, asked.json["accepted_id"])).status == 200
    number: int = asked.json["accepted_id"]
    return number


async def judged(stack: Stack, version: str = "1") -> Any:
    return await run(stack, "release", subject="app", version=version)


async def test_what_two_persons_accept_warns_until_its_day(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1", results=found("a", "b"))
    assert (await judged(stack))["decision"] == "no_go"
    asked = await ask(stack, issue="OPS-7")
    assert (asked.json["state"], asked.json["finding_count"], asked.json["in_force"]) == ("requested", 2, False)
    assert (await judged(stack))["decision"] == "no_go"
    own = await say(stack, approve_baseline, asked.json["accepted_id"], actor="ann")
    assert (own.status, "somebody else" in own.json["detail"]) == (403, True)
    done = await say(stack, approve_baseline, asked.json["accepted_id"])
    assert (done.json["state"], done.json["in_force"], done.json["parts"][0]["part"]) == ("approved", True, "Scan-It")
    assert (await stack.heard(baseline_approved)).data["decided_by"] == "bob"
    spent = (await stack.heard(exception_spent)).data
    assert (spent["kind"], spent["what"], spent["spent_by"]) == ("baseline", "2 findings, 0 tests", "bob")
    stack.clock.advance(hours=5)
    await heartbeat(stack)
    result = await judged(stack)
    shown = rule(result, RULE)
    assert (result["decision"], result["verdict"], shown["status"], shown["passed"]) == (
        "go", "GO_WITH_WARNINGS", "waived", False,
    )  # fmt: skip
    assert shown["accepted"][0]["finding_count"] == 2
    assert "accepted baseline 1: 2 findings since 5 hours, until 20" in shown["notes"][0]
    assert "by ann and bob, OPS-7: old code" in shown["notes"][0]
    assert (await stack.query(admit, TARGET)).json["admitted"]
    # It is no baseline of the next run: all findings are still new without the word of two.
    stack.clock.advance(days=9, hours=20)
    await send_release(stack, "1", results=found("a", "b"))
    denied = (await stack.query(admit, TARGET)).json
    assert not denied["admitted"]
    over = await judged(stack)
    key = {"gate": "release", "run_id": over["run_id"]}
    explained = (await stack.query(get_explanation, key)).json
    assert "sarif_no_new_high: the accepted baseline 1 counts no more." in " ".join(explained["changes"])
    assert (over["decision"], rule(over, RULE)["status"], rule(over, RULE)["baseline"]) == ("no_go", "fail", "none")


async def test_a_new_finding_beyond_it_fails_and_so_does_one_that_returns(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1", results=found("a", "b"))
    number = await accepted(stack)
    assert (await judged(stack))["decision"] == "go"
    await send_release(stack, "1", results=found("a", "b", "c"))
    assert not (await stack.query(admit, TARGET)).json["admitted"]
    assert rule(await judged(stack), RULE)["status"] == "fail"
    await send_release(stack, "2", results=found("a"))
    assert (await judged(stack, "2"))["decision"] == "go"
    left = (await stack.query(get_baseline, {"accepted_id": number})).json
    assert (left["finding_count"], left["parts"][0]["finding_count"]) == (2, 1)
    await send_release(stack, "3", results=found("a", "b"))
    assert rule(await judged(stack, "3"), RULE)["status"] == "fail"


async def test_a_scan_that_is_missing_or_did_not_finish_is_never_covered(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1", results=found("a"))
    number = await accepted(stack)
    await report(stack, "sarif", sarif(found("a"), invocations=[{"executionSuccessful": False}]), **_app("1"))
    assert rule(await judged(stack), RULE)["status"] == "fail"
    await send_release(stack, "2")
    await report(stack, "sarif", b"{", **_app("2"))
    assert rule(await judged(stack, "2"), RULE)["status"] == "fail"
    left = (await stack.query(get_baseline, {"accepted_id": number})).json
    assert left["parts"][0]["finding_count"] == 1  # nothing is forgotten for a scan that shows nothing


def _app(version: str) -> dict[str, str]:
    return {"subject": "app", "version": version}


async def test_vanished_tests_are_accepted_one_by_one(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1", tests=("a", "b", "c"))
    assert (await judged(stack))["decision"] == "go"
    await send_release(stack, "2", tests=("a", "b"))
    assert (await judged(stack, "2"))["decision"] == "no_go"
    await accepted(stack, version="2")
    result = await judged(stack, "2")
    assert (result["decision"], rule(result, "tests_passed")["accepted"][0]["vanished_count"]) == ("go", 1)
    await report(stack, "junit", junit(case("a")), **_app("2"))
    assert rule(await judged(stack, "2"), "tests_passed")["status"] == "fail"


async def test_who_asked_withdraws_and_who_approves_revokes_and_gos_are_judged_again(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1", results=found("a"))
    for end, wrong, right in ((withdraw_baseline, "eve", "ann"), (revoke_baseline, None, "eve")):
        number = await accepted(stack)
        assert (await judged(stack))["decision"] == "go"
        if wrong:
            assert (await say(stack, end, number, actor=wrong)).status == 403
        assert (await say(stack, end, number, actor=right)).status == 200
        assert not (await stack.query(admit, TARGET)).json["admitted"]
        await stack.run_job("governance", "rejudge")
        assert (await say(stack, end, number, actor=right)).status == 409
    asked = await ask(stack)
    assert (await say(stack, decline_baseline, asked.json["accepted_id"])).json["state"] == "declined"
    states = [one["state"] for one in (await stack.query(list_baselines, {"subject": "app"})).json["items"]]
    assert states == ["declined", "revoked", "withdrawn"]


async def test_approvals_at_one_moment_accept_once(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1", results=found("a"))
    number = (await ask(stack)).json["accepted_id"]
    answers = await asyncio.gather(*(say(stack, approve_baseline, number, actor=f"p{n}") for n in range(20)))
    assert sorted(one.status for one in answers) == [200, *[409] * 19]


async def test_what_can_t_be_accepted_says_why(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1")
    nothing = await ask(stack)
    assert (nothing.status, "no finding and no vanished test" in nothing.json["detail"]) == (409, True)
    for days in (-1, 91):
        assert (await ask(stack, days=days)).status == 422
    assert (await ask(stack, gate="nothing")).status == 404
    assert (await stack.query(get_baseline, {"accepted_id": 9})).status == 404
    assert (await say(stack, approve_baseline, 9)).status == 404
