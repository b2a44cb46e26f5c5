"""Rules over past verdicts on real servers: seen by each who says that a GO holds, and written down for replay."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from libs.common.cloudevents import format_time
from libs.common.contracts.governance.admission import admit
from libs.common.contracts.governance.approvals import approve_candidate
from libs.common.contracts.governance.capsules import get_capsule, list_capsule_keys
from libs.common.contracts.governance.policies import publish_policy
from libs.judge.capsule import check
from libs.judge.dsse import PublicKey, public_keys
from tests.integration.governance_desk import event, report, rule, run, send, start
from tests.integration.test_governance_validity import rejudge, revoked
from tests.stack import Stack
from tests.unit.governance.samples import case, junit
from tests.unit.governance.test_history import POLICY

GATE = "streaks"
OF = {"subject": "app"}


async def policy(stack: Stack, when: str, more: str = "passes_at_first: true", **changed: str) -> Any:
    text = POLICY.format(when=when, more=more, after="", scope="subject", tests="required")
    for before, after in ({"name: release": f"name: {GATE}"} | changed).items():
        text = text.replace(before, after)
    answer = await stack.command(publish_policy, {"gate": GATE, "content": text, "reason": "streaks"})
    assert answer.status == 200, answer
    return answer.json


async def judged(stack: Stack, version: str, *, good: bool = True) -> Any:
    content = junit(case("a") if good else case("a", "<failure/>"), case("b"))
    assert (await report(stack, "junit", content, version=version, **OF)).status == 201
    return await run(stack, GATE, version=version, **OF)


async def admitted(stack: Stack, version: str) -> Any:
    return (await stack.query(admit, {"gate": GATE, "version": version, **OF})).json


async def test_three_no_gos_in_a_row_close_the_gate_until_a_day_is_over(stack: Stack) -> None:
    await start(stack)
    published = await policy(stack, "derived.no_go_streak < 2 || derived.hours_since_last_no_go >= 24")
    assert published["warnings"] == []
    assert (await judged(stack, "1"))["decision"] == "go", "nothing came before"
    for _ in range(2):
        assert (await judged(stack, "2", good=False))["decision"] == "no_go"
    closed = await judged(stack, "3")
    assert (closed["decision"], rule(closed, "tests")["status"]) == ("no_go", "pass")
    assert rule(closed, "streak")["observed"].startswith("2 NO-GOs in a row")
    stack.clock.advance(hours=24)
    assert (await run(stack, GATE, version="3", **OF))["decision"] == "go"
    shut = await policy(stack, "derived.go_streak >= 1")
    assert "may never pass again" in shut["warnings"][0]


async def test_a_verdict_that_comes_later_is_seen_and_ends_a_go(stack: Stack) -> None:
    await start(stack)
    await policy(stack, "derived.no_go_count < 2")
    made = await judged(stack, "1")
    assert (await admitted(stack, "1"))["admitted"]
    await judged(stack, "2", good=False)
    assert (await admitted(stack, "1"))["admitted"], "it is judged anew, and one is few enough"
    await rejudge(stack)
    await judged(stack, "2", good=False)
    found = await admitted(stack, "1")
    assert not found["admitted"]
    assert "NO-GOs in a row" in found["reasons"][0]
    await rejudge(stack)
    assert (await revoked(stack, made))["revoked_run_id"] == made["run_id"]


async def test_a_go_does_not_count_itself_and_the_clock_adds_nothing(stack: Stack) -> None:
    await start(stack)
    await policy(stack, "derived.go_count == 0")
    first = await judged(stack, "1")
    assert first["decision"] == "go"
    await judged(stack, "1")
    assert (await admitted(stack, "1"))["admitted"]
    assert (await run(stack, GATE, version="1", **OF))["decision"] == "no_go", (
        "the one before the last is no more its own"
    )


async def test_the_clock_alone_ends_a_go_that_was_quiet_for_hours_only(stack: Stack) -> None:
    await start(stack)
    await policy(stack, "derived.hours_since_last_go < 5")
    assert (await judged(stack, "1"))["decision"] == "go"
    made = await judged(stack, "2")
    assert made["decision"] == "go"
    assert datetime.fromisoformat(made["valid_until"]) == stack.clock() + timedelta(hours=5)
    stack.clock.advance(hours=5)
    assert not (await admitted(stack, "2"))["admitted"]
    await rejudge(stack)
    assert (await revoked(stack, made))["reasons"]


async def test_nobody_states_a_history(stack: Stack) -> None:
    await start(stack)
    await policy(stack, "derived.no_go_count == 0", more="")
    sent = await send(stack, event("h", "gate.history", {"no_go_count": 0}, version="1"), **OF)
    assert sent.status == 201
    assert not sent.json["items"][0]["judged"]
    assert rule(await judged(stack, "1"), "streak")["observed"] == "no verdict was made before"


async def test_a_capsule_holds_what_came_before(stack: Stack) -> None:
    await start(stack)
    await policy(stack, "derived.no_go_streak < 2")
    await judged(stack, "1", good=False)
    made = await judged(stack, "2")
    answer = (await stack.query(get_capsule, {"gate": GATE, "run_id": made["run_id"]})).json
    content = zlib.decompress(base64.b64decode(answer["content_zlib_base64"]))
    keys = (await stack.query(list_capsule_keys, {})).json
    trusted = public_keys(*(PublicKey.read(one["public_key_pem"].encode()) for one in keys))
    problems, body = check(content, trusted)
    assert problems == []
    assert [one["decision"] for one in body["facts"]["history"]["runs"]] == ["no_go"]
    forged = json.loads(content)
    forged["body"]["facts"]["history"]["runs"] = []
    assert check(json.dumps(forged).encode(), trusted)[0]


ROLLBACK = """
name: streaks
title: Release
description: Only what can be taken back.
subject_mode: version
allow_warnings: true
min_score_percent: 0
rules:
  - id: tests
    title: Tests pass
    severity: required
    weight: 1
    kind: test.junit
    scope: version
    when: derived.not_passed == 0
    observed: "{derived.not_passed} failed"
    wanted: "0"
    max_age_days: 300
  - id: rollback
    title: The version before is proven restorable
    severity: required
    weight: 1
    kind: rollback.readiness
    scope: version
    when: derived.is_of_last_go_version && derived.all_passed
    observed: "a rehearsal of {fact.previous_version}, while {derived.last_go_version} runs"
    wanted: a passed rehearsal of what runs
    max_age_hours: 72
    age_of: restored_at
"""


async def rehearsed(stack: Stack, version: str, previous: str | None, **more: Any) -> Any:
    """The verdict on a version after a rehearsal of going back."""
    told = {"previous_version": previous, "restored_at": format_time(stack.clock()), "smoke_passed": True,
            "rehearsal_id": "R-1", **more}  # fmt: skip
    sent = await send(stack, event(f"{version}-{previous}-{more}", "rollback.readiness", told, version=version), **OF)
    assert sent.status == 201, sent
    return await judged(stack, version)


async def test_only_a_rehearsal_of_what_runs_now_counts(stack: Stack) -> None:
    await start(stack)
    body = {"gate": GATE, "content": ROLLBACK, "reason": "rollback"}
    assert (await stack.command(publish_policy, body)).status == 200
    assert (await rehearsed(stack, "1", "0.9"))["decision"] == "no_go", "there is no 0.9"
    assert (await rehearsed(stack, "1", None))["decision"] == "go", "the first release has nothing to go back to"
    assert (await admitted(stack, "1"))["admitted"]
    assert (await rehearsed(stack, "2", None))["decision"] == "no_go"
    assert (await rehearsed(stack, "2", "1", smoke_passed=False))["decision"] == "no_go"
    assert (await rehearsed(stack, "2", "1"))["decision"] == "go"
    assert (await run(stack, GATE, version="2", **OF))["decision"] == "go", "its own GO is not the version before"
    failed = rule(await rehearsed(stack, "3", "1"), "rollback")
    assert failed["observed"] == "a rehearsal of 1, while 2 runs"


async def test_the_upgrade_keeps_what_is_go(stack: Stack) -> None:
    await start(stack)
    await policy(stack, "derived.no_go_count < 9")
    await judged(stack, "1")
    admin: asyncpg.Connection = await stack.superuser()
    try:
        await admin.execute("UPDATE governance.valid_gos SET history_number = NULL")
    finally:
        await admin.close()
    assert (await admitted(stack, "1"))["admitted"]


async def test_a_run_that_waits_for_approvals_is_no_failure(stack: Stack) -> None:
    await start(stack)
    await policy(stack, "derived.no_go_streak < 1", "passes_at_first: true\napprovals: {count: 1}")
    for _ in range(2):
        waiting = await judged(stack, "1")
        assert [hold["kind"] for hold in waiting["holds"]] == ["approval"]
        assert rule(waiting, "streak")["passed"], "asking for an approval breaks no streak"
    said = {"gate": GATE, "version": "1", **OF, "evidence_sha256": waiting["evidence_sha256"], "reason": "tried it"}
    answer = await stack.command(approve_candidate, said | {"caller_role": "manager"}, actor="bob")
    assert answer.json["run"]["decision"] == "go", answer
    failed = await judged(stack, "2", good=False)
    assert [hold["kind"] for hold in failed["holds"]] == ["approval"]
    assert not rule(await judged(stack, "3"), "streak")["passed"], "one that fails besides has failed"
