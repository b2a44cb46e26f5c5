"""A rule that names who may say it hears them alone: strangers can neither pass it nor fail it."""

from __future__ import annotations

import base64
import zlib
from datetime import timedelta
from typing import Any

import pytest

from libs.common.cloudevents import format_time
from libs.common.contracts.governance.admission import admit
from libs.common.contracts.governance.policies import publish_policy
from libs.common.contracts.governance.reports import record_report
from libs.common.contracts.governance.runs import list_runs
from libs.common.contracts.governance.signals import get_signal, record_signals
from libs.judge.capsule import check
from libs.judge.dsse import Signer, public_keys
from services.governance.rejudging import SELECT_CONTRADICTED
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.integration.governance_desk import event, rule, run, start
from tests.integration.test_governance_capsules import capsule_of
from tests.stack import Stack
from tests.unit.governance.samples import case, junit, junit_data, sarif, tiny_policy

pytestmark = pytest.mark.integration

NAMED = '\n    actors: [ci, "ci_*"]'
TESTS = tiny_policy(
    name="name: shop",
    settings="",
    subject_mode="subject_mode: version",
    scope="    scope: version",
    kind="    kind: test.junit",
    condition="    condition: derived.not_passed == 0",
    observed='    observed: "{derived.not_passed} not passed"',
    wanted=f'    wanted: "0"{NAMED}',
).decode()
SCANS = (
    TESTS.replace("test.junit", "scan.sarif").replace("not_passed", "new_severe_count").replace("id: one", "id: scans")
)
GOOD, BAD = junit(case("a"), case("b")), junit(case("a"), case("b", "<failure/>"))
TARGET = {"gate": "shop", "subject": "app", "version": "1.0"}
ABOUT = {"subject": "app", "version": "1.0"}


async def publish(stack: Stack, content: str) -> None:
    body = {"gate": "shop", "content": content, "reason": "Only the pipeline may say it"}
    answer = await stack.command(publish_policy, body)
    assert answer.status == 200, answer


async def send(stack: Stack, actor: str, content: bytes, format_: str = "junit", **more: Any) -> Any:
    """The receipt of a report that somebody sends."""
    packed = base64.b64encode(zlib.compress(content)).decode()
    body = {"format": format_, "content_zlib_base64": packed, **ABOUT, **more}
    stack.clock.advance(seconds=1)
    return await stack.command(record_report, body, actor=actor)


async def contradicted(stack: Stack) -> list[Any]:
    """The GOs that are to be looked at again."""
    admin = await stack.superuser()
    try:
        await admin.execute("SET search_path TO governance")
        sql = SELECT_CONTRADICTED.replace("FOR UPDATE OF heads SKIP LOCKED", "")
        return list(await admin.fetch(sql, stack.clock(), ["shop"], 100))
    finally:
        await admin.close()


async def judged(stack: Stack, id_: str = "one") -> tuple[str, Any]:
    made = await run(stack, **TARGET)
    return made["decision"], rule(made, id_)


async def test_strangers_are_stored_and_shown_and_never_judged(stack: Stack) -> None:
    signer = Signer.from_secret("a key")
    await stack.start(make_service(packaged_policies(), signer=signer))
    await publish(stack, TESTS)
    eve = (await send(stack, "eve", GOOD)).json["items"][0]["signal_id"]
    decision, one = await judged(stack)
    assert (decision, one["observed"]) == (
        "no_go",
        "no test report of version 1.0 was received, and it hears actors ci, ci_*",
    )
    assert one["notes"] == [f"default: signal {eve} of eve (/reports/junit) is not judged: it hears actors ci, ci_*"]
    shown = await stack.query(get_signal, {"signal_id": eve})
    assert (shown.json["actor"], shown.json["judged"], shown.json["valid"]) == ("eve", True, True)
    # The very bytes that somebody sent a moment ago are news from another.
    mine = (await send(stack, "ci", GOOD)).json["items"][0]
    assert not mine["duplicate"]
    assert (await send(stack, "ci", GOOD)).json["items"][0]["duplicate"]
    assert (await judged(stack))[0] == "go"
    # Neither a failing report nor a new part nor one that can't be read, of somebody else, changes anything.
    await send(stack, "eve", BAD)
    await send(stack, "cixy", BAD, part="more")
    await send(stack, "eve", b"<nothing", part="third")
    decision, one = await judged(stack)
    assert (decision, one["facts_used"], len(one["notes"])) == ("go", [mine["signal_id"]], 3)
    # And what the pipeline says is not covered up.
    await send(stack, "ci_2", BAD)
    await send(stack, "eve", GOOD)
    made = await run(stack, **TARGET)
    assert rule(made, "one")["observed"] == "1 not passed"
    problems, body = check(await capsule_of(stack, made), public_keys(signer.public))
    assert problems == []
    assert {fact["voice"] for fact in body["facts"]["current"]} == {"", "ci", "ci_2"}


async def test_a_test_stays_failed_until_those_that_are_named_show_it_passing(stack: Stack) -> None:
    await start(stack)
    await publish(stack, TESTS)
    await send(stack, "ci", BAD)
    await send(stack, "eve", GOOD)
    await send(stack, "ci", junit(case("a")))
    decision, one = await judged(stack)
    assert (decision, one["observed"].partition(" (")[0]) == (
        "no_go",
        "1 tests were not shown passing since they failed",
    )
    await send(stack, "eve", junit(case("c", "<failure/>")))
    await send(stack, "ci", GOOD)
    assert (await judged(stack))[0] == "go"


async def test_an_actor_can_not_cover_its_own_word_from_another_source(stack: Stack) -> None:
    await start(stack)
    await publish(stack, TESTS.replace("actors: [ci,", "sources: [/main,"))
    await send(stack, "ci", GOOD, part="other", source="/main")
    await send(stack, "ci", GOOD, part="branch", source="/branch")
    assert (await judged(stack))[0] == "go"
    await send(stack, "ci", BAD, part="unit", source="/main")
    assert (await judged(stack))[0] == "no_go"
    await send(stack, "ci", GOOD, part="unit", source="/branch")
    decision, one = await judged(stack)
    assert (decision, "it comes from /branch" in one["observed"]) == ("no_go", True)
    await send(stack, "ci", GOOD, part="unit", source="/main")
    assert (await judged(stack))[0] == "go"
    both = [
        event(name, "test.junit", junit_data("a"), part="batch", **ABOUT) | {"source": source}
        for name, source in (("1", "/main"), ("2", "/branch"))
    ]
    assert (await stack.command(record_signals, {"signals": both}, actor="ci")).status == 201
    assert (await judged(stack))[0] == "no_go"


async def test_a_go_is_looked_at_again_for_those_it_hears_and_not_for_strangers(stack: Stack) -> None:
    await start(stack)
    await publish(stack, TESTS)
    await send(stack, "ci", GOOD)
    assert (await judged(stack))[0] == "go"
    await send(stack, "eve", GOOD)
    await send(stack, "ci_2", GOOD)
    assert await stack.run_job("governance", "rejudge")  # it holds, and what was new is seen now
    assert await contradicted(stack) == []
    # Nor is there anything to look at again when a stranger speaks, even of failures.
    await send(stack, "eve", BAD)
    await send(stack, "eve", b"<nothing", part="else")
    assert await contradicted(stack) == []
    await send(stack, "ci", BAD, part="more")
    assert len(await contradicted(stack)) == 1
    assert not (await stack.query(admit, TARGET)).json["admitted"]
    await send(stack, "ci", GOOD, part="more")
    assert (await stack.query(admit, TARGET)).json["admitted"]
    # An older word that comes late is no newest word of all, and yet one of them.
    at = format_time(stack.clock() - timedelta(seconds=30))
    old = event("late", "test.junit", junit_data("a", failed=("b",)), time=at, part="late", **ABOUT)
    newer = event("of-eve", "test.junit", junit_data("a", "b"), part="late", **ABOUT)
    assert (await stack.command(record_signals, {"signals": [newer]}, actor="eve")).status == 201
    await stack.run_job("governance", "rejudge")
    assert (await stack.command(record_signals, {"signals": [old]}, actor="ci")).status == 201
    assert await stack.run_job("governance", "rejudge")
    runs = (await stack.query(list_runs, {"gate": "shop"})).json["items"]
    assert [one["decision"] for one in runs] == ["no_go", "go"]


async def test_a_late_report_is_compared_with_the_same_voices_only(stack: Stack) -> None:
    await start(stack)
    await publish(stack, TESTS)
    early = stack.clock()

    def tests(event_id: str, minutes: int, *failed: str) -> dict[str, Any]:
        data = junit_data(*({"a", "b"} - set(failed)), failed=failed)
        return event(event_id, "test.junit", data, time=format_time(early + timedelta(minutes=minutes)), **ABOUT)

    stack.clock.advance(minutes=10)
    for actor, one in (("eve", tests("1", 5)), ("ci", tests("3", 8)), ("ci", tests("2", 3, "b"))):
        one["data"]["tests"] = sorted(set(one["data"]["tests"]) - ({"b"} if one["id"] == "3" else set()))
        one["data"]["total"] = len(one["data"]["tests"])
        one["data"]["passed"] = one["data"]["total"] - one["data"]["failed"]
        assert (await stack.command(record_signals, {"signals": [one]}, actor=actor)).status == 201
    assert "1 tests were not shown passing" in (await judged(stack))[1]["observed"]


async def test_a_report_that_could_not_be_read_is_not_forgotten_for_a_stranger(stack: Stack) -> None:
    await start(stack)
    await publish(stack, SCANS)
    assert (await send(stack, "ci", sarif([]), "sarif")).status == 201
    assert (await judged(stack, "scans"))[0] == "go"
    assert (await send(stack, "eve", b"{", "sarif")).status == 422
    assert (await judged(stack, "scans"))[0] == "go"
    assert (await send(stack, "ci", b"{", "sarif")).status == 422
    assert (await send(stack, "eve", sarif([]), "sarif")).status == 201
    decision, one = await judged(stack, "scans")
    assert (decision, "is broken" in one["observed"]) == ("no_go", True)
    assert (await send(stack, "ci", sarif([]), "sarif")).status == 201
    assert (await judged(stack, "scans"))[0] == "go"
