"""Backtests of policies: stored decisions are judged again by a text, and each one that it flips is named."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import orjson
import pytest

from libs.common.contracts.governance.backtests import (
    backtest_begun,
    backtested,
    begin_backtest,
    list_backtests,
    show_backtest,
)
from libs.common.contracts.governance.capsules import get_capsule
from libs.common.contracts.governance.policies import (
    policy_published,
    publish_policy,
    save_policy_draft,
    show_policy_version,
)
from libs.judge.capsule import fact_data, rebuild
from libs.judge.combine import combine
from libs.judge.policy import parse_policy
from libs.judge.verdict import judge
from services.governance import backtests
from services.governance.startup import packaged_policies
from tests.integration.governance_desk import event, run, send, send_ops, start
from tests.stack import Answer, Stack
from tests.unit.governance.samples import tiny_policy

pytestmark = [pytest.mark.integration, pytest.mark.whole]

# Stricter than the operations gate, which lets warnings of the preflight pass.
STRICT = (
    tiny_policy(name="name: operations", parameters="parameters: {most: 0}", settings="")
    .decode()
    .replace("fact.error_count <= params.most", "fact.warning_count <= params.most")
)
COUNT, EACH = 230, 7


async def begin(stack: Stack, site: str = "north", **body: Any) -> Answer:
    return await stack.command(begin_backtest, {"gate": "operations", **body}, site=site)


async def shown(stack: Stack, backtest_id: int, site: str = "north", **more: Any) -> Any:
    answer = await stack.query(show_backtest, {"gate": "operations", "backtest_id": backtest_id, **more}, site=site)
    assert answer.status == 200, answer
    return answer.json


async def decide(stack: Stack, count: int, site: str = "north") -> list[int]:
    """Decisions of which each seventh, from the first on, has a warning in its preflight; all ids, newest first."""
    await send_ops(stack, site=site)
    made_ids = []
    for number in range(count):
        data = {"overall_status": "ok", "error_count": 0, "warning_count": int(number % EACH == 0)}
        answer = await send(stack, event(f"again-{number}", "ops.preflight", data), site=site)
        assert answer.status == 201, answer
        made = await run(stack, site=site)
        assert made["decision"] == "go"
        made_ids.append(made["run_id"])
    return made_ids[::-1]


def warned_of(made: list[int]) -> list[int]:
    return made[::-1][::EACH][::-1]


async def by_hand(stack: Stack, run_id: int) -> tuple[int, str]:
    """The warnings that a decision knew of, and what the text says of it: from its capsule, without the service."""
    key = {"gate": "operations", "run_id": run_id}
    answer = await stack.query(get_capsule, key, site="north")
    capsule = orjson.loads(zlib.decompress(base64.b64decode(answer.json["content_zlib_base64"])))
    data = {name: orjson.loads(capsule["attachments"][name]) for name in fact_data(capsule["body"])}
    facts, standing, clock = rebuild(capsule["body"], data)
    policy = combine(packaged_policies()["operations"], parse_policy(STRICT.encode(), "operations.yaml"))
    (preflight,) = [fact.data for fact in facts.current if fact.kind == "ops.preflight"]
    assert isinstance(preflight, dict)
    return int(preflight["warning_count"]), judge(policy, facts, clock, standing).verdict


async def test_each_flipped_decision_is_named_with_its_rule_and_a_stop_in_the_middle_changes_nothing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(stack)
    made = await decide(stack, COUNT)
    warned = warned_of(made)
    stack.clock.advance(days=30)  # all facts are old by now, and each decision has its own clock
    answer = await begin(stack, content=STRICT)
    assert answer.status == 201, answer
    first = answer.json
    assert (first["state"], first["done_count"], first["total_count"]) == ("running", backtests.FIRST, COUNT)
    assert (await stack.heard(backtest_begun)).data["state"] == "queued"

    # A slice that dies after its first chunk leaves nothing behind; another process goes on from the stored place.
    whole, chunks = backtests._Judge.chunk, 0

    async def dying(*args: Any) -> None:
        nonlocal chunks
        chunks += 1
        if chunks == 2:
            raise RuntimeError("killed")
        await whole(*args)

    with monkeypatch.context() as patched:
        patched.setattr(backtests._Judge, "chunk", dying)
        assert not await stack.run_job("governance", "backtests", "north")
    assert chunks == 2
    between = await shown(stack, first["backtest_id"])
    assert {name: between[name] for name in first} == first
    await stack.stop("governance")
    await start(stack)
    assert await stack.run_job("governance", "backtests", "north")

    found = await shown(stack, first["backtest_id"])
    assert (found["state"], found["done_count"], found["judged_count"]) == ("done", COUNT, COUNT)
    assert [flip["run_id"] for flip in found["flips"]] == warned
    assert (found["flip_count"], found["to_no_go_count"], found["to_go_count"]) == (len(warned), len(warned), 0)
    assert (found["left_out_count"], found["unread_kinds"], found["without_capsule_count"]) == (0, [], 0)
    assert {(flip["before"], flip["after"]) for flip in found["flips"]} == {("GO", "NO_GO")}
    assert {tuple((one["id"], one["before"], one["after"]) for one in flip["rules"]) for flip in found["flips"]} == {
        (("one", None, "fail"),)
    }
    for run_id in (warned[0], warned[len(warned) // 2], warned[-1]):
        assert await by_hand(stack, run_id) == (1, "NO_GO")
    for run_id in (made[made.index(warned[0]) + 1], made[-2]):
        assert await by_hand(stack, run_id) == (0, "GO")
    told = await stack.heard(backtested)
    assert (told.site, told.data["flip_count"]) == ("north", len(warned))
    few = await shown(stack, first["backtest_id"], limit=3)
    assert ([flip["run_id"] for flip in few["flips"]], few["left_out_count"]) == (warned[:3], len(warned) - 3)
    # The same when it is asked for again, over the newest 30 alone, which are done at once.
    short = (await begin(stack, content=STRICT, last_count=30)).json
    assert (short["state"], short["total_count"], short["flip_count"]) == ("done", 30, 4)


async def test_what_is_left_out_is_said_and_nobody_sees_another_site(stack: Stack) -> None:
    await start(stack)
    made = await decide(stack, 15)
    await run(stack, site="south")
    admin = await stack.superuser()
    try:
        await admin.execute("DELETE FROM governance.capsules WHERE run_id = $1", made[-1])
        await admin.execute("UPDATE governance.runs SET capsule_sha256 = NULL WHERE run_id = $1", made[-1])
        await admin.execute("UPDATE governance.capsules SET body = 'x' WHERE run_id = $1", made[-2])
    finally:
        await admin.close()
    done = (await begin(stack, content=STRICT)).json
    counts = ("done_count", "judged_count", "without_capsule_count", "unreadable_count", "flip_count")
    assert [done[name] for name in counts] == [15, 13, 1, 1, 2]
    key = {"gate": "operations", "backtest_id": done["backtest_id"]}
    for site in ("south", "global"):
        assert (await stack.query(show_backtest, key, site=site)).status == 404
        assert (await stack.query(list_backtests, {"gate": "operations"}, site=site)).json["items"] == []
    assert (await stack.query(show_backtest, {**key, "gate": "release"}, site="north")).status == 404
    listed = (await stack.query(list_backtests, {"gate": "operations"}, site="north")).json["items"]
    assert listed == [done]
    nothing = (await begin(stack, site="west", content=STRICT)).json
    assert (nothing["state"], nothing["total_count"]) == ("done", 0)


async def test_everywhere_a_text_stands_alone_and_may_lift_a_no_go(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack, security=None, site="north")
    assert (await run(stack, site="north"))["decision"] == "no_go"
    at_a_site = (await begin(stack, content=STRICT)).json
    assert (at_a_site["judged_count"], at_a_site["flip_count"]) == (1, 0)
    await send_ops(stack, security=None)
    made = await run(stack)
    assert made["decision"] == "no_go"
    done = (await begin(stack, site="global", content=STRICT)).json
    (flip,) = (await shown(stack, done["backtest_id"], site="global"))["flips"]
    assert (flip["run_id"], flip["before"], flip["after"], done["to_go_count"]) == (made["run_id"], "NO_GO", "GO", 1)
    failed = [one["id"] for one in made["rules"] if one["status"] == "fail"]
    assert [(one["id"], one["before"], one["after"]) for one in flip["rules"]] == [
        (name, "fail", None) for name in failed
    ]
    assert flip["reasons"] == made["reasons"]


async def test_facts_that_nobody_read_then_are_not_there(stack: Stack) -> None:
    await start(stack)
    await stack.command(publish_policy, {"gate": "operations", "content": STRICT, "reason": "x"}, site="global")
    await send_ops(stack)
    assert (await run(stack))["decision"] == "go"
    wider = STRICT.replace("kind: ops.preflight", "kind: ops.runbook")
    for name in ("warning_count", "error_count"):
        wider = wider.replace(name, "critical_count")
    answer = await begin(stack, site="global", content=wider)
    assert answer.status == 201, answer
    done = answer.json
    (flip,) = (await shown(stack, done["backtest_id"], site="global"))["flips"]
    assert done["unread_kinds"] == flip["unread_kinds"] == ["ops.runbook"]
    assert flip["rules"][0]["after"] == "fail"


async def test_the_draft_is_tried_and_its_publication_shows_what_was_found(stack: Stack) -> None:
    await start(stack)
    warned = warned_of(await decide(stack, 8))
    assert (await begin(stack)).status == 404
    await stack.command(save_policy_draft, {"gate": "operations", "content": STRICT}, site="north")
    done = (await begin(stack)).json
    body = {"gate": "operations", "content": STRICT, "reason": "It was tried"}
    published = (await stack.command(publish_policy, body, site="north")).json
    found = published["backtest"]
    assert (found["backtest_id"], found["judged_count"], found["flip_count"]) == (done["backtest_id"], 8, len(warned))
    assert (await stack.heard(policy_published)).data["backtest"] == found
    version = await stack.query(show_policy_version, {"gate": "operations", "version": 1}, site="north")
    assert version.json["backtest"] == found
    untried = (await stack.command(publish_policy, {**body, "content": STRICT + "\n"}, site="north")).json
    assert untried["backtest"] is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("name: [", "operations.yaml, line 1"),
        (tiny_policy().decode(), "name is tiny"),
        (STRICT.replace("subject_mode: site", "subject_mode: version"), "subject_mode must be"),
    ],
)
async def test_a_text_that_can_not_be_judged_by_is_refused(stack: Stack, content: str, words: str) -> None:
    await start(stack)
    answer = await begin(stack, content=content)
    assert answer.status == 422, answer
    assert words in answer.json["detail"]


async def test_only_the_newest_backtests_are_kept(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    await start(stack)
    monkeypatch.setattr(backtests, "MAX_KEPT", 2)
    ids = [(await begin(stack, content=STRICT)).json["backtest_id"] for _ in range(4)]
    listed = (await stack.query(list_backtests, {"gate": "operations"}, site="north")).json["items"]
    assert [one["backtest_id"] for one in listed] == ids[:1:-1]
