"""Governance on real servers: signals become facts, gates judge them, verdicts are stored and told."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import prometheus_client
import pytest

from libs.common.contracts.governance.gates import get_gate, list_gates
from libs.common.contracts.governance.kinds import list_kinds
from libs.common.contracts.governance.plans import get_plan
from libs.common.contracts.governance.reports import record_report
from libs.common.contracts.governance.runs import gate_decided, get_run, list_runs, run_gate
from libs.common.contracts.governance.signals import (
    get_signal,
    list_signals,
    record_signals,
    signal_recorded,
    signal_repeated,
)
from libs.common.runtime import start as start_service
from libs.judge.kinds import KINDS
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.integration.governance_desk import (
    WATCHDOG,
    event,
    heartbeat,
    report,
    rule,
    run,
    send,
    send_ops,
    send_release,
    start,
)
from tests.stack import Stack
from tests.unit.governance.samples import case, junit, sarif, webhook

APP = {"subject": "app", "version": "1.0"}


def decisions_counted() -> float:
    """The series of GOs of the operations gate."""
    labels = {"gate": "operations", "decision": "go"}
    return prometheus_client.REGISTRY.get_sample_value("headgate_gate_decisions_total", labels) or 0.0


async def test_good_signals_lead_to_go_and_the_verdict_is_told(stack: Stack) -> None:
    await start(stack)
    recorded = await send_ops(stack)
    assert (recorded.status, recorded.json["count"], recorded.json["recorded"]) == (201, 7, 7)
    assert all(item["judged"] and item["valid"] and not item["duplicate"] for item in recorded.json["items"])
    before = decisions_counted()
    command_id = await stack.post(run_gate, {"gate": "operations"})
    result = (await stack.outcome(command_id)).json
    assert (result["decision"], result["status"], result["run_number"]) == ("go", "success", 1)
    assert (result["trigger"], result["subject"], result["version"], result["reasons"]) == ("api", "site", "", [])
    assert result["summary"]["weighted_score_percent"] == 100.0
    assert rule(result, "preflight_no_error")["facts_used"] == [recorded.json["items"][0]["signal_id"]]
    assert decisions_counted() == before + 1
    told = await stack.heard(gate_decided)
    assert told.causationid == command_id
    assert (told.data["command_id"], told.data["decision"], told.data["run_number"]) == (command_id, "go", 1)
    assert told.data["rules"] == result["rules"]
    signal = await stack.heard(signal_recorded)
    assert "data" not in signal.data
    stored = await stack.query(get_run, {"gate": "operations", "run_id": result["run_id"]})
    assert stored.json == result


async def test_missing_stale_and_broken_facts_forbid_go_with_sentences(stack: Stack) -> None:
    await start(stack)
    nothing = await run(stack)
    assert nothing["decision"] == "no_go"
    assert rule(nothing, "runbook_no_critical")["message"] == (
        "No runbook snapshot was received; wanted one at most 36 hours old."
    )
    await send_ops(stack)
    assert (await run(stack))["decision"] == "go"
    # A newer fact that is broken is in charge: the older one counts no longer.
    broken = await send(stack, event("broken", "ops.runbook", {"overall_status": "ok", "critical_count": "0"}))
    item = broken.json["items"][0]
    assert (item["valid"], item["problems"][0]) == (False, "critical_count must be a whole number of at least 0")
    refused = rule(await run(stack), "runbook_no_critical")
    assert refused["message"].startswith(
        f"The runbook snapshot (signal {item['signal_id']}) is broken: critical_count must be a whole number of at "
        "least 0; the last good one, signal "
    )
    await send(stack, event("bad", "ops.runbook", {"overall_status": "ok", "critical_count": 2, "check_count": 9}))
    failed = await run(stack)
    one = rule(failed, "runbook_no_critical")
    assert (failed["decision"], failed["status"], one["status"]) == ("no_go", "critical", "fail")
    assert "2 of 9 runbook checks are critical" in one["observed"]
    assert one["message"] in failed["reasons"]
    stack.clock.advance(hours=37)
    stale = await run(stack)
    assert "37 hours old" in rule(stale, "security_risk_within_max")["message"]


async def test_warnings_pass_until_the_score_is_too_low(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack, dr={"enabled": False})
    disabled = await run(stack)
    assert (disabled["decision"], disabled["status"]) == ("go", "warning")
    assert rule(disabled, "dr_restore_valid_recent")["status"] == "warning"
    await send_ops(stack, "worse", dr={"enabled": False}, quality_streak={"current_streak_weeks": 1})
    low = await run(stack)
    assert (low["decision"], low["summary"]["failure_count"]) == ("no_go", 0)
    assert low["reasons"] == ["The weighted score is 72.5 percent; wanted at least 75 percent."]


async def test_facts_of_one_version_never_count_for_another(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1.0")
    first = await run(stack, "release", **APP)
    assert (first["decision"], first["baseline_run"]) == ("go", None)
    assert rule(first, "tests_passed")["baseline"] == "none"
    other = await run(stack, "release", subject="app", version="1.1")
    assert other["decision"] == "no_go"
    assert rule(other, "tests_passed")["message"].startswith("No test report of version 1.1 was received")
    foreign = await run(stack, "release", subject="other", version="1.0")
    assert rule(foreign, "alerts_none_critical")["observed"] == "no alert group was received"
    elsewhere = await run(stack, "release", site="plant-7", **APP)
    assert elsewhere["summary"]["passed_rules"] == 0


async def test_vanished_tests_and_new_findings_are_found_against_the_last_go(stack: Stack) -> None:
    await start(stack)
    finding = {"ruleId": "R1", "level": "error", "message": {"text": "bad"}}
    await send_release(stack, "1.0", tests=("a", "b", "c"))
    first = await run(stack, "release", **APP)
    await send_release(stack, "1.1", tests=("a", "b"), results=[finding])
    second = await run(stack, "release", subject="app", version="1.1")
    assert (second["decision"], second["baseline_run"]) == ("no_go", first["run_number"])
    assert "1 tests vanished" in rule(second, "tests_passed")["message"]
    assert rule(second, "sarif_no_new_high")["detail"]["new_severe_count"] == 1
    # Mended with the very bytes that an earlier version had: reports count by version, not by content.
    await send_release(stack, "1.1", tests=("a", "b", "c"))
    third = await run(stack, "release", subject="app", version="1.1")
    assert (third["decision"], third["baseline_run"]) == ("go", first["run_number"])


async def test_a_mended_report_counts_even_if_its_bytes_were_sent_before(stack: Stack) -> None:
    await start(stack)
    good, bad = junit(case("a")), junit(case("a", "<failure/>"))
    kinds = []
    for content in (good, good, bad, good):
        item = (await report(stack, "junit", content, **APP)).json["items"][0]
        kinds.append(item["duplicate"])
    assert kinds == [False, True, False, False]
    assert rule(await run(stack, "release", **APP), "tests_passed")["passed"]
    stack.clock.advance(minutes=11)
    assert not (await report(stack, "junit", good, **APP)).json["items"][0]["duplicate"]
    # Each body of Alertmanager is a sign of life.
    assert not (await heartbeat(stack)).json["items"][0]["duplicate"]
    assert not (await heartbeat(stack)).json["items"][0]["duplicate"]


async def test_a_critical_alert_forbids_go_until_it_is_resolved(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1.0")
    assert (await run(stack, "release", **APP))["decision"] == "go"
    for status, decision in (("firing", "no_go"), ("resolved", "go")):
        await report(stack, "alertmanager", webhook("disk", ("DiskFull", status, "critical")), subject="app")
        result = await run(stack, "release", **APP)
        assert result["decision"] == decision
    stack.clock.advance(minutes=16)
    silent = await run(stack, "release", **APP)
    assert "16 minutes old" in rule(silent, "alerts_none_critical")["message"]
    await heartbeat(stack)
    assert (await run(stack, "release", **APP))["decision"] == "go"


async def test_the_newest_time_wins_whatever_comes_last(stack: Stack) -> None:
    await start(stack)
    old = (stack.clock() - timedelta(hours=3)).isoformat()
    good, bad = {"risk_level": "low", "risk_score": 1}, {"risk_level": "critical", "risk_score": 99}
    await send(stack, event("now", "ops.security", good))
    await send(stack, event("late", "ops.security", bad, time=old))
    assert rule(await run(stack), "security_risk_within_max")["passed"]
    # Of two with one time the later in the list counts.
    await send(stack, event("x", "ops.security", good), event("y", "ops.security", bad))
    assert not rule(await run(stack), "security_risk_within_max")["passed"]


async def test_repeats_are_answered_with_the_first_signal(stack: Stack) -> None:
    await start(stack)
    one = event("same", "ops.security", {"risk_level": "low", "risk_score": 1})
    first = await send(stack, one, one)
    assert (first.json["count"], first.json["recorded"]) == (2, 1)
    assert [item["duplicate"] for item in first.json["items"]] == [False, True]
    stack.clock.advance(minutes=1)
    command_id = await stack.post(record_signals, {"signals": [one]})
    again = await stack.outcome(command_id)
    item = again.json["items"][0]
    assert (again.json["recorded"], item["duplicate"]) == (0, True)
    assert item["signal_id"] == first.json["items"][0]["signal_id"]
    told = await stack.heard(signal_repeated, lambda e: e.causationid == command_id)
    assert told.data == {"count": 1, "signal_ids": [item["signal_id"]]}
    # The same key with other content is refused, and nothing of that request is stored.
    other = await send(stack, event("fresh", "ops.security", one["data"]), {**one, "data": {"risk_level": "high"}})
    assert (other.status, other.json["conflicts"]) == (409, [{"source": "/test", "id": "same"}])
    within = await send(stack, event("w", "any.kind", 1), event("w", "any.kind", 2))
    assert within.status == 409
    listed = await stack.query(list_signals)
    assert len(listed.json["items"]) == 1
    # Another site has ids of its own.
    assert (await send(stack, one, site="plant-7")).json["recorded"] == 1


async def test_a_time_in_the_future_is_refused_naming_the_signal(stack: Stack) -> None:
    await start(stack)
    ahead = stack.clock() + timedelta(minutes=6)
    answer = await send(stack, event("ok", "any.kind", 1), event("ahead", "any.kind", 1, time=ahead.isoformat()))
    assert answer.status == 422
    assert "Signal 2 (id 'ahead' of '/test')" in answer.json["detail"]
    near = stack.clock() + timedelta(minutes=4)
    assert (await send(stack, event("near", "any.kind", 1, time=near.isoformat()))).status == 201


async def test_unknown_kinds_are_listed_and_not_judged(stack: Stack) -> None:
    await start(stack)
    await send(stack, *(event(f"u{n}", "acme.deploy", {"n": n}) for n in range(5)), subject="app", version="2.0")
    await send(stack, event("k", "ops.security", {"risk_level": "low", "risk_score": 1}))
    page = await stack.query(list_signals, {"judged": False, "limit": 2})
    rest = await stack.query(list_signals, {"judged": False, "cursor": page.json["next_cursor"]})
    items = page.json["items"] + rest.json["items"]
    assert [item["event_id"] for item in items] == ["u4", "u3", "u2", "u1", "u0"]
    assert rest.json["next_cursor"] is None
    assert all(item["data"] is None and item["valid"] for item in items)
    for wanted, count in (
        ({"kind": "acme.deploy", "subject": "app"}, 5),
        ({"kind": "acme.deploy", "version": "1.0"}, 0),
        ({"subject": "site"}, 1),
        ({"subject": "app", "version": "2.0"}, 5),
    ):
        assert len((await stack.query(list_signals, wanted)).json["items"]) == count
    signal_id = items[0]["signal_id"]
    shown = await stack.query(get_signal, {"signal_id": signal_id})
    assert (shown.json["data"], shown.json["subject"], shown.json["version"]) == ({"n": 4}, "app", "2.0")
    assert (await stack.query(get_signal, {"signal_id": signal_id}, site="plant-7")).status == 404
    for cursor in ("x", "-1", "9" * 30):
        assert (await stack.query(list_signals, {"cursor": cursor})).status == 422


@pytest.mark.parametrize(
    ("kind", "version", "words"),
    [("alert.alertmanager", "1.0", "leave the version out"), ("test.junit", None, "give it, such as version=1.4.2")],
)
async def test_a_version_that_no_rule_could_read_is_refused(
    stack: Stack, kind: str, version: str | None, words: str
) -> None:
    await start(stack)
    answer = await send(stack, event("v", kind, {}, version=version))
    assert (answer.status, words in answer.json["detail"]) == (422, True)


async def test_bad_reports_are_refused_with_what_is_wrong(stack: Stack) -> None:
    await start(stack)
    tests = junit(case("a"))
    for format_, content, of, words in (
        ("sarif", tests, APP, "The SARIF report is not valid JSON"),
        ("junit", tests[:-9], APP, "not well-formed XML"),
        ("junit", b"<!DOCTYPE x [<!ENTITY e 'x'>]><testsuites/>", APP, "DOCTYPE declares entities"),
        ("junit", tests, {"subject": "app"}, "give it, such as version=1.4.2"),
        ("alertmanager", WATCHDOG, APP, "leave the version out"),
    ):
        answer = await report(stack, format_, content, **of)
        assert (answer.status, words in answer.json["detail"]) == (422, True), answer
        # What can't be read is kept; a request that lacks something is only refused.
        assert ("signal_id" in answer.json) == ("leave the version out" not in words and "give it" not in words)
    kept = len((await stack.query(list_signals)).json["items"])
    for packed, words in (("%%%", "packed by zlib"), ("eJw=", "cut off"), ("", "cut off")):
        body = {"format": "junit", "content_zlib_base64": packed, **APP}
        answer = await stack.command(record_report, body)
        assert (answer.status, words in answer.json["detail"]) == (422, True), answer
    assert len((await stack.query(list_signals)).json["items"]) == kept == 3


async def test_a_bomb_and_reports_without_content_are_refused(stack: Stack) -> None:
    await start(stack)
    assert (await report(stack, "junit", b" " * (65 * 1024 * 1024), **APP)).status == 413
    assert (await report(stack, "sarif", b'{"version": "2.1.0", "runs": []}', **APP)).status == 422
    quiet = await report(stack, "alertmanager", webhook("disk"), subject="app")
    assert (quiet.status, "no alerts" in quiet.json["detail"]) == (422, True)
    parts = await report(stack, "sarif", sarif([]), part="backend", **APP)
    assert parts.json["items"][0]["part"] == "backend:Scan-It"


async def test_targets_that_do_not_fit_the_gate_are_refused(stack: Stack) -> None:
    await start(stack)
    unknown = await stack.command(run_gate, {"gate": "nope"})
    assert (unknown.status, unknown.json["detail"]) == (
        404,
        "There is no gate nope; the gates are operations, release.",
    )
    for body, words in (
        ({"gate": "operations", **APP}, "leave subject and version out"),
        ({"gate": "release", "subject": "app"}, "give both subject and version"),
    ):
        answer = await stack.command(run_gate, body)
        assert (answer.status, words in answer.json["detail"]) == (422, True)
        assert (await stack.query(get_plan, body)).status == 422
    assert (await stack.query(get_run, {"gate": "operations", "run_id": 1})).status == 404
    assert (await stack.query(list_runs, {"gate": "nope"})).status == 404


async def test_five_hundred_signals_are_one_command(stack: Stack) -> None:
    await start(stack)
    events = [event(f"e{n}", "ops.quality_streak", {"current_streak_weeks": n}, part=f"p{n % 50}") for n in range(500)]
    answer = await send(stack, *events)
    assert (answer.json["recorded"], len({item["signal_id"] for item in answer.json["items"]})) == (500, 500)
    assert [item["signal_id"] for item in answer.json["items"]] == sorted(i["signal_id"] for i in answer.json["items"])
    result = await run(stack)
    # Of equal times the last in the list is the fact of its part.
    assert len(rule(result, "weekly_streak_target_met")["facts_used"]) == 50
    assert rule(result, "weekly_streak_target_met")["detail"]["current_streak_weeks"] == 499
    await stack.idle("governance")
    assert sum(e.type == signal_recorded.type for e in stack.events) == 500


async def test_text_that_postgres_cannot_hold_is_refused(stack: Stack) -> None:
    await start(stack)
    for bad in (event("nul", "any.kind", {"text": "a\x00b"}), event("nul\x00", "any.kind", 1)):
        answer = await send(stack, bad)
        assert (answer.status, "can't be stored" in answer.json["detail"]) == (422, True)


async def test_runs_at_once_get_numbers_of_their_own(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack)
    results = await asyncio.gather(*(run(stack) for _ in range(12)), run(stack, site="plant-7"))
    assert sorted(result["run_number"] for result in results[:-1]) == list(range(1, 13))
    assert results[-1]["run_number"] == 1
    listed = await stack.query(list_runs, {"gate": "operations", "limit": 5})
    more = {"gate": "operations", "subject": "site", "cursor": listed.json["next_cursor"]}
    rest = await stack.query(list_runs, more)
    numbers = [item["run_number"] for item in listed.json["items"] + rest.json["items"]]
    assert numbers == list(range(12, 0, -1))


async def test_two_replicas_store_each_signal_once_and_number_runs_in_order(stack: Stack) -> None:
    await start(stack)
    service, settings = make_service(packaged_policies()), stack.settings("governance")
    second = await start_service(service, settings, clock=stack.clock)
    try:
        events = [event(f"e{n}", "acme.deploy", n) for n in range(20)]
        sent = asyncio.gather(*(send(stack, *events) for _ in range(30)))
        results = await asyncio.gather(*(run(stack) for _ in range(30)))
        answers = await sent
    finally:
        await second.stop()
    assert {answer.status for answer in answers} == {201}
    assert sum(answer.json["recorded"] for answer in answers) == 20
    assert sorted(result["run_number"] for result in results) == list(range(1, 31))


async def test_a_go_that_time_turns_is_judged_again_by_the_schedule(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack)
    first = await run(stack)
    stack.clock.advance(hours=1)
    assert await stack.run_job("governance", "rejudge")
    stack.clock.advance(hours=36)
    assert await stack.run_job("governance", "rejudge")
    told = await stack.heard(gate_decided, lambda e: e.data["run_number"] == 2)
    assert (told.data["decision"], told.data["trigger"], told.site) == ("no_go", "schedule", "global")
    assert (told.data["command_id"], told.actor) == (None, "service:governance")
    assert await stack.run_job("governance", "rejudge")
    runs = (await stack.query(list_runs, {"gate": "operations"})).json["items"]
    assert [one["run_number"] for one in runs] == [2, first["run_number"]]


async def test_kinds_are_listed_with_schemas_and_formats(stack: Stack) -> None:
    await start(stack)
    kinds = {one["kind"]: one for one in (await stack.query(list_kinds)).json}
    assert list(kinds) == sorted(KINDS)
    tests = kinds["test.junit"]
    assert (tests["noun"], tests["keys"][0], tests["json_schema"]["properties"]["total"]["type"]) == (
        "test report",
        "total",
        "integer",
    )
    assert {"format": "trx", "title": "TRX"} in tests["formats"]
    assert "vanished_count" in tests["derived_keys"]
    assert kinds["scan.vulnerabilities"]["reads_too"] == ["vex.statements", "vuln.exploited"]
    assert kinds["ops.dr"]["formats"] == []


async def test_gates_are_listed_with_their_rules(stack: Stack) -> None:
    await start(stack)
    gates = (await stack.query(list_gates)).json
    assert [(gate["gate"], len(gate["rules"])) for gate in gates] == [("operations", 7), ("release", 4)]
    one = (await stack.query(get_gate, {"gate": "release"})).json
    assert one == gates[1]
    assert one["rules"][3]["max_age_hours"] == 0.25
    assert (await stack.query(get_gate, {"gate": "nope"})).status == 404
