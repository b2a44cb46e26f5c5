"""Policies that people publish: judged from the next run on, in every replica, and never looser than everywhere's."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

import pytest

from libs.common.contracts.governance.gates import list_gates
from libs.common.contracts.governance.operations import ops_gate
from libs.common.contracts.governance.policies import (
    diff_policy,
    drop_policy_draft,
    export_policy,
    list_policies,
    list_policy_versions,
    policy_published,
    publish_policy,
    roll_back_policy,
    save_policy_draft,
    show_policy,
    show_policy_draft,
    show_policy_version,
)
from libs.common.contracts.governance.runs import list_runs, run_gate
from services.governance.startup import packaged_policies
from tests.integration.governance_desk import event, run, send, send_ops, start
from tests.stack import Answer, Stack
from tests.unit.governance.samples import tiny_policy

pytestmark = pytest.mark.integration

# A statement of this database waits for a row of somebody else's.
WAITS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
STRICT = tiny_policy(name="name: operations", parameters="parameters: {most: 0}", settings="").decode()


async def put(stack: Stack, content: str, *, gate: str = "operations", site: str = "global", **more: Any) -> Answer:
    body = {"gate": gate, "content": content, "reason": "The board asked for it", **more}
    return await stack.command(publish_policy, body, site=site)


async def test_a_published_policy_is_judged_from_the_next_run_on(stack: Stack) -> None:
    await start(stack)
    stack.running["another"] = stack.running["governance"]  # a second replica, which hears of nothing
    await start(stack)
    await send_ops(stack)
    first = await run(stack)
    assert (first["decision"], first["policy_version"], len(first["rules"])) == ("go", 0, 7)
    answer = await put(stack, STRICT, issue="OPS-12")
    assert answer.status == 200, answer
    assert (answer.json["version"], answer.json["digest"]) == (1, sha256(STRICT.encode()).hexdigest())
    told = await stack.heard(policy_published)
    assert (told.data["issue"], told.data["content"], told.data["diff"][1]) == (
        "OPS-12",
        STRICT,
        "+++ operations version 1",
    )
    for _ in range(4):
        now = await run(stack)
        assert (now["policy_version"], [one["id"] for one in now["rules"]]) == (1, ["one"])
        assert now["policy_digest"] == answer.json["digest"]
        question = await stack.query(ops_gate, {})
        assert [one["id"] for one in question.json["rules"]] == ["one"]


async def test_what_was_go_by_the_text_before_is_judged_anew(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack, preflight={"warning_count": 3})
    assert (await run(stack))["decision"] == "go"
    stricter = STRICT.replace("fact.error_count <= params.most", "fact.warning_count <= params.most")
    assert (await put(stack, stricter)).status == 200
    assert await stack.run_job("governance", "rejudge")
    runs = (await stack.query(list_runs, {"gate": "operations"})).json["items"]
    assert [(one["decision"], one["policy_version"]) for one in runs] == [("no_go", 1), ("go", 0)]


async def test_versions_diff_and_a_roll_back_to_the_very_bytes(stack: Stack) -> None:
    await start(stack)
    second = STRICT.replace("Tiny", "Tinier") + "\n"
    assert (await put(stack, STRICT, expected_version=0)).status == 200
    assert (await put(stack, second, expected_version=0)).status == 409
    assert (await put(stack, second, expected_version=1)).status == 200
    back = await stack.command(roll_back_policy, {"gate": "operations", "version": 1, "reason": "It was better"})
    assert (back.status, back.json["version"], back.json["restores"], back.json["content"]) == (200, 3, 1, STRICT)
    listed = await stack.query(list_policy_versions, {"gate": "operations"})
    assert [one["version"] for one in listed.json["items"]] == [3, 2, 1]
    shown = await stack.query(show_policy_version, {"gate": "operations", "version": 2})
    assert shown.json["content"] == second
    diff = await stack.query(diff_policy, {"gate": "operations", "version": 2})
    assert {"-title: Tiny", "+title: Tinier"} <= set(diff.json["lines"])
    assert (await stack.query(diff_policy, {"gate": "operations", "version": 3, "against": 1})).json["lines"] == []
    for key in ({"version": 9}, {"version": 1, "against": 8}):
        assert (await stack.query(diff_policy, {"gate": "operations", **key})).status == 404
    missing = await stack.command(roll_back_policy, {"gate": "operations", "version": 9, "reason": "x"})
    assert missing.status == 404


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("name: [", "operations.yaml, line 1"),
        (tiny_policy().decode(), "name is tiny"),
        (STRICT.replace("fact.error_count <= params.most", "facst"), "rule one: condition, column 1"),
        (STRICT.replace("required: true", "required: false"), "no rule is both required and enforced"),
        (
            STRICT + "\ntests: [{name: no data, facts: [], expect: {decision: go}}]",
            "test no data: the decision is no_go",
        ),
        (STRICT.replace("subject_mode: site", "subject_mode: version"), "subject_mode must stay site"),
    ],
)
async def test_what_can_not_be_published_says_why(stack: Stack, content: str, words: str) -> None:
    await start(stack)
    answer = await put(stack, content)
    assert answer.status == 422, answer
    assert words in answer.json["detail"]
    assert (await stack.query(list_policy_versions, {"gate": "operations"})).json["items"] == []
    draft = await stack.command(save_policy_draft, {"gate": "operations", "content": content})
    assert draft.status == 200
    assert words in draft.json["problems"][0]


async def test_a_site_adds_and_never_loosens(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack, site="north", runbook={"critical_count": 3})
    own = tiny_policy(name="name: operations", settings="").decode()
    assert (await put(stack, own, site="north")).status == 200
    north = await run(stack, site="north")
    assert (north["decision"], north["policy_version"], north["site_policy_version"]) == ("no_go", 0, 1)
    assert [one["id"] for one in north["rules"]][-1] == "one"
    assert len(north["rules"]) == 8
    shown = (await stack.query(show_policy, {"gate": "operations"}, site="north")).json
    assert [(part["site"], part["version"]) for part in shown["parts"]] == [("global", 0), ("north", 1)]
    assert shown["parts"][0]["content"] == packaged_policies()["operations"].text
    assert shown["digest"] == north["policy_digest"]
    elsewhere = await run(stack, site="south")
    assert (elsewhere["site_policy_version"], len(elsewhere["rules"])) == (0, 7)


async def test_a_gate_that_is_only_published_is_a_gate(stack: Stack) -> None:
    await start(stack)
    assert (await stack.command(run_gate, {"gate": "tiny"})).status == 404
    assert (await put(stack, tiny_policy().decode(), gate="tiny")).status == 200
    data = {"overall_status": "ok", "error_count": 1, "warning_count": 0}
    await send(stack, event("one", "ops.preflight", data), site="north")
    made = await run(stack, "tiny", site="north")
    assert (made["decision"], made["policy_version"]) == ("go", 1)
    assert len((await stack.query(list_runs, {"gate": "tiny"}, site="north")).json["items"]) == 1
    assert [one["gate"] for one in (await stack.query(list_gates, {})).json] == ["operations", "release", "tiny"]
    listed = (await stack.query(list_policies, {}, site="north")).json
    assert [(one["gate"], one["version"]) for one in listed] == [("operations", 0), ("release", 0), ("tiny", 1)]
    stack.clock.advance(hours=2)
    assert await stack.run_job("governance", "rejudge")
    runs = (await stack.query(list_runs, {"gate": "tiny"}, site="north")).json["items"]
    assert [one["decision"] for one in runs] == ["no_go", "go"]


async def test_whom_a_policy_does_not_bind_it_does_not_judge(stack: Stack) -> None:
    await start(stack)
    bound = tiny_policy(subject_mode="subject_mode: version", title="title: T\nsubjects: [pay-*]").decode()
    assert (await put(stack, bound, gate="tiny")).status == 200
    assert (await run(stack, "tiny", subject="pay-api", version="1"))["decision"] == "no_go"
    answer = await stack.command(run_gate, {"gate": "tiny", "subject": "shop", "version": "1"})
    assert (answer.status, "does not bind the subject shop" in answer.json["detail"]) == (422, True)


async def test_a_signal_is_read_as_the_newest_policies_want_it(stack: Stack) -> None:
    await start(stack)
    data = {"overall_status": "ok", "error_count": 0, "warning_count": 0}
    versioned = event("one", "ops.preflight", data, subject="app", version="1")
    assert (await send(stack, versioned)).status == 422
    wanting = tiny_policy(subject_mode="subject_mode: version", scope="    scope: version").decode()
    assert (await put(stack, wanting, gate="tiny", site="north")).status == 200
    assert (await send(stack, versioned, site="north")).status == 201
    assert (await run(stack, "tiny", site="north", subject="app", version="1"))["decision"] == "go"


async def test_drafts_have_no_effect_and_go_when_published(stack: Stack) -> None:
    await start(stack)
    key = {"gate": "operations"}
    assert (await stack.query(show_policy_draft, key)).status == 404
    saved = await stack.command(save_policy_draft, {**key, "content": STRICT})
    assert (saved.status, saved.json["problems"]) == (200, [])
    assert (await stack.query(show_policy_draft, key)).json["content"] == STRICT
    assert (await run(stack))["policy_version"] == 0
    assert (await put(stack, STRICT)).status == 200
    assert (await stack.query(show_policy_draft, key)).status == 404
    await stack.command(save_policy_draft, {**key, "content": "x"})
    assert (await stack.command(drop_policy_draft, key)).status == 200
    assert (await stack.command(drop_policy_draft, key)).status == 404


async def test_a_draft_of_somebody_else_is_not_overwritten_unseen(stack: Stack) -> None:
    await start(stack)
    key = {"gate": "operations"}
    none = {**key, "expected_digest": ""}
    first = (await stack.command(save_policy_draft, {**none, "content": "first"}, actor="ann")).json["digest"]
    for late in (none, {**key, "expected_digest": "0" * 64}):
        refused = await stack.command(save_policy_draft, {**late, "content": "second"}, actor="ben")
        assert (refused.status, refused.json["type"].rpartition(":")[2]) == (409, "conflict")
        assert (await stack.command(drop_policy_draft, {**key, "expected_digest": "0" * 64})).status == 409
    assert (await stack.command(save_policy_draft, {**none, "content": "first"}, actor="ben")).status == 200  # the same
    seen = {**key, "expected_digest": first}
    assert (await stack.command(save_policy_draft, {**seen, "content": "second"}, actor="ben")).status == 200
    assert (await stack.command(drop_policy_draft, seen)).status == 409
    assert (await put(stack, STRICT)).status == 200  # what somebody else is writing stays beside it
    draft = (await stack.query(show_policy_draft, key)).json
    assert (draft["content"], draft["saved_by"]) == ("second", "ben")
    assert (await stack.command(drop_policy_draft, {**key, "expected_digest": draft["digest"]})).status == 200


async def test_two_who_save_at_once_do_not_both_win(stack: Stack) -> None:
    await start(stack)
    texts = [{"gate": "operations", "expected_digest": "", "content": f"text {count}"} for count in range(8)]
    answers = await asyncio.gather(*(stack.command(save_policy_draft, one) for one in texts))
    assert sorted(one.status for one in answers) == [200] + [409] * 7


async def test_a_draft_that_was_dropped_meanwhile_does_not_come_back(stack: Stack) -> None:
    await start(stack)
    key = {"gate": "operations"}
    seen = (await stack.command(save_policy_draft, {**key, "content": "first"}, actor="ann")).json["digest"]
    assert (await stack.command(drop_policy_draft, key, actor="ben")).status == 200
    late = await stack.command(save_policy_draft, {**key, "content": "second", "expected_digest": seen}, actor="ann")
    assert late.status == 409
    assert (await stack.query(show_policy_draft, key)).status == 404


async def test_a_draft_that_is_begun_at_the_same_moment_is_not_replaced(stack: Stack) -> None:
    """Another replica's stands in the table when this one writes, although it did not when this one looked."""
    await start(stack)
    key = {"gate": "operations"}
    other = await stack.superuser()
    try:
        await other.execute("SET search_path = governance")
        async with other.transaction():
            await other.execute(
                "INSERT INTO policy_drafts (gate, site, content, digest, saved_by, saved_at) "
                "VALUES ('operations', 'global', 'first', $1, 'ann', now())",
                sha256(b"first").hexdigest(),
            )
            late = await stack.post(save_policy_draft, {**key, "content": "second", "expected_digest": ""}, actor="ben")
            async with asyncio.timeout(10):
                while not await other.fetchval(WAITS):
                    await asyncio.sleep(0.02)
        assert (await stack.outcome(late)).status == 409
    finally:
        await other.close()
    assert (await stack.query(show_policy_draft, key)).json["content"] == "first"


async def test_the_text_is_exported_as_it_was_published(stack: Stack) -> None:
    await start(stack)
    text = "# Ours\n" + STRICT
    assert (await put(stack, text)).status == 200
    blob = (await stack.query(export_policy, {"gate": "operations"})).json
    assert (blob["sha256"], blob["media_type"]) == (sha256(text.encode()).hexdigest(), "application/yaml")
    assert (await stack.query(export_policy, {"gate": "none"})).status == 404
