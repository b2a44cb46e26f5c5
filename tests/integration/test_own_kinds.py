"""Kinds of one's own on real servers: declared, judged, changed, and removed."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from libs.common.contracts.governance.admission import admit
from libs.common.contracts.governance.kinds import list_kinds
from libs.common.contracts.governance.own_kinds import KINDS
from libs.common.contracts.governance.policies import publish_policy
from libs.judge.capsule import check
from libs.judge.dsse import Signer, public_keys
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.integration.governance_desk import event, rule, run, send
from tests.integration.test_governance_capsules import capsule_of
from tests.stack import Stack
from tests.unit.governance.samples import tiny_policy

pytestmark = pytest.mark.integration

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["state", "score"],
    "properties": {"state": {"enum": ["open", "done"]}, "score": {"type": "number", "minimum": 0, "maximum": 10}},
}
REVIEW = {"name": "acme.review", "noun": "design review", "json_schema": SCHEMA, "totals": ["score"]}
POLICY = tiny_policy(
    name="name: review",
    settings="",
    subject_mode="subject_mode: version",
    scope="    scope: version",
    kind="    kind: acme.review",
    condition="    condition: fact.state == 'done' && derived.score_min >= 5.0",
    observed='    observed: "{fact.state} with {derived.score_min}"',
    wanted='    wanted: "done with at least 5"',
).decode()
ABOUT = {"subject": "app", "version": "1.0"}
TARGET = {"gate": "review", **ABOUT}
SIGNER = Signer.from_secret("x" * 30)


async def declare(stack: Stack, *kinds: dict[str, Any], site: str = "global") -> Any:
    body = {"content": {"kinds": list(kinds)}, "reason": "We review designs"}
    return await stack.command(KINDS.publish, body, site=site)


async def publish(stack: Stack, content: str = POLICY) -> Any:
    return await stack.command(publish_policy, {"gate": "review", "content": content, "reason": "Reviews count"})


async def say(stack: Stack, number: int, **data: Any) -> Any:
    stack.clock.advance(seconds=1)
    answer = await send(stack, event(f"r-{number}", "acme.review", {"state": "done", "score": 8, **data}), **ABOUT)
    assert answer.status == 201, answer
    return answer.json["items"][0]


async def admitted(stack: Stack) -> bool:
    return bool((await stack.query(admit, TARGET)).json["admitted"])


@pytest_asyncio.fixture
async def review(stack: Stack) -> Stack:
    """A gate that reads a kind of one's own, and the signal that passes it."""
    await stack.start(make_service(packaged_policies(), signer=SIGNER))
    assert (await say(stack, 0))["judged"] is False
    assert (await declare(stack, REVIEW)).status == 200
    assert (await publish(stack)).status == 200
    return stack


async def test_a_declared_kind_is_listed_kept_and_judged(review: Stack) -> None:
    listed = {one["kind"]: one for one in (await review.query(list_kinds)).json}
    mine = listed["acme.review"]
    assert (mine["own"], mine["noun"], mine["json_schema"]) == (True, "design review", SCHEMA)
    assert mine["derived_keys"] == [
        "part_count",
        "missing_parts",
        "score_sum",
        "score_min",
        "score_max",
        "score_before",
    ]
    assert not listed["test.junit"]["own"]

    # What came before the declaration is kept, and is no fact.
    nothing = await run(review, **TARGET)
    assert rule(nothing, "one")["observed"] == "no design review of version 1.0 was received"
    receipt = await say(review, 1)
    assert (receipt["judged"], receipt["valid"]) == (True, True)
    go = await run(review, **TARGET)
    assert (go["decision"], rule(go, "one")["observed"]) == ("go", "done with 8")
    problems, body = check(await capsule_of(review, go), public_keys(SIGNER.public))
    assert (problems, body["facts"]["kinds"][0]["name"]) == ([], "acme.review")


async def test_a_signal_that_does_not_fit_is_a_broken_fact_that_says_why(review: Stack) -> None:
    await say(review, 1)
    await run(review, **TARGET)
    receipt = await say(review, 2, state="perhaps")
    assert (receipt["valid"], receipt["problems"]) == (False, ["state must be one of open, done"])
    assert not await admitted(review)
    assert "state must be one of open, done" in rule(await run(review, **TARGET), "one")["observed"]


async def test_a_stricter_schema_and_a_removed_kind_end_the_go_at_once(review: Stack) -> None:
    await say(review, 1)
    await run(review, **TARGET)
    assert await admitted(review)
    strict = {**REVIEW, "json_schema": {**SCHEMA, "required": ["state", "score"], "properties": {
        **SCHEMA["properties"], "score": {"type": "integer", "minimum": 9}}}}  # fmt: skip
    assert (await declare(review, strict)).status == 200
    assert not await admitted(review)
    assert (await declare(review, REVIEW)).status == 200
    assert await admitted(review)
    assert (await declare(review)).status == 200
    assert not await admitted(review)
    review.clock.advance(minutes=1)
    assert await review.run_job("governance", "rejudge")
    over = await run(review, **TARGET)
    assert rule(over, "one")["observed"] == "the kind acme.review is not declared here"
    assert (await say(review, 3))["judged"] is False
    assert (await review.command(KINDS.rollback, {"version": 1, "reason": "Too hasty"})).status == 200
    assert (await run(review, **TARGET))["decision"] == "go"


async def test_a_policy_is_published_only_over_declared_kinds_and_keys(review: Stack) -> None:
    for change, said in (
        (("kind: acme.review", "kind: acme.audit"), "the kind acme.audit is not declared here"),
        (("fact.state == 'done'", "fact.status == 'done'"), "fact.status is no key of acme.review"),
        (("derived.score_min >= 5.0", "fact.score.startsWith('5')"), "can't be judged: No matching overloads"),
    ):
        answer = await publish(review, POLICY.replace(*change))
        assert (answer.status, said in answer.json["detail"]) == (422, True), answer


async def test_what_can_not_be_declared_is_refused_and_changes_nothing(review: Stack) -> None:
    pattern = {**SCHEMA, "properties": {"x": {"type": "string", "pattern": "(a+)+"}}, "required": []}
    for kinds, said in (
        ([{**REVIEW, "name": "test.junit"}], "test.junit can't be declared"),
        ([{**REVIEW, "json_schema": pattern, "totals": []}], "pattern is not known"),
        ([{**REVIEW, "totals": ["state"]}], "totals must name numbers"),
        ([{**REVIEW, "json_schema": {"type": "array"}}], "must be of type object"),
    ):
        answer = await declare(review, *kinds)
        assert (answer.status, said in answer.json["detail"]) == (422, True), answer
    assert (await declare(review, REVIEW, REVIEW)).status == 422
    assert "publish them with site=global" in (await declare(review, REVIEW, site="berlin")).json["detail"]
    assert (await say(review, 1))["judged"]
