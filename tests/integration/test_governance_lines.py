"""Lines: each has its own baseline and its own latest verdict, and an old version never moves a baseline back."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from libs.common.cloudevents import format_time
from libs.common.contracts.governance.admission import admit
from libs.common.contracts.governance.plans import get_plan
from libs.common.contracts.governance.policies import publish_policy
from libs.common.contracts.governance.runs import gate_decided, list_runs, run_gate
from services.governance.startup import packaged_policies
from tests.integration.governance_desk import event, report, rule, run, send, send_release, start
from tests.integration.test_governance_validity import go, rejudge, revoked
from tests.stack import Stack
from tests.unit.governance.samples import case, junit

pytestmark = pytest.mark.integration

RELEASE = packaged_policies()["release"].text
LINED = RELEASE.replace("subject_mode: version", 'subject_mode: version\nline_pattern: "{1}.{2}"')
APP = {"gate": "release", "subject": "app"}


async def publish(stack: Stack, content: str = LINED) -> None:
    """Publish the release gate's policy."""
    body = {"gate": "release", "content": content, "reason": "Lines for hotfixes"}
    answer = await stack.command(publish_policy, body)
    assert answer.status == 200, answer


async def admitted(stack: Stack, version: str, **more: str) -> dict[str, Any]:
    """Whether a version may go."""
    answer = await stack.query(admit, {**APP, "version": version, **more})
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


async def test_a_hotfix_is_compared_with_its_own_line(stack: Stack) -> None:
    await start(stack)
    await publish(stack)
    await send_release(stack, "1.0.4", tests=("a", "b"))
    old = await run(stack, **APP, version="1.0.4")
    await send_release(stack, "2.0.0", tests=("c", "d", "e"))
    new = await run(stack, **APP, version="2.0.0")
    assert [old["line"], new["line"], old["verdict"], new["verdict"]] == ["1.0", "2.0", "GO", "GO"]
    assert new["baseline_run"] is None
    assert "Baseline: none in the line 2.0." in rule(new, "tests_passed")["message"]
    await send_release(stack, "1.0.5", tests=("a", "b"))
    hotfix = await run(stack, **APP, version="1.0.5")
    assert (hotfix["verdict"], hotfix["baseline_run"]) == ("GO", old["run_number"])
    await send_release(stack, "1.0.6", tests=("a",))
    vanished = await run(stack, **APP, version="1.0.6")
    assert "vanished" in rule(vanished, "tests_passed")["message"]
    assert (vanished["verdict"], vanished["baseline_run"]) == ("NO_GO", hotfix["run_number"])
    numbers = [one["run_number"] for one in (old, new, hotfix, vanished)]
    assert numbers == [1, 2, 3, 4]  # one count, so that whoever knows no lines passes over nothing
    told = await stack.heard(gate_decided, lambda event: event.data["run_id"] == vanished["run_id"])
    assert (told.data["line"], told.data["run_number"]) == ("1.0", 4)


async def test_the_history_and_the_plan_know_lines(stack: Stack) -> None:
    await start(stack)
    for line in ("lts", "next"):
        await send_release(stack, "1.0", tests=("a",))
        made = await run(stack, **APP, version="1.0", line=line)
        assert made["line"] == line
    plain = await run(stack, **APP, version="1.0")
    assert plain["line"] == ""

    async def lines(**more: str) -> list[str]:
        found = await stack.query(list_runs, {**APP, **more})
        return [one["line"] for one in found.json["items"]]

    assert (await lines(), await lines(line="lts"), await lines(line="")) == (["", "next", "lts"], ["lts"], [""])
    assert (await stack.query(get_plan, {**APP, "version": "1.0", "line": "lts"})).json["decision"] == "go"


async def test_nobody_picks_a_line_where_the_policy_derives_it(stack: Stack) -> None:
    await start(stack)
    await publish(stack)
    await send_release(stack, "1.0.4")
    body = {**APP, "version": "1.0.4", "line": "fresh"}
    for answer in (
        await stack.command(run_gate, body),
        await stack.query(admit, body),
        await stack.query(get_plan, body),
    ):
        assert (answer.status, "puts 1.0.4 into the line 1.0, not into fresh" in answer.json["detail"]) == (422, True)
    assert (await run(stack, **APP, version="1.0.4", line="1.0"))["line"] == "1.0"
    await send_release(stack, "nightly")
    answer = await stack.command(run_gate, {**APP, "version": "nightly"})
    assert (answer.status, "has no part 1" in answer.json["detail"]) == (422, True)
    answer = await stack.command(run_gate, {"gate": "operations", "line": "1.0"})
    assert (answer.status, "judges a whole site" in answer.json["detail"]) == (422, True)


async def test_a_go_of_another_line_admits_nothing(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1.0")
    made = await run(stack, **APP, version="1.0", line="lts")
    found = await admitted(stack, "1.0")
    assert (found["admitted"], found["run_id"]) == (False, None)
    assert "One holds in the line lts; name it" in found["reasons"][0]
    found = await admitted(stack, "1.0", line="lts")
    assert (found["admitted"], found["run_id"], found["line"]) == (True, made["run_id"], "lts")


async def test_what_turns_in_one_line_leaves_the_others_alone(stack: Stack) -> None:
    await start(stack)
    await publish(stack)
    old = await go(stack, "1.0.4")
    new = await go(stack, "2.0.0")
    await report(stack, "junit", junit(case("a", "<failure/>"), case("b")), subject="app", version="1.0.4")
    assert not (await admitted(stack, "1.0.4"))["admitted"]
    await rejudge(stack)
    told = await revoked(stack, old)
    # The latest of its line, so there is a run, although 2.0.0 is newer.
    assert (told["line"], told["run_id"] is not None) == ("1.0", True)
    assert (await admitted(stack, "2.0.0"))["run_id"] == new["run_id"]
    runs = (await stack.query(list_runs, {**APP, "line": "1.0"})).json["items"]
    assert [(one["verdict"], one["trigger"]) for one in runs] == [("NO_GO", "schedule"), ("GO", "api")]


async def test_a_policy_that_begins_to_derive_lines_ends_gos_without(stack: Stack) -> None:
    await start(stack)
    made = await go(stack, "1.0.4")
    await publish(stack)
    assert not (await admitted(stack, "1.0.4"))["admitted"]
    await rejudge(stack)
    told = await revoked(stack, made)
    assert (told["line"], told["run_id"], "into the line 1.0 now" in told["reasons"][0]) == ("", None, True)
    assert (await run(stack, **APP, version="1.0.4"))["line"] == "1.0"
    assert (await admitted(stack, "1.0.4"))["admitted"]


async def baseline_of(stack: Stack) -> str | None:
    """The version whose facts are the baseline."""
    admin = await stack.superuser()
    try:
        found: str | None = await admin.fetchval("SELECT baseline_version FROM governance.gate_lines")
        return found
    finally:
        await admin.close()


@pytest.mark.parametrize("order", [*permutations(("1", "2", "3"))])
@pytest.mark.parametrize("late", [False, True])
async def test_no_order_of_judging_moves_the_baseline_back(stack: Stack, order: tuple[str, ...], late: bool) -> None:
    """The versions were heard of in the order of their numbers, by the signals' own times where those came late."""
    await start(stack)
    for hours, version in (("3", "3"), ("2", "2"), ("1", "1")) if late else (("1", "1"), ("2", "2"), ("3", "3")):
        time = format_time(stack.clock() - timedelta(hours=10 - int(hours)))
        await send(stack, event(f"seen-{version}", "unjudged.kind", {}, time=time), subject="app", version=version)
    reached = ""
    for version in order:
        await send_release(stack, version)
        assert (await run(stack, **APP, version=version))["verdict"] == "GO"
        reached = max(reached, version)
        assert await baseline_of(stack) == reached
        assert (await run(stack, **APP, version=version))["verdict"] == "GO"
        assert await baseline_of(stack) == reached


async def test_a_version_nobody_ever_told_of_is_no_baseline(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1")
    await run(stack, **APP, version="1")
    admin = await stack.superuser()
    try:
        await admin.execute("DELETE FROM governance.versions_seen WHERE version = '2'")
        await send_release(stack, "2")
        await admin.execute("DELETE FROM governance.versions_seen WHERE version = '2'")
        assert (await run(stack, **APP, version="2"))["verdict"] == "GO"
        assert await baseline_of(stack) == "1"
        await admin.execute("DELETE FROM governance.versions_seen")
        assert (await run(stack, **APP, version="2"))["verdict"] == "GO"
        assert await baseline_of(stack) == "2"  # of the baseline nobody knows when it was, either
    finally:
        await admin.close()


async def test_a_site_is_told_that_it_can_not_draw_other_lines(stack: Stack) -> None:
    await start(stack)
    await publish(stack)
    for pattern, status in (("{1}", 422), ("{1}.{2}", 200)):
        body = {"gate": "release", "content": LINED.replace("{1}.{2}", pattern), "reason": "Our own lines"}
        answer = await stack.command(publish_policy, body, site="plant-a")
        assert answer.status == status, answer
        if status == 422:
            assert "line_pattern is {1}.{2} everywhere, which a site can't change" in answer.json["detail"]
    for pattern in ("{1}.{2}", "{1}"):  # of a gate that is the site's alone
        content = LINED.replace("{1}.{2}", pattern).replace("name: release", "name: ours")
        body = {"gate": "ours", "content": content, "reason": "Our own gate"}
        assert (await stack.command(publish_policy, body, site="plant-a")).status == 200
