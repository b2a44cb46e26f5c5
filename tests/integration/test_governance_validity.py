"""GOs perish: by the clock, by a newer fact, and by what people decide; each is revoked and told once."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.governance.admission import admit
from libs.common.contracts.governance.halts import stop_line
from libs.common.contracts.governance.paths import get_path
from libs.common.contracts.governance.runs import gate_revoked, list_runs
from tests.integration.governance_desk import heartbeat, report, run, send_release, start
from tests.stack import Stack
from tests.unit.governance.samples import case, junit


def _is_about(run_id: int, event: CloudEvent) -> bool:
    return bool(event.data["revoked_run_id"] == run_id)


async def revoked(stack: Stack, made: dict[str, Any]) -> dict[str, Any]:
    """What was told of the end of a run's GO."""
    told = await stack.heard(gate_revoked, partial(_is_about, made["run_id"]))
    data: dict[str, Any] = told.data
    return data


async def rejudge(stack: Stack) -> None:
    """The job of the next minute."""
    stack.clock.advance(minutes=1)
    await stack.run_job("governance", "rejudge")


async def go(stack: Stack, version: str = "1.0") -> dict[str, Any]:
    """A GO of a version."""
    await send_release(stack, version)
    made: dict[str, Any] = await run(stack, "release", subject="app", version=version)
    assert made["verdict"] == "GO", made["reasons"]
    assert made["valid_until"] == made["next_change_at"] is not None
    return made


async def runs_of(stack: Stack) -> list[Any]:
    """The runs of the release gate, newest first."""
    found: list[Any] = (await stack.query(list_runs, {"gate": "release"})).json["items"]
    return found


async def test_a_go_whose_facts_grow_old_is_revoked_with_a_run(stack: Stack) -> None:
    await start(stack)
    made = await go(stack)
    stack.clock.advance(minutes=16)  # the heartbeat is too old
    await rejudge(stack)
    told = await revoked(stack, made)
    latest = (await runs_of(stack))[0]
    assert (latest["verdict"], latest["run_id"], latest["trigger"]) == ("NO_GO", told["run_id"], "schedule")
    assert told["reasons"] == latest["reasons"]
    await rejudge(stack)
    assert len(await runs_of(stack)) == 2


async def test_newer_facts_that_agree_keep_a_go_without_a_run(stack: Stack) -> None:
    await start(stack)
    await go(stack)
    for _ in range(3):
        stack.clock.advance(minutes=9)
        await heartbeat(stack)
        await rejudge(stack)
    assert len(await runs_of(stack)) == 1


@pytest.mark.parametrize("broken", [False, True])
async def test_a_newer_fact_that_contradicts_revokes_within_the_minute(stack: Stack, broken: bool) -> None:
    await start(stack)
    made = await go(stack)
    content = b"<nothing" if broken else junit(case("a", "<failure/>"), case("b"))
    await report(stack, "junit", content, subject="app", version="1.0")
    await rejudge(stack)
    told = await revoked(stack, made)
    assert told["run_id"] == (await runs_of(stack))[0]["run_id"]


async def test_an_older_version_is_revoked_without_a_run(stack: Stack) -> None:
    await start(stack)
    old = await go(stack, "1.0")
    await go(stack, "2.0")
    await report(stack, "junit", junit(case("a", "<failure/>"), case("b")), subject="app", version="1.0")
    await rejudge(stack)
    told = await revoked(stack, old)
    assert (told["run_id"], told["version"]) == (None, "1.0")
    assert (await admitted(stack, "1.0"))["run_id"] is None  # it is over, and not told each minute again
    assert [one["version"] for one in await runs_of(stack)] == ["2.0", "1.0"]


async def test_a_run_that_contradicts_revokes_at_once(stack: Stack) -> None:
    await start(stack)
    made = await go(stack)
    await report(stack, "junit", junit(case("a", "<failure/>"), case("b")), subject="app", version="1.0")
    second = await run(stack, "release", subject="app", version="1.0")
    assert (await revoked(stack, made))["run_id"] == second["run_id"]


async def test_stopping_the_line_revokes_every_version(stack: Stack) -> None:
    await start(stack)
    old, new = await go(stack, "1.0"), await go(stack, "2.0")
    answer = await stack.command(stop_line, {"subjects": "*", "reason": "A leak is being looked for."})
    assert answer.status == 201, answer
    await rejudge(stack)
    assert (await revoked(stack, old))["run_id"] is None
    assert (await revoked(stack, new))["run_id"] == (await runs_of(stack))[0]["run_id"]


async def admitted(stack: Stack, version: str = "1.0", **options: Any) -> dict[str, Any]:
    """Whether a version of the subject may go."""
    answer = await stack.query(admit, {"gate": "release", "subject": "app", "version": version}, **options)
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


async def test_a_version_is_admitted_while_its_go_holds(stack: Stack) -> None:
    await start(stack)
    assert not (await admitted(stack))["admitted"]
    made = await go(stack)
    found = await admitted(stack)
    assert (found["admitted"], found["run_id"], found["verdict"]) == (True, made["run_id"], "GO")
    assert (found["valid_until"], found["reasons"]) == (made["valid_until"], [])
    for other in (await admitted(stack, "1.0.1"), await admitted(stack, site="berlin")):
        assert (other["admitted"], other["run_id"]) == (False, None)
    # The clock alone, before any job has looked.
    stack.clock.advance(minutes=15, seconds=1)
    late = await admitted(stack)
    assert (late["admitted"], late["verdict"], late["valid_until"]) == (False, "NO_GO", None)
    assert "Watchdog" in late["reasons"][0]
    # A fresh heartbeat: the GO has not seen it, so all is judged anew, and holds on.
    await heartbeat(stack)
    renewed = await admitted(stack)
    assert (renewed["admitted"], renewed["run_id"]) == (True, made["run_id"])
    assert renewed["valid_until"] > made["valid_until"]
    assert len(await runs_of(stack)) == 1


async def test_a_contradiction_or_a_halt_ends_the_admission_at_once(stack: Stack) -> None:
    await start(stack)
    await go(stack)
    await go(stack, "2.0")
    await report(stack, "junit", junit(case("a", "<failure/>"), case("b")), subject="app", version="1.0")
    assert not (await admitted(stack))["admitted"]
    assert (await admitted(stack, "2.0"))["admitted"]
    await stack.command(stop_line, {"subjects": "*", "reason": "A leak is being looked for."})
    halted = await admitted(stack, "2.0")
    assert (halted["admitted"], "A leak is being looked for" in halted["reasons"][0]) == (False, True)


async def test_the_path_to_go_names_what_to_repair_and_what_holds(stack: Stack) -> None:
    await start(stack)
    made = await go(stack)
    await report(stack, "junit", junit(case("a", "<failure/>"), case("b")), subject="app", version="1.0")
    failed = await run(stack, "release", subject="app", version="1.0")

    async def path(run_: dict[str, Any], **options: Any) -> Any:
        return await stack.query(get_path, {"gate": "release", "run_id": run_["run_id"]}, **options)

    found = (await path(failed)).json
    assert [(one["rule_id"], one["sla_hours"]) for one in found["repairs"]] == [("tests_passed", 8)]
    assert found["cost_hours"] == 8
    assert found["earliest_go_at"] is not None
    assert (await path(made)).json["repairs"] == []
    assert (await path(made, site="berlin")).status == 404
    await stack.command(stop_line, {"subjects": "*", "reason": "A leak is being looked for."})
    halted = (await path(await run(stack, "release", subject="app", version="1.0"))).json
    assert (halted["earliest_go_at"], len(halted["holds"])) == (None, 1)
