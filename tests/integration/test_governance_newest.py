"""Which word counts: the newest of a part, right or wrong, whatever its clock says; and what stays open."""

from __future__ import annotations

import asyncio
import base64
import uuid
import zlib
from datetime import timedelta
from typing import Any

import pytest

from libs.common.contracts.governance.reports import record_report
from libs.common.contracts.governance.signals import get_signal, list_signals, signal_recorded
from libs.common.ids import uuid7
from libs.common.runtime import start as start_service
from services.governance import pruning
from services.governance.runs import LOCK_HEAD
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.integration.governance_desk import (
    event,
    heartbeat,
    ops_data,
    report,
    rule,
    run,
    send,
    send_ops,
    send_release,
    start,
)
from tests.stack import Answer, Stack
from tests.unit.governance.samples import case, junit, junit_data, sarif, webhook

APP = {"subject": "app", "version": "1.0"}
GARBAGE = b"<testsuites><testsuite"


async def verdict_on_tests(stack: Stack, version: str = "1.0") -> Any:
    """The verdict on the tests of a version of ``app``."""
    return rule(await run(stack, "release", subject="app", version=version), "tests_passed")


@pytest.mark.parametrize("wrong", ["5", -1, None, [5], "none"])
async def test_a_broken_newer_signal_is_in_charge_and_says_how_old_the_last_good_one_is(
    stack: Stack, wrong: object
) -> None:
    await start(stack)
    good = (await send_ops(stack)).json["items"][0]["signal_id"]
    stack.clock.advance(hours=3)
    broken = {**ops_data(stack.clock())["ops.preflight"], "error_count": wrong}
    item = (await send(stack, event("broken", "ops.preflight", broken))).json["items"][0]
    assert not item["valid"]
    one = rule(await run(stack), "preflight_no_error")
    assert one["message"] == (
        f"The startup preflight (signal {item['signal_id']}) is broken: error_count must be a whole number of at least "
        f"0; the last good one, signal {good}, is 3 hours old; wanted valid data."
    )
    assert (one["status"], one["facts_used"]) == ("fail", [item["signal_id"]])
    await send_ops(stack, "mended")
    assert (await run(stack))["decision"] == "go"


async def test_a_part_that_never_was_good_says_so_and_spoils_the_others(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack)
    await send(stack, event("b", "ops.preflight", {"error_count": 0}, part="edge"))
    one = rule(await run(stack), "preflight_no_error")
    assert (
        "preflight edge (signal 8) is broken: overall_status is missing; there was no good one before"
        in (one["message"])
    )


async def test_nobody_wins_by_a_clock_that_runs_ahead(stack: Stack) -> None:
    await start(stack)
    ahead = (stack.clock() + timedelta(minutes=4, seconds=50)).isoformat()
    good, bad = {"risk_level": "low", "risk_score": 1}, {"risk_level": "critical", "risk_score": 99}
    await send(stack, event("ahead", "ops.security", good, time=ahead))
    await send(stack, event("now", "ops.security", bad))
    assert not rule(await run(stack), "security_risk_within_max")["passed"]
    # Two that both run ahead count by when they came.
    await send(
        stack, event("ahead-2", "ops.security", bad, time=ahead), event("ahead-3", "ops.security", good, time=ahead)
    )
    assert rule(await run(stack), "security_risk_within_max")["passed"]
    # An older one that comes late still loses, broken or not.
    late = (stack.clock() - timedelta(minutes=1)).isoformat()
    await send(stack, event("late", "ops.security", bad, time=late), event("l2", "ops.security", {}, time=late))
    assert rule(await run(stack), "security_risk_within_max")["passed"]


async def test_a_report_that_cannot_be_read_is_refused_and_kept(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1.0")
    refused = await report(stack, "junit", GARBAGE, **APP)
    assert refused.status == 422
    signal_id = refused.json["signal_id"]
    assert f"It is kept as signal {signal_id}: the rules that read test.junit fail until" in refused.json["detail"]
    kept = (await stack.query(get_signal, {"signal_id": signal_id})).json
    assert (kept["valid"], kept["kind"], kept["part"]) == (False, "test.junit", "default")
    assert (kept["data"]["head"], kept["data"]["bytes"]) == (GARBAGE.decode(), len(GARBAGE))
    assert kept["problems"][0] in refused.json["detail"]
    told = await stack.heard(signal_recorded, lambda e: e.data["signal_id"] == signal_id)
    assert (told.data["valid"], told.data["problems"]) == (False, kept["problems"])
    one = await verdict_on_tests(stack)
    assert f"(signal {signal_id}) is broken: The JUnit report is not well-formed XML" in one["message"]
    assert "the last good one, signal " in one["message"]
    # The same bytes soon after are a retry; a readable report ends it.
    again = await report(stack, "junit", GARBAGE, **APP)
    assert (again.status, again.json["signal_id"]) == (422, signal_id)
    await report(stack, "junit", junit(case("a"), case("b")), **APP)
    assert (await verdict_on_tests(stack))["passed"]
    binary = await report(stack, "junit", b"\xff\xfe\x00bin", **APP)
    data = (await stack.query(get_signal, {"signal_id": binary.json["signal_id"]})).json["data"]
    assert data["head_base64"] == "//4AYmlu"


async def test_a_refused_report_is_answered_again_with_the_first_outcome(stack: Stack) -> None:
    await start(stack)
    same = str(uuid7())
    body = {"format": "junit", "content_zlib_base64": base64.b64encode(zlib.compress(GARBAGE)).decode(), **APP}
    first = await stack.command(record_report, body, message_id=same)
    again = await stack.command(record_report, body, message_id=same)
    assert (first.status, first.raw) == (422, again.raw)
    other = await stack.command(record_report, body, message_id=same, digest="other")
    assert (other.status, "signal_id" in other.json) == (422, False)
    assert len((await stack.query(list_signals)).json["items"]) == 1


async def test_an_unreadable_scan_counts_until_its_sender_sends_a_readable_one(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1.0")

    async def scan_rule() -> Any:
        await heartbeat(stack)
        return rule(await run(stack, "release", **APP), "sarif_no_new_high")

    assert (await scan_rule())["passed"]
    refused = await report(stack, "sarif", b"{", file="ruff.sarif", **APP)
    assert refused.json["detail"].endswith("can be read, sent in the same way (from a file named ruff.sarif).")
    one = await scan_rule()
    assert f"The scan report ruff (signal {refused.json['signal_id']}) is broken: The SARIF report is" in one["message"]
    assert refused.json["signal_id"] in one["facts_used"]
    # A refusal that quotes what no database holds is kept as well.
    odd = await report(stack, "sarif", sarif([], originalUriBaseIds={"a\x00": 5}), file="odd.sarif", **APP)
    assert (odd.status, "originalUriBaseIds" in odd.json["detail"], "signal_id" in odd.json) == (422, True, True)
    await report(stack, "sarif", sarif([]), file="odd.sarif", **APP)
    assert (await report(stack, "sarif", b"{", file="ruff.sarif", **APP)).json["signal_id"] == refused.json["signal_id"]
    # Another sender's report says nothing about it.
    await report(stack, "sarif", sarif([]), file="bandit.sarif", **APP)
    assert not (await scan_rule())["passed"]
    first = await report(stack, "sarif", sarif([]), file="out/ruff.sarif", **APP)
    assert (first.json["items"][0]["part"], first.json["items"][0]["duplicate"]) == ("Scan-It", False)
    assert (await scan_rule())["passed"]
    # Good, unreadable, and the very bytes of the good one again: that is news, no retry.
    await report(stack, "sarif", b"[", file="ruff.sarif", **APP)
    last = await report(stack, "sarif", sarif([]), file="ruff.sarif", **APP)
    assert not last.json["items"][0]["duplicate"]
    assert (await scan_rule())["passed"]


async def test_an_unreadable_webhook_counts_until_the_next_readable_one(stack: Stack) -> None:
    await start(stack)
    await heartbeat(stack)
    refused = await report(stack, "alertmanager", webhook("disk"), subject="app")
    assert (refused.status, "no alerts" in refused.json["detail"]) == (422, True)
    result = await run(stack, "release", **APP)
    assert "is broken: The Alertmanager body has no alerts" in rule(result, "alerts_none_critical")["message"]
    await heartbeat(stack)
    assert rule(await run(stack, "release", **APP), "alerts_none_critical")["passed"]


async def test_an_unreadable_report_that_comes_late_changes_nothing(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1.0")
    stack.clock.advance(minutes=-1)
    for format_ in ("junit", "sarif"):
        assert (await report(stack, format_, b"{", **APP)).status == 422
    stack.clock.advance(minutes=1)
    result = await run(stack, "release", **APP)
    assert result["decision"] == "go"
    # It is kept all the same, and is the last word of a sender of whom nothing else is known.
    stack.clock.advance(minutes=-1)
    assert (await report(stack, "sarif", b"{", file="other.sarif", **APP)).status == 422
    stack.clock.advance(minutes=1)
    assert not rule(await run(stack, "release", **APP), "sarif_no_new_high")["passed"]


async def test_a_scan_that_failed_closes_nothing(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "0.9")
    assert (await run(stack, "release", subject="app", version="0.9"))["decision"] == "go"
    finding = {"ruleId": "R1", "level": "error", "message": {"text": "bad"}}
    await send_release(stack, "1.0", results=[finding])

    async def verdict() -> Any:
        return rule(await run(stack, "release", **APP), "sarif_no_new_high")

    assert "1 findings of level high or critical are new" in (await verdict())["message"]
    await report(stack, "sarif", sarif([], invocations=[{"executionSuccessful": False}]), **APP)
    assert "The scan of Scan-It did not finish" in (await verdict())["message"]
    await report(stack, "sarif", sarif([]), **APP)
    assert (await verdict())["passed"]


async def test_senders_are_bounded_like_parts(stack: Stack) -> None:
    await start(stack)
    answers = [await report(stack, "sarif", b"{", part=f"s{n}", **APP) for n in range(201)]
    assert ["signal_id" in answer.json for answer in answers] == [True] * 200 + [False]
    assert "more than 200 senders" in answers[-1].json["detail"]
    assert (await report(stack, "sarif", b"[", part="s7", **APP)).json["signal_id"]


async def test_reports_of_two_files_do_not_replace_each_other(stack: Stack) -> None:
    await start(stack)
    bad, good = junit(case("a", "<failure/>"), case("b")), junit(case("c"))
    for content, file in ((bad, "build/unit.xml"), (good, "it.xml")):
        assert (await report(stack, "junit", content, file=file, **APP)).status == 201
    one = await verdict_on_tests(stack)
    assert "1 of 3 tests failed (t::a)" in one["message"]
    assert len(one["facts_used"]) == 2


async def test_a_failed_test_is_over_only_when_it_is_shown_passing(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1.0")
    failed = await report(stack, "junit", junit(case("a", "<failure/>"), case("b")), **APP)
    stack.clock.advance(hours=2)
    await report(stack, "junit", junit(case("b")), **APP)
    one = await verdict_on_tests(stack)
    where = f"t::a: signal {failed.json['items'][0]['signal_id']}, report default, 2 hours ago"
    assert one["message"] == (
        f"1 tests that failed in this version were not shown passing since ({where}); wanted each shown passing by a "
        "later report of the same part. Baseline: none."
    )
    assert (one["detail"]["still_failing_count"], one["detail"]["still_failing"]) == (1, [where])
    # Skipped is not passing, nor is passing in another part or in another version.
    await report(stack, "junit", junit(case("a", "<skipped/>"), case("b")), **APP)
    await report(stack, "junit", junit(case("a")), part="other", **APP)
    await report(stack, "junit", junit(case("a")), subject="app", version="1.1")
    assert (await verdict_on_tests(stack))["detail"]["still_failing_count"] == 1
    # A CloudEvent counts like a report.
    await send(stack, event("e", "test.junit", junit_data("t::a", "t::b")), **APP)
    assert (await verdict_on_tests(stack))["passed"]
    assert (await verdict_on_tests(stack, "1.1"))["passed"]


async def test_reports_that_come_late_open_only_what_no_newer_one_shows_passing(stack: Stack) -> None:
    await start(stack)

    async def at(minutes: int, *passed: str, failed: tuple[str, ...] = ()) -> Answer:
        time = (stack.clock() - timedelta(minutes=minutes)).isoformat()
        data = junit_data(*passed, failed=failed)
        return await send(stack, event(f"{minutes}-{uuid.uuid4()}", "test.junit", data, time=time), **APP)

    await at(1, "a", "b")
    await at(10, "b", failed=("a", "c"))
    one = await verdict_on_tests(stack)
    assert [text.partition(":")[0] for text in one["detail"]["still_failing"]] == ["c"]
    await at(5, "c")
    assert (await verdict_on_tests(stack))["passed"]
    await at(7, failed=("c",))
    assert (await verdict_on_tests(stack))["passed"]
    await at(3, failed=("c",))
    assert "c: signal 5" in (await verdict_on_tests(stack))["detail"]["still_failing"][0]


async def test_a_report_that_names_not_all_failures_closes_nothing(stack: Stack) -> None:
    await start(stack)
    await send(stack, event("1", "test.junit", junit_data("b", failed=("a",))), **APP)
    await send(stack, event("2", "test.junit", {**junit_data("a", "b"), "passed": 1, "failed": 1}), **APP)
    await send(stack, event("3", "test.junit", junit_data("b")), **APP)
    assert (await verdict_on_tests(stack))["detail"]["still_failing_count"] == 1


async def test_two_replicas_lose_no_failure(stack: Stack) -> None:
    await start(stack)
    service, settings = make_service(packaged_policies()), stack.settings("governance")
    second = await start_service(service, settings, clock=stack.clock)
    base = stack.clock() - timedelta(hours=1)
    try:
        sent = []
        for n in range(40):
            time = (base + timedelta(seconds=n)).isoformat()
            failing = (f"t{n}",)
            passing = (f"t{n - 1}",) if n % 2 else ("x",)
            data = junit_data(*passing, failed=failing)
            sent.append(send(stack, event(f"e{n}", "test.junit", data, time=time), **APP))
        # Odd ones show the even one before them passing; every odd one stays failed.
        assert {answer.status for answer in await asyncio.gather(*reversed(sent))} == {201}
    finally:
        await second.stop()
    admin = await stack.superuser()
    try:
        rows = await admin.fetch("SELECT test, open_failures.signal_id FROM governance.open_failures")
        newest = await admin.fetchval("SELECT event_id FROM governance.facts JOIN governance.signals USING (signal_id)")
    finally:
        await admin.close()
    assert {row["test"] for row in rows} == {f"t{n}" for n in range(1, 40, 2)}
    assert newest == "e39"


async def test_only_old_signals_that_nothing_needs_are_pruned(stack: Stack) -> None:
    await start(stack)

    async def left() -> set[str]:
        admin = await stack.superuser()
        try:
            return {row["event_id"] for row in await admin.fetch("SELECT event_id FROM governance.signals")}
        finally:
            await admin.close()

    preflight = ops_data(stack.clock())["ops.preflight"]
    await send(stack, event("replaced", "ops.preflight", preflight), event("other", "com.example.thing", 1))
    await send(stack, event("used", "ops.preflight", preflight))
    await run(stack)
    await send(stack, event("good", "ops.preflight", preflight))
    await send(stack, event("broken", "ops.preflight", {}))
    await send(stack, event("failed", "test.junit", junit_data("b", failed=("a",))), **APP)
    await send(stack, event("between", "test.junit", junit_data("b")), **APP)
    await send(stack, event("newest", "test.junit", junit_data("b")), **APP)
    files = [await report(stack, "junit", junit(case(name)), subject="web", version="1.0") for name in ("a", "b")]
    first, last = [
        (await stack.query(get_signal, {"signal_id": one.json["items"][0]["signal_id"]})).json["event_id"]
        for one in files
    ]
    kept = {"used", "good", "broken", "failed", "newest", last}
    stack.clock.advance(days=89)
    assert await stack.run_job("governance", "prune_signals")
    assert await left() == kept | {"replaced", "other", "between", first}
    stack.clock.advance(days=2)
    await send(stack, event("young", "com.example.thing", 1))
    assert await stack.run_job("governance", "prune_signals")
    assert await left() == kept | {"young"}
    # It goes on where it was, and round again.
    stack.clock.advance(days=91)
    assert await stack.run_job("governance", "prune_signals")
    assert await left() == kept
    assert (await verdict_on_tests(stack))["detail"]["still_failing_count"] == 1


async def test_pruning_goes_page_by_page_and_waits_for_runs(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "PAGE", 2)
    await start(stack)
    await send(stack, *(event(f"e{n}", "com.example.thing", n) for n in range(5)))
    stack.clock.advance(days=91)
    pool = stack.running["governance"].pool
    for count in (3, 1, 0):
        assert await stack.run_job("governance", "prune_signals")
        assert await pool.fetchval("SELECT count(*) FROM signals") == count
    # A run that is under way holds its head: the job gives up and leaves everything to its next tick.
    await send(stack, event("late", "com.example.thing", 1))
    stack.clock.advance(days=91)
    async with pool.acquire() as connection, connection.transaction():
        await connection.fetchval(LOCK_HEAD, "operations", "global", "site")
        assert not await stack.run_job("governance", "prune_signals")
    assert await pool.fetchval("SELECT count(*) FROM signals") == 1
