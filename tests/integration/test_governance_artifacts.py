"""Artifacts by digest: which one a version is, what is told of another, and GOs of a tag that moved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from libs.common.cloudevents import format_time
from libs.common.contracts.governance.admission import admit
from libs.common.contracts.governance.policies import publish_policy
from libs.common.contracts.governance.reports import record_report
from libs.common.contracts.governance.runs import run_gate
from libs.common.contracts.governance.signals import get_signal, list_signals, signal_recorded
from services.governance.startup import packaged_policies
from tests.integration.governance_desk import cobertura, event, heartbeat, report, rule, run, send, start
from tests.integration.test_governance_validity import rejudge, revoked, runs_of
from tests.stack import Stack
from tests.unit.governance.samples import case, junit, sarif

pytestmark = pytest.mark.integration

APP: dict[str, str] = {"gate": "release", "subject": "app", "version": "1.0"}
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
RELEASE = packaged_policies()["release"].text
REQUIRED = RELEASE.replace("subject_mode: version", "subject_mode: version\ndigest: required")


async def reports(stack: Stack, digest: str = "") -> None:
    """The reports of version 1.0, told of an artifact."""
    named = {"artifact_digest": digest} if digest else {}
    for format_, content in (
        ("junit", junit(case("a"), case("b"))), ("cobertura", cobertura(9, 10)), ("sarif", sarif([])),
    ):  # fmt: skip
        answer = await report(stack, format_, content, subject="app", version="1.0", **named)
        assert answer.status == 201, answer
    await heartbeat(stack)


async def name(stack: Stack, digest: str, event_id: str, **more: Any) -> None:
    """A signal that names the artifact, and is judged by nobody."""
    told = event(event_id, "image.pushed", {}, artifactdigest=digest, subject="app", version="1.0", **more)
    assert (await send(stack, told)).status == 201


async def admitted(stack: Stack, **more: str) -> dict[str, Any]:
    """Whether version 1.0 may go."""
    answer = await stack.query(admit, {**APP, **more})
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


async def publish(stack: Stack, content: str) -> None:
    body = {"gate": "release", "content": content, "reason": "Digests"}
    assert (await stack.command(publish_policy, body)).status == 200


async def test_a_run_takes_the_artifact_that_the_newest_signal_names(stack: Stack) -> None:
    await start(stack)
    await reports(stack, A)
    made = await run(stack, **APP)
    assert (made["verdict"], made["artifact_digest"], made["artifact_signal_id"]) == ("GO", A, 3)
    found = await admitted(stack)
    assert (found["admitted"], found["artifact_digest"]) == (True, A)
    told = await stack.heard(signal_recorded)
    assert told.data["artifact_digest"] == A
    shown = (await stack.query(get_signal, {"signal_id": 1})).json
    assert shown["artifact_digest"] == (await stack.query(list_signals, {})).json["items"][-1]["artifact_digest"] == A


async def test_whoever_asks_may_name_it_and_is_told_what_is_about_another(stack: Stack) -> None:
    await start(stack)
    await reports(stack, A)
    made = await run(stack, **APP, artifact_digest=B)
    assert (made["verdict"], made["artifact_digest"], made["artifact_signal_id"]) == ("NO_GO", B, None)
    assert f"is about {A}, judged is {B}" in rule(made, "tests_passed")["message"]
    assert f"Version 1.0 is {A} by the newest signal" in made["reasons"][0]


async def test_newest_is_by_effective_time_and_not_by_arrival(stack: Stack) -> None:
    await start(stack)
    await reports(stack)
    now = stack.clock()
    await name(stack, B, "one", time=format_time(now - timedelta(minutes=1)))
    await name(stack, A, "two", time=format_time(now - timedelta(minutes=3)))  # came later, is older
    assert (await run(stack, **APP))["artifact_digest"] == B
    await name(stack, A, "three", time=format_time(now - timedelta(seconds=30)))  # and back again
    await name(stack, B, "four", time=format_time(now - timedelta(seconds=40)))
    assert (await run(stack, **APP))["artifact_digest"] == A
    await send(stack, event("none", "image.pushed", {}, subject="app", version="1.0"))  # it names none
    assert (await run(stack, **APP))["artifact_digest"] == A


async def test_a_go_of_a_tag_that_moved_is_void_at_once_and_revoked_within_the_minute(stack: Stack) -> None:
    await start(stack)
    await reports(stack, A)
    made = await run(stack, **APP)
    assert made["verdict"] == "GO"
    stack.clock.advance(seconds=10)
    await name(stack, B, "moved")
    found = await admitted(stack)
    assert (found["admitted"], found["run_id"]) == (False, made["run_id"])
    assert f"Version 1.0 is {B}" in found["reasons"][0]
    await rejudge(stack)
    told = await revoked(stack, made)
    assert told["artifact_digest"] == A
    latest = (await runs_of(stack))[0]
    assert (latest["verdict"], latest["artifact_digest"], latest["run_id"]) == ("NO_GO", A, told["run_id"])
    assert (await admitted(stack))["run_id"] is None
    await reports(stack, B)
    assert (await run(stack, **APP))["verdict"] == "GO"
    assert (await admitted(stack, artifact_digest=B))["admitted"]


async def test_another_artifact_is_not_admitted(stack: Stack) -> None:
    await start(stack)
    await reports(stack)
    bare = await run(stack, **APP)
    assert (bare["verdict"], bare["artifact_digest"]) == ("GO", "")
    found = await admitted(stack, artifact_digest=A)
    assert (found["admitted"], f"judged no artifact by its digest, not {A}" in found["reasons"][0]) == (False, True)
    assert (await admitted(stack))["admitted"]
    await run(stack, **APP, artifact_digest=A)
    assert (await admitted(stack, artifact_digest=A))["admitted"]
    found = await admitted(stack, artifact_digest=B)
    assert (found["admitted"], found["artifact_digest"]) == (False, A)
    assert f"judged {A}, not {B}; run the gate for that one" in found["reasons"][0]


async def test_a_policy_may_want_every_fact_and_every_deployer_to_name_it(stack: Stack) -> None:
    await start(stack)
    await publish(stack, REQUIRED)
    await reports(stack)
    made = await run(stack, **APP)
    assert "o signal of this version names the artifact's digest" in rule(made, "tests_passed")["message"]
    await reports(stack, A)
    made = await run(stack, **APP)
    assert made["verdict"] == "GO", made["reasons"]
    found = await admitted(stack)
    assert (found["admitted"], "Name its digest" in found["reasons"][0]) == (False, True)
    assert (await admitted(stack, artifact_digest=A))["admitted"]


async def test_what_names_no_artifact_is_refused(stack: Stack) -> None:
    await start(stack)
    for digest in ("sha256:" + "A" * 64, "sha256:abc", "md5:" + "a" * 32, "a" * 64, "sha512:" + "a" * 64):
        assert (await stack.command(run_gate, {**APP, "artifact_digest": digest})).status == 422
    answer = await send(stack, event("one", "image.pushed", {}, artifactdigest=A, subject="app"))
    assert (answer.status, "give the version, too" in answer.json["detail"]) == (422, True)
    body = {"format": "junit", "content_zlib_base64": "", "subject": "app", "artifact_digest": A}
    assert (await stack.command(record_report, body)).status == 422
    answer = await stack.command(run_gate, {"gate": "operations", "artifact_digest": A})
    assert (answer.status, "line and digest, too" in answer.json["detail"]) == (422, True)


async def test_the_digest_of_a_batch_is_that_of_its_version(stack: Stack) -> None:
    await start(stack)
    answer = await send(
        stack, event("one", "image.pushed", {}), event("two", "image.pushed", {}, version="2.0"),
        event("three", "image.pushed", {}, artifactdigest=B),
        subject="app", version="1.0", artifact_digest=A,
    )  # fmt: skip
    assert [one["artifact_digest"] for one in answer.json["items"]] == [A, "", B]
    again = await send(stack, event("one", "image.pushed", {}), subject="app", version="1.0", artifact_digest=B)
    assert again.status == 409  # the same id is told of another artifact
