"""Explanations on real servers: facts with source and age, trend, and what changed since the last GO."""

from __future__ import annotations

from typing import Any

from libs.common.contracts.governance.explanations import get_explanation
from tests.integration.governance_desk import heartbeat, report, run, send_release, start
from tests.integration.test_governance_history import GATE, OF, judged, policy
from tests.integration.test_governance_validity import go
from tests.stack import Stack
from tests.unit.governance.samples import case, junit


async def explain(stack: Stack, made: dict[str, Any], **more: Any) -> Any:
    answer = await stack.query(get_explanation, {"gate": made["gate"], "run_id": made["run_id"]}, **more)
    assert answer.status == 200, answer
    return answer.json


def of(found: Any, rule_id: str) -> Any:
    return next(one for one in found["rules"] if one["rule_id"] == rule_id)


async def test_a_first_verdict_never_was_go(stack: Stack) -> None:
    await start(stack)
    found = await explain(stack, await go(stack))
    assert (found["last_go"], found["changes"]) == (None, ["It never was GO."])
    tests = of(found, "tests_passed")
    assert (tests["before"], tests["status"], tests["observed_before"]) == (None, "pass", None)
    (fact,) = tests["facts"]
    assert (fact["kind"], fact["actor"], fact["is_new"], fact["replaces"]) == ("test.junit", "ann", False, None)
    assert 0 <= fact["age_hours"] < 1
    assert fact["source"]
    assert [point["status"] for point in tests["trend"]] == ["pass"]


async def test_what_turned_what_is_new_and_what_is_gone(stack: Stack) -> None:
    await start(stack)
    first = await go(stack)
    stack.clock.advance(hours=2)
    await send_release(stack, "1.1", tests=("a",))
    await report(stack, "junit", junit(case("a", "<failure/>")), subject="app", version="1.1", part="slow")
    await heartbeat(stack)
    made = await run(stack, "release", subject="app", version="1.1")
    found = await explain(stack, made)
    assert (found["last_go"]["run_id"], found["last_go"]["version"]) == (first["run_id"], "1.0")
    tests = of(found, "tests_passed")
    assert (tests["before"], tests["status"]) == ("pass", "fail")
    assert {fact["part"]: fact["is_new"] for fact in tests["facts"]} == {"slow": True, "default": False}
    old = next(fact for fact in tests["facts"] if fact["part"] == "default")
    assert old["replaces"] == of(await explain(stack, first), "tests_passed")["facts"][0]["signal_id"]
    assert [point["status"] for point in tests["trend"]] == ["pass", "fail"]
    turned = [words for words in found["changes"] if words.startswith("tests_passed turned from pass to fail: ")]
    assert len(turned) == 1
    series = {name for one in found["rules"] for point in one["trend"] for name in point["values"]}
    assert series, "the numbers of the details make series"
    answer = await stack.query(get_explanation, {"gate": "release", "run_id": made["run_id"]}, site="berlin")
    assert answer.status == 404
    early = await explain(stack, first)
    assert early["last_go"] is None, "what came later is not before"


async def test_another_policy_and_a_dropped_rule_are_told_and_the_line_has_its_own_past(stack: Stack) -> None:
    await start(stack)
    await policy(stack, "derived.run_count >= 0")
    first = await judged(stack, "1")
    assert first["decision"] == "go"
    await policy(stack, "derived.run_count >= 0", **{"id: streak": "id: calm"})
    found = await explain(stack, await judged(stack, "2"))
    assert "The policy is version 2 (it was 1)." in found["changes"]
    assert "streak is no rule of the policy any more." in found["changes"]
    assert "calm is a new rule: pass." in found["changes"]
    other = await run(stack, GATE, version="2", line="hotfix", **OF)
    assert (await explain(stack, other))["last_go"] is None
    assert len(of(await explain(stack, other), "tests")["trend"]) == 1


async def test_a_part_that_is_missing_is_told(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1.0")
    await report(stack, "junit", junit(case("z")), subject="app", version="1.0", part="slow")
    assert (await run(stack, "release", subject="app", version="1.0"))["decision"] == "go"
    await send_release(stack, "1.1")
    found = await explain(stack, await run(stack, "release", subject="app", version="1.1"))
    assert [one["part"] for one in of(found, "tests_passed")["gone"]] == ["slow"]
    assert any(words.startswith("tests_passed has lost the test.junit slow") for words in found["changes"])
