"""Nothing is stuck for ever: facts are listed and ended by a person, and nothing seen of a version is hidden by it."""

from __future__ import annotations

from typing import Any

from libs.common.contracts.governance.admission import admit
from libs.common.contracts.governance.facts import (
    approve_retirement,
    fact_retired,
    list_facts,
    list_retirements,
    retire_fact,
    revoke_retirement,
)
from tests.integration.governance_desk import (
    cobertura,
    event,
    heartbeat,
    report,
    rule,
    run,
    send,
    send_release,
    start,
)
from tests.stack import Answer, Stack
from tests.unit.governance.samples import case, junit, sarif, webhook

APP = {"subject": "app", "version": "1"}
OTHER = sarif([], automationDetails={"id": "other/"})


async def facts(stack: Stack, **asked: Any) -> list[Any]:
    found: list[Any] = (await stack.query(list_facts, {"subject": "app", **asked})).json["items"]
    return found


async def the(stack: Stack, part: str, state: str, **asked: Any) -> Any:
    return next(one for one in await facts(stack, **asked) if (one["part"], one["state"]) == (part, state))


async def retire(stack: Stack, signal_id: int, actor: str = "bob", **more: Any) -> Answer:
    body = {"signal_id": signal_id, "reason": "its key is gone", **more}
    return await stack.command(retire_fact, body, actor=actor)


async def word(stack: Stack, command: Any, retirement_id: int, actor: str = "eve") -> Answer:
    return await stack.command(command, {"retirement_id": retirement_id, "reason": "looked"}, actor=actor)


async def alerts(stack: Stack) -> Any:
    return rule(await run(stack, "release", **APP), "alerts_none_critical")


async def covered(stack: Stack) -> Any:
    return rule(await run(stack, "release", **APP), "coverage_line")


async def of_tests(stack: Stack) -> Any:
    return rule(await run(stack, "release", **APP), "tests_passed")


async def test_a_group_that_alertmanager_knows_no_more_is_listed_as_stale_and_ended(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1")
    await report(stack, "alertmanager", webhook("{}:old", ("Down", "firing", "critical")), subject="app")
    assert "stale" not in (await alerts(stack))["message"]
    stack.clock.advance(hours=30)
    await send_release(stack, "1")
    shown = next(one for one in await facts(stack, kind="alert.alertmanager") if one["stale_for"])
    assert (shown["firing_count"], shown["stale_for"]) == (1, ["release/alerts_none_critical"])
    failing = await alerts(stack)
    assert f"(signal {shown['signal_id']}) is stale: it was not repeated for 30 hours" in failing["message"]
    assert f"headgate facts retire {shown['signal_id']} --reason" in failing["message"]
    answer = await retire(stack, shown["signal_id"])
    assert (answer.status, answer.json["what"], answer.json["retired_by"]) == (201, "part", "bob")
    assert (await stack.heard(fact_retired)).data["signal_id"] == shown["signal_id"]
    passing = await alerts(stack)
    assert passing["passed"]
    assert f"up to signal {shown['signal_id']}, by bob on" in passing["notes"][0]
    assert (await the(stack, shown["part"], "retired"))["retirement_id"] == answer.json["retirement_id"]
    again = await retire(stack, shown["signal_id"])
    assert (again.status, "bob has retired it already" in again.json["detail"]) == (409, True)
    await report(stack, "alertmanager", webhook("{}:old", ("Down", "firing", "critical")), subject="app")
    assert not (await alerts(stack))["passed"]  # a newer signal counts
    refused = await retire(stack, shown["signal_id"])
    assert (refused.status, "is no fact; signal " in refused.json["detail"]) == (409, True)


async def test_a_go_that_rested_on_a_retirement_is_looked_at_again(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1")
    await report(stack, "alertmanager", webhook("old", ("Down", "firing", "critical")), subject="app")
    shown = next(one for one in await facts(stack) if one["state"] == "firing")  # the newest first
    retirement = (await retire(stack, shown["signal_id"])).json["retirement_id"]
    assert (await run(stack, "release", **APP))["decision"] == "go"
    target = {"gate": "release", **APP}
    assert (await stack.query(admit, target)).json["admitted"]
    assert (await word(stack, revoke_retirement, retirement)).status == 200
    denied = (await stack.query(admit, target)).json
    assert (denied["admitted"], "critical alerts fire" in denied["reasons"][0]) == (False, True)
    await stack.run_job("governance", "rejudge")
    assert (await word(stack, revoke_retirement, retirement)).status == 409
    # The other way round: a GO over a fact that is then retired.
    await report(stack, "alertmanager", webhook("old", ("Down", "resolved", "critical")), subject="app")
    assert (await run(stack, "release", **APP))["decision"] == "go"
    beat = next(one for one in await facts(stack, kind="alert.alertmanager") if one["firing_count"])
    await retire(stack, beat["signal_id"])
    assert not (await stack.query(admit, target)).json["admitted"]  # a retirement makes no fact: no heartbeat is left
    assert "No Watchdog heartbeat" in (await alerts(stack))["message"]


async def test_what_a_report_of_the_version_showed_stays(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1")
    await report(stack, "junit", junit(case("c", "<failure/>")), **APP, part="integration")
    refused = await retire(stack, (await the(stack, "integration", "failing"))["signal_id"])
    assert (refused.status, "were not shown passing since they failed" in refused.json["detail"]) == (409, True)
    await report(stack, "cobertura", cobertura(1, 10), **APP, part="small")
    assert (await retire(stack, (await the(stack, "small", "good"))["signal_id"])).status == 201
    result = await covered(stack)
    assert (result["passed"], "line coverage is 10 percent" in result["message"].lower()) == (False, True)
    assert "still fails the rule: send it again passing" in " ".join(result["notes"])
    await report(stack, "cobertura", cobertura(9, 10), **APP, part="small")
    assert (await covered(stack))["passed"]
    stack.clock.advance(hours=30)
    await send_release(stack, "1")
    assert "small is 30 hours old" in (await covered(stack))["message"]  # one that only grew old is over
    assert (await retire(stack, (await the(stack, "small", "good"))["signal_id"])).status == 201
    assert (await covered(stack))["passed"]


async def test_a_broken_report_hides_no_good_one_before_it(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1")
    await report(stack, "junit", b"<nonsense", **APP, part="mistake")
    assert not (await of_tests(stack))["passed"]
    assert (await retire(stack, (await the(stack, "mistake", "broken"))["signal_id"])).status == 201
    assert (await of_tests(stack))["passed"]
    await report(stack, "junit", junit(case("c", "<failure/>")), **APP, part="integration")
    await report(stack, "junit", b"<nonsense", **APP, part="integration")
    refused = await retire(stack, (await the(stack, "integration", "broken"))["signal_id"])
    assert (refused.status, "not shown passing since they failed" in refused.json["detail"]) == (409, True)
    await report(stack, "cobertura", cobertura(1, 10), **APP, part="small")
    await report(stack, "cobertura", b"<nonsense", **APP, part="small")
    refused = await retire(stack, (await the(stack, "small", "broken"))["signal_id"])
    assert (refused.status, "there was a good one of this part" in refused.json["detail"]) == (409, True)


async def test_a_sender_that_nobody_can_read_and_a_scanner_that_is_gone(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1")
    await report(stack, "sarif", OTHER, **APP)
    assert (await run(stack, "release", **APP))["decision"] == "go"
    await send_release(stack, "2")
    await report(stack, "sarif", b"{", subject="app", version="2", part="mistake")
    found = rule(await run(stack, "release", subject="app", version="2"), "sarif_no_new_high")
    assert "is broken" in found["message"]
    assert (await retire(stack, (await the(stack, "mistake", "unreadable"))["signal_id"])).json["what"] == "sender"
    found = rule(await run(stack, "release", subject="app", version="2"), "sarif_no_new_high")
    assert "scan of Scan-It:other is missing" in found["message"]
    missing = await the(stack, "Scan-It:other", "missing", version="2")
    assert (await retire(stack, missing["signal_id"])).status == 201
    result = await run(stack, "release", subject="app", version="2")
    assert result["decision"] == "go"
    assert "retired: " in rule(result, "sarif_no_new_high")["notes"][0]
    # It is wanted again once it has run again.
    await send_release(stack, "3")
    await report(stack, "sarif", OTHER, subject="app", version="3")
    third = await run(stack, "release", subject="app", version="3")
    assert third["decision"] == "go", third["reasons"]
    await send_release(stack, "4")
    assert (await run(stack, "release", subject="app", version="4"))["decision"] == "no_go"


async def test_the_failure_of_a_test_that_is_gone_takes_two_persons(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1")
    await report(stack, "junit", junit(case("a"), case("gone", "<failure/>")), **APP, part="unit")
    shown = await the(stack, "unit", "failing")
    (test,) = shown["open_tests"]
    refused = await retire(stack, shown["signal_id"], test=test)
    assert (refused.status, "newest report of the part shows this test failing" in refused.json["detail"]) == (
        409,
        True,
    )
    await report(stack, "junit", junit(case("a"), case("b")), **APP, part="unit")
    assert "were not shown passing since" in (await of_tests(stack))["message"]
    assert (await retire(stack, shown["signal_id"], test="nobody")).status == 409
    answer = await retire(stack, shown["signal_id"], test=test)
    assert answer.json["what"] == "test"
    waiting = await of_tests(stack)
    assert (waiting["passed"], "before a second person approves it" in waiting["notes"][0]) == (False, True)
    own = await word(stack, approve_retirement, answer.json["retirement_id"], actor="bob")
    assert (own.status, "somebody else" in own.json["detail"]) == (403, True)
    assert (await word(stack, approve_retirement, answer.json["retirement_id"])).json["approved_by"] == "eve"
    assert (await of_tests(stack))["passed"]
    await report(stack, "junit", junit(case("a"), case("gone", "<failure/>")), **APP, part="unit")
    await report(stack, "junit", junit(case("a"), case("b")), **APP, part="unit")
    assert not (await of_tests(stack))["passed"]  # it failed once more


async def test_what_can_t_be_retired_says_why(stack: Stack) -> None:
    await start(stack)
    await heartbeat(stack)
    assert (await retire(stack, 999)).status == 404
    await send(stack, event("1", "acme.unknown", {"a": 1}), subject="app")
    found = await stack.query(list_retirements, {"subject": "app"})
    assert found.json["items"] == []
    (beat,) = await facts(stack)
    assert (beat["state"], beat["actor"], beat["source"]) == ("firing", "ann", "/reports/alertmanager")
    assert (await retire(stack, beat["signal_id"], subject="other")).status == 409
