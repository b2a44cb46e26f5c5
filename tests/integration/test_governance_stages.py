"""Stages: a gate that wants another gate's GO of the same version, soaked; and where each version stands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from libs.common.cloudevents import format_time
from libs.common.contracts.governance.admission import admit
from libs.common.contracts.governance.capsules import list_capsule_keys
from libs.common.contracts.governance.paths import get_path
from libs.common.contracts.governance.policies import publish_policy
from libs.common.contracts.governance.runs import gate_revoked, list_runs
from libs.common.contracts.governance.stages import list_stages
from libs.judge.capsule import check
from libs.judge.dsse import PublicKey, public_keys
from tests.integration.governance_desk import report, run, start
from tests.integration.test_governance_capsules import capsule_of
from tests.integration.test_governance_validity import rejudge
from tests.stack import Stack
from tests.unit.governance.samples import case, junit
from tests.unit.governance.test_stages import TEXT

pytestmark = pytest.mark.integration

STAGING = """name: staging
title: Staging
description: Tests passed.
subject_mode: version
allow_warnings: true
min_score_percent: 0
rules:
  - id: tests_passed
    title: Tests passed
    severity: required
    weight: 1
    kind: test.junit
    scope: version
    ageless_reason: a version is tested once
    when: derived.not_passed == 0 && derived.passed > 0
    observed: "{derived.not_passed} failed"
    wanted: 0 failed
"""
APP = {"subject": "app", "version": "1.0"}


async def publish(stack: Stack, content: str, gate: str) -> Any:
    body = {"gate": gate, "content": content, "reason": "Stages"}
    return await stack.command(publish_policy, body)


@pytest.fixture
async def soaking(stack: Stack) -> Stack:
    """Staging is GO, production waits for it."""
    await start(stack)
    for content, gate in ((STAGING, "staging"), (TEXT, "production")):
        answer = await publish(stack, content, gate)
        assert answer.status == 200, answer
    await send_tests(stack)
    assert (await run(stack, "staging", **APP))["verdict"] == "GO"
    return stack


async def send_tests(stack: Stack, state: str = "") -> None:
    """The tests of version 1.0, with what became of the first."""
    answer = await report(stack, "junit", junit(case("a", state), case("b")), **APP)
    assert answer.status == 201, answer


async def admitted(stack: Stack) -> dict[str, Any]:
    """Whether production takes 1.0 now."""
    answer = await stack.query(admit, {"gate": "production", **APP})
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


async def test_it_passes_by_the_clock_and_ends_by_it(soaking: Stack) -> None:
    begun = soaking.clock()
    soaking.clock.advance(hours=3)
    made = await run(soaking, "production", **APP)
    assert (made["verdict"], made["rules"][0]["passes_at"]) == ("NO_GO", format_time(begun + timedelta(hours=24)))
    path = (await soaking.query(get_path, {"gate": "production", "run_id": made["run_id"]})).json
    assert path["earliest_go_at"] == made["rules"][0]["passes_at"]  # and not when its 30 hours of SLA are over
    soaking.clock.advance(hours=21)
    made = await run(soaking, "production", **APP)
    assert (made["verdict"], made["valid_until"]) == ("GO", format_time(begun + timedelta(hours=168, microseconds=1)))
    assert (await admitted(soaking))["admitted"]
    soaking.clock.advance(hours=145)
    assert not (await admitted(soaking))["admitted"]


async def test_a_run_that_stays_go_does_not_begin_it_anew(soaking: Stack) -> None:
    soaking.clock.advance(hours=23)
    again = await run(soaking, "staging", **APP)
    soaking.clock.advance(hours=1)
    made = await run(soaking, "production", **APP)
    assert (made["verdict"], made["rules"][0]["detail"]["run_id"]) == ("GO", again["run_id"])
    await run(soaking, "staging", **APP)
    assert (await admitted(soaking))["admitted"]  # another run of it, and it is well
    await rejudge(soaking)
    assert (await admitted(soaking))["run_id"] == made["run_id"]


async def test_the_end_of_the_other_gos_ends_this_one(soaking: Stack) -> None:
    soaking.clock.advance(hours=25)
    made = await run(soaking, "production", **APP)
    assert made["verdict"] == "GO"
    await send_tests(soaking, "<failure/>")
    await run(soaking, "staging", **APP)  # NO_GO
    found = await admitted(soaking)
    assert (found["admitted"], "No GO of the gate staging holds" in found["reasons"][0]) == (False, True)
    await rejudge(soaking)
    told = await soaking.heard(gate_revoked, lambda event: event.data["revoked_run_id"] == made["run_id"])
    assert told.data["run_id"] is not None
    # Mended at once, and yet it begins anew.
    await send_tests(soaking)
    assert (await run(soaking, "staging", **APP))["verdict"] == "GO"
    soaking.clock.advance(hours=23)
    assert (await run(soaking, "production", **APP))["verdict"] == "NO_GO"
    soaking.clock.advance(hours=1)
    assert (await run(soaking, "production", **APP))["verdict"] == "GO"


async def test_what_revokes_the_other_gate_by_the_clock_job_revokes_this_one_too(soaking: Stack) -> None:
    soaking.clock.advance(hours=25)
    made = await run(soaking, "production", **APP)
    await send_tests(soaking, "<failure/>")
    await rejudge(soaking)  # finds staging
    await rejudge(soaking)  # finds production
    assert (await soaking.heard(gate_revoked, lambda one: one.data["revoked_run_id"] == made["run_id"])) is not None
    runs = (await soaking.query(list_runs, {"gate": "production"})).json["items"]
    assert [(one["verdict"], one["trigger"]) for one in runs] == [("NO_GO", "schedule"), ("GO", "api")]


async def test_gates_that_would_wait_for_each_other_are_not_published(soaking: Stack) -> None:
    back = STAGING + TEXT[TEXT.index("  - id: soaked") :].replace("gate: staging", "gate: production")
    answer = await publish(soaking, back, "staging")
    assert (answer.status, "staging would wait for production, which waits for staging" in answer.json["detail"]) == (
        422,
        True,
    )
    canary = TEXT.replace("name: production", "name: canary").replace("gate: staging", "gate: production")
    assert (await publish(soaking, canary, "canary")).status == 200
    answer = await publish(soaking, back.replace("gate: production", "gate: canary"), "staging")
    assert "staging would wait for canary, which waits for production, which waits for staging" in answer.json["detail"]


async def test_the_capsule_proves_what_the_other_gate_said(soaking: Stack) -> None:
    soaking.clock.advance(hours=25)
    made = await run(soaking, "production", **APP)
    key = (await soaking.query(list_capsule_keys, {})).json[0]["public_key_pem"]
    problems, body = check(await capsule_of(soaking, made), public_keys(PublicKey.read(key.encode())))
    assert problems == []
    assert [one["run_id"] for one in body["facts"]["stages"]] == [made["rules"][0]["detail"]["run_id"]]


async def test_each_version_is_shown_where_it_stands(soaking: Stack) -> None:
    begun = soaking.clock()
    soaking.clock.advance(hours=25)
    await run(soaking, "staging", **APP, line="lts")
    made = await run(soaking, "production", **APP)
    newer = {"subject": "app", "version": "1.1"}
    assert (await report(soaking, "junit", junit(case("a", "<failure/>")), **newer)).status == 201
    await run(soaking, "staging", **newer)

    async def shown(**wanted: Any) -> dict[str, Any]:
        answer = await soaking.query(list_stages, {"subject": "app", **wanted})
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json
        return found

    found = await shown()
    told = [
        (one["version"], [(at["gate"], at["line"], at["verdict"], at["holds"]) for at in one["stages"]])
        for one in found["versions"]
    ]
    assert told == [
        ("1.1", [("staging", "", "NO_GO", False)]),
        ("1.0", [("production", "", "GO", True), ("staging", "", "GO", True), ("staging", "lts", "GO", True)]),
    ]
    production, staging, _ = found["versions"][1]["stages"]
    assert (production["run_id"], production["valid_until"]) == (made["run_id"], made["valid_until"])
    assert (staging["since"], found["has_more"]) == (format_time(begun), False)
    soaking.clock.advance(hours=200)
    assert [at["holds"] for at in (await shown(gate="production"))["versions"][1]["stages"]] == [False]
    assert len((await shown(line="lts"))["versions"][1]["stages"]) == 1
    short = await shown(limit=1)
    assert ([one["version"] for one in short["versions"]], short["has_more"]) == (["1.1"], True)
    assert (await soaking.query(list_stages, {"subject": "app", "gate": "nowhere"})).status == 404
    assert (await shown(subject="other"))["versions"] == []


async def test_a_go_whose_time_was_over_unseen_begins_anew(soaking: Stack) -> None:
    assert (await publish(soaking, STAGING.replace("rules:", "valid_for_hours: 10\nrules:"), "staging")).status == 200
    await rejudge(soaking)  # a new text is looked at, and what stays GO holds on
    soaking.clock.advance(hours=9)
    assert (await run(soaking, "staging", **APP))["verdict"] == "GO"
    soaking.clock.advance(hours=11)  # over for an hour, and no job looked
    assert (await run(soaking, "staging", **APP))["verdict"] == "GO"
    soaking.clock.advance(hours=5)
    made = await run(soaking, "production", **APP)
    assert (made["verdict"], "for 5.0 hours" in made["reasons"][0]) == ("NO_GO", True)


async def test_a_text_that_is_looked_at_anew_does_not_begin_it_anew(soaking: Stack) -> None:
    soaking.clock.advance(hours=20)
    assert (await publish(soaking, STAGING.replace("Tests passed.", "All of them."), "staging")).status == 200
    await rejudge(soaking)
    soaking.clock.advance(hours=4)
    assert (await run(soaking, "production", **APP))["verdict"] == "GO"
