"""Parts are named by senders, so their number is bounded: a gate run reads the facts of all of them."""

from __future__ import annotations

from typing import Any

from tests.integration.governance_desk import event, report, rule, run, send, start
from tests.stack import Answer, Stack
from tests.unit.governance.samples import webhook

APP = {"subject": "app", "version": "1.0"}
COVERAGE = {"line_rate_percent": 90, "lines_valid": 10, "lines_covered": 9}
COUNT = "SELECT count(*) FROM governance.facts WHERE kind = $1 AND voice = ''"


def parts(first: int, last: int, prefix: str = "e", **more: Any) -> list[dict[str, Any]]:
    """Coverage reports of the parts first..last."""
    return [
        event(f"{prefix}-{n}", "coverage.cobertura", COVERAGE, part=f"p{n}", **more) for n in range(first, last + 1)
    ]


async def counted(stack: Stack, kind: str = "coverage.cobertura") -> int:
    admin = await stack.superuser()
    try:
        return int(await admin.fetchval(COUNT, kind))
    finally:
        await admin.close()


def assert_refused(answer: Answer) -> None:
    assert answer.status == 422, answer
    assert "more than 200 parts" in answer.json["detail"]
    assert "same part names again" in answer.json["detail"]
    assert answer.json["max_parts"] == 200


async def test_201_parts_in_one_command_are_refused_whole(stack: Stack) -> None:
    await start(stack)
    assert_refused(await send(stack, *parts(1, 201), **APP))
    assert await counted(stack) == 0
    again = await send(stack, *parts(1, 200), **APP)
    assert (again.status, again.json["recorded"]) == (201, 200)


async def test_201_parts_across_commands_are_refused_and_known_parts_go_on(stack: Stack) -> None:
    await start(stack)
    assert (await send(stack, *parts(1, 120), **APP)).status == 201
    assert (await send(stack, *parts(121, 200), **APP)).status == 201
    assert_refused(await send(stack, *parts(200, 201, "over"), **APP))
    assert (await send(stack, *parts(1, 200, "again"), **APP)).json["recorded"] == 200
    # Each version, subject and site has its own.
    assert (await send(stack, *parts(201, 250, "next"), subject="app", version="1.1")).status == 201
    assert (await send(stack, *parts(201, 250, "other"), subject="shop", version="1.0")).status == 201
    assert (await send(stack, *parts(201, 250, "far"), site="plant-7", **APP)).status == 201
    assert await counted(stack) == 350
    coverage = rule(await run(stack, "release", **APP), "coverage_line")
    assert (coverage["passed"], len(coverage["facts_used"])) == (True, 200)


async def test_what_is_no_fact_opens_no_part_and_a_broken_fact_opens_one(stack: Stack) -> None:
    await start(stack)
    assert (await send(stack, *parts(1, 200), **APP)).status == 201
    broken = event("broken", "coverage.cobertura", {**COVERAGE, "lines_covered": 11}, part="p999")
    other = event("other", "com.example.thing", None, part="p999")
    assert (await send(stack, other, **APP)).status == 201
    assert_refused(await send(stack, broken, **APP))
    assert (await send(stack, {**broken, "part": "p7"}, **APP)).status == 201
    assert await counted(stack) == 200


async def test_alert_groups_resolved_long_ago_make_room(stack: Stack) -> None:
    await start(stack)
    kind = "alert.alertmanager"

    def group(number: int, status: str, word: str, **more: Any) -> dict[str, Any]:
        alert = {"name": "Disk", "status": status, "severity": "critical"}
        data = {"group_key": str(number), "status": status, "alerts": [alert], "truncated_alerts": 0, "watchdog": False}
        return event(f"{word}-{number}", kind, {**data, **more}, part=f"g{number}")

    firing = [group(n, "firing", "old") for n in range(5)]
    cut = [group(n, "resolved", "old", truncated_alerts=1) for n in range(5, 8)]
    resolved = [group(n, "resolved", "old") for n in range(8, 200)]
    assert (await send(stack, *firing, *cut, *resolved, subject="app")).status == 201
    assert_refused(await send(stack, group(200, "resolved", "new"), subject="app"))
    stack.clock.advance(days=6)
    assert (await send(stack, group(8, "resolved", "later"), subject="app")).status == 201
    assert_refused(await send(stack, group(200, "resolved", "six"), subject="app"))
    stack.clock.advance(days=2)
    # What fires, was cut short or is young stays; a gate still hears of it.
    assert (
        await report(stack, "alertmanager", webhook("new", ("Up", "resolved", "none")), subject="app")
    ).status == 201
    assert await counted(stack, kind) == 5 + 3 + 1 + 1
    assert rule(await run(stack, "release", **APP), "alerts_none_critical")["detail"]["critical_count"] == 5
