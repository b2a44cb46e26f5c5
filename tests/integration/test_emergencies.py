"""Emergency overrides, labels and the exceptions budget on real servers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from libs.common.contracts.governance.approvals import approval_granted
from libs.common.contracts.governance.budget import show_budget
from libs.common.contracts.governance.emergencies import (
    confirm_override,
    exception_unconfirmed,
    list_overrides,
    override_given,
    override_run,
    revoke_override,
)
from libs.common.contracts.governance.freezes import FREEZES, preview_freezes
from libs.common.contracts.governance.halts import stop_line
from libs.common.contracts.governance.labels import list_labels, remove_label, set_label
from libs.common.contracts.governance.runs import list_runs
from libs.common.contracts.governance.waivers import approve_waiver, request_waiver
from libs.common.contracts.tracker.completion import BoardCompleted, board_completed
from libs.judge.budget import quarter_of
from tests.integration.approvers import APP, begin, publish, state, word
from tests.integration.governance_desk import cobertura, heartbeat, report, rule, run, send_release, start
from tests.integration.test_governance_validity import admitted, rejudge
from tests.stack import Answer, Stack
from tests.unit.governance.samples import case, junit, sarif

REASON = "Payments are down for all customers; the failing test covers only the export of old bills."


async def failing(stack: Stack, more: str = "valid_for_hours: 90") -> dict[str, Any]:
    """A candidate with a failing test; the run."""
    await start(stack)
    assert (await publish(stack, more)).status == 200
    await reports(stack)
    made: dict[str, Any] = await run(stack, **APP)
    assert made["decision"] == "no_go"
    return made


async def reports(stack: Stack) -> None:
    """The same reports, each time anew."""
    of = {"subject": "app", "version": "1.0"}
    await report(stack, "junit", junit(case("a", "<failure/>"), case("b")), **of)
    await report(stack, "cobertura", cobertura(9, 10), **of)
    await report(stack, "sarif", sarif([]), **of)
    await heartbeat(stack)


async def override(stack: Stack, run_id: int, actor: str = "eve", **more: Any) -> Answer:
    body = {"gate": "release", "run_id": run_id, "reason": REASON, "issue": "OPS-1", **more}
    return await stack.command(override_run, body, actor=actor)


async def say(stack: Stack, command: Any, override_id: int, actor: str) -> Answer:
    return await stack.command(command, {"override_id": override_id, "reason": "looked at it"}, actor=actor)


async def latest(stack: Stack) -> Any:
    return (await stack.query(list_runs, {"gate": "release"})).json["items"][0]


async def test_an_override_is_shown_first_and_makes_one_run_go(stack: Stack) -> None:
    made = await failing(stack)
    done = await override(stack, made["run_id"])
    assert done.status == 201, done
    go = done.json["run"]
    assert (go["verdict"], go["trigger"], go["reasons"]) == ("GO_WITH_WARNINGS", "override", [])
    assert (go["override"]["given_by"], go["override"]["against"]) == ("eve", made["reasons"])
    assert rule(go, "tests_passed")["passed"] is False, "the facts stay what they are"
    assert (await stack.heard(override_given)).data["issue"] == "OPS-1"
    shown = await admitted(stack)
    assert (shown["admitted"], shown["verdict"], shown["override"]["given_by"]) == (True, "GO_WITH_WARNINGS", "eve")
    again = await override(stack, made["run_id"])
    assert (again.status, "GO by now" in again.json["detail"]) == (409, True)
    assert (await run(stack, **APP))["baseline_run"] is None, "an override is no baseline"
    assert (await stack.query(list_overrides, {})).json["items"][0]["run_id"] == made["run_id"]


async def test_an_override_is_bound_to_what_the_run_saw(stack: Stack) -> None:
    made = await failing(stack)
    await override(stack, made["run_id"])
    stack.clock.advance(minutes=9)
    await heartbeat(stack)
    assert (await admitted(stack))["admitted"]
    await report(stack, "junit", junit(case("a", "<failure/>"), case("c", "<failure/>")), subject="app", version="1.0")
    assert not (await admitted(stack))["admitted"], "one failing test was overridden, not two"
    assert not (await admitted(stack, "1.1"))["admitted"]
    late = await override(stack, made["run_id"])
    assert (late.status, "the facts changed" in late.json["detail"]) == (409, True)
    await rejudge(stack)
    assert (await latest(stack))["decision"] == "no_go"


async def test_bad_overrides_are_refused_with_what_to_do(stack: Stack) -> None:
    made = await failing(stack, "overrides: {max_hours: 2}")
    for more, status, words in (
        ({"reason": "urgent"}, 422, "50 characters"),
        ({"reason": "x" * 60}, 422, "50 characters"),
        ({"reason": " " * 60 + "urgent"}, 422, "50 characters"),
        ({"reason": "go " * 30}, 422, "50 characters"),
        ({"issue": None}, 422, "wants an issue"),
        ({"issue": "UTF-8"}, 422, "no issue"),
        ({"hours": 3}, 422, "may last 2 hours"),
    ):
        answer = await override(stack, made["run_id"], **more)
        assert (answer.status, words in str(answer.json)) == (status, True), (more, answer)
    assert (await override(stack, 999)).status == 404
    assert (await publish(stack, "overrides: {allowed: false}")).status == 200
    made = await run(stack, **APP)
    assert "allows no override" in (await override(stack, made["run_id"])).json["detail"]


async def test_a_halt_wins(stack: Stack) -> None:
    made = await failing(stack)
    await override(stack, made["run_id"])
    await stack.command(stop_line, {"reason": "bad certificate"}, actor="dee")
    assert not (await admitted(stack))["admitted"]
    stopped = await run(stack, **APP)
    assert (stopped["decision"], stopped["override"]) == ("no_go", None)
    late = await override(stack, stopped["run_id"])
    assert (late.status, "nobody overrides" in late.json["detail"]) == (409, True)


async def test_a_second_person_confirms_or_it_is_over_after_a_day(stack: Stack) -> None:
    made = await failing(stack, "overrides: {max_hours: 48}")
    number = (await override(stack, made["run_id"])).json["override_id"]
    own = await say(stack, confirm_override, number, "eve")
    assert (own.status, "somebody else" in own.json["detail"]) == (403, True)
    stack.clock.advance(hours=23, minutes=59)
    await reports(stack)
    assert (await admitted(stack))["admitted"]
    stack.clock.advance(minutes=1)
    late = await admitted(stack)
    assert (late["admitted"], late["reasons"]) == (False, made["reasons"]), "by the clock alone"
    await stack.run_job("governance", "unconfirmed_overrides")
    assert (await stack.heard(exception_unconfirmed)).data["override_id"] == number
    assert (await say(stack, confirm_override, number, "bob")).status == 409


async def test_a_confirmed_one_lasts_until_its_end_and_can_be_revoked(stack: Stack) -> None:
    made = await failing(stack, "overrides: {max_hours: 48}")
    number = (await override(stack, made["run_id"])).json["override_id"]
    assert (await say(stack, confirm_override, number, "bob")).json["confirmed_by"] == "bob"
    assert (await say(stack, confirm_override, number, "dee")).status == 409
    stack.clock.advance(hours=25)
    await reports(stack)
    assert (await admitted(stack))["override"]["confirmed_by"] == "bob"
    assert (await say(stack, revoke_override, number, "dee")).status == 200
    assert not (await admitted(stack))["admitted"]
    await rejudge(stack)
    assert (await latest(stack))["decision"] == "no_go"
    assert (await say(stack, revoke_override, number, "dee")).status == 409


async def label(stack: Stack, actor: str = "dee", **more: Any) -> Answer:
    body = {"subject": "app", "version": "1.0", "label": "hotfix", "reason": "payments are down", **more}
    return await stack.command(set_label, body, actor=actor)


async def test_a_label_passes_a_freeze_with_one_more_approval(stack: Stack) -> None:
    made = await begin(stack, "valid_for_hours: 90")
    assert made["decision"] == "go"
    now = stack.clock()
    window = {"starts_at": now.isoformat(), "ends_at": (now + timedelta(hours=9)).isoformat(), "reason": "books"}
    calendar = {"name": "year-end", "gates": ["release"], "exempt_labels": ["hotfix"], "windows": [window]}
    body = {"content": {"calendars": [calendar]}, "reason": "as each year"}
    assert (await stack.command(FREEZES.publish, body)).status == 200
    assert (await run(stack, **APP))["holds"][0]["kind"] == "freeze"
    shown = [(await stack.query(preview_freezes, {"gate": "release", "subject": "app", **more})).json["items"]
             for more in ({}, {"label": "hotfix"}, {"label": "other"})]  # fmt: skip
    assert [len(items) for items in shown] == [1, 0, 1]
    own = await label(stack, actor="ann")
    assert (own.status, "You sent signals of app 1.0" in own.json["detail"]) == (403, True)
    assert (await label(stack)).status == 201
    assert (await label(stack)).status == 409
    labelled = await run(stack, **APP)
    assert (labelled["labels"], [hold["kind"] for hold in labelled["holds"]]) == (["hotfix"], ["approval"])
    assert labelled["reasons"] == ["Pending approvals: 0 of 1 (roles manager, owner)."]
    evidence = labelled["evidence_sha256"]
    assert (await word(stack, "dee", evidence)).status == 403, "who labelled it asked for it"
    assert (await word(stack, "bob", evidence)).json["run"]["decision"] == "go"
    await stack.heard(approval_granted)
    number = (await stack.query(list_labels, {"in_force": True})).json["items"][0]["label_id"]
    assert (await stack.command(remove_label, {"label_id": number, "reason": "done"})).status == 200
    assert not (await admitted(stack))["admitted"], "frozen again"
    assert (await stack.command(remove_label, {"label_id": number, "reason": "done"})).status == 409


async def test_a_label_set_after_the_approvals_voids_them_and_wants_one_more(stack: Stack) -> None:
    evidence = (await begin(stack, "approvals: {count: 1}"))["evidence_sha256"]
    await word(stack, "bob", evidence)
    assert (await admitted(stack))["admitted"]
    await label(stack)
    late = await admitted(stack)
    assert (late["admitted"], late["reasons"][0]) == (False, "Pending approvals: 0 of 2 (roles manager, owner).")
    assert "exceptions or labels changed" in late["reasons"][1]
    now = (await state(stack))["evidence_sha256"]
    await word(stack, "bob", now)
    assert (await word(stack, "cem", now)).json["run"]["decision"] == "go"


async def test_a_halt_may_exempt_a_label(stack: Stack) -> None:
    await begin(stack, "valid_for_hours: 90")
    await stack.command(stop_line, {"reason": "bad base image", "exempt_labels": ["hotfix"]}, actor="eve")
    assert [hold["kind"] for hold in (await run(stack, **APP))["holds"]] == ["halt"]
    await label(stack)
    assert [hold["kind"] for hold in (await run(stack, **APP))["holds"]] == ["approval"]


async def budget(stack: Stack, **more: Any) -> Any:
    return (await stack.query(show_budget, more)).json


async def waive(stack: Stack, rule_id: str = "tests_passed") -> None:
    """A waiver that two persons made."""
    ends_at = (stack.clock() + timedelta(days=5)).isoformat()
    body = {**APP, "rule_id": rule_id, "ends_at": ends_at, "reason": "known", "issue": "OPS-7"}
    asked = await stack.command(request_waiver, body, actor="ann")
    said = {"waiver_id": asked.json["waiver_id"], "reason": "looked at it"}
    assert (await stack.command(approve_waiver, said, actor="bob")).status == 200


async def test_exceptions_spend_a_budget_and_a_rule_fails_when_it_is_exhausted(stack: Stack) -> None:
    await begin(stack, "valid_for_hours: 9000\nexceptions_per_quarter: 2")
    made = await run(stack, **APP)
    assert (made["decision"], rule(made, "exceptions_budget")["status"]) == ("go", "pass")
    await waive(stack)
    await stack.publish(board_completed, BoardCompleted(
        gate="release", subject="app", status="completed_with_exceptions", force_used=True, readiness_score_percent=50
    ))  # fmt: skip
    await stack.publish(board_completed, BoardCompleted(
        gate="release", subject="app", status="completed", force_used=False, readiness_score_percent=100
    ))  # fmt: skip
    await stack.idle("governance")
    assert (await admitted(stack))["admitted"], "two of two"
    await waive(stack)
    late = await admitted(stack)
    reason = (
        f"Exceptions budget: 3 of 2 spent in {quarter_of(stack.clock())} (1 forced completions, 2 waivers); "
        "wanted at most 2 in a quarter."
    )
    assert (late["admitted"], late["reasons"]) == (False, [reason])
    await rejudge(stack)
    found = await latest(stack)
    assert rule(found, "exceptions_budget")["status"] == "fail"
    shown = await budget(stack)
    assert (shown["total"], shown["gates"]) == (3, [{"gate": "release", "limit": 2, "left": -1}])
    assert {one["kind"] for one in shown["newest"]} == {"waiver", "forced_completion"}
    assert (await budget(stack, quarter="2025-Q4"))["total"] == 0
    stack.clock.advance(days=92)  # the next quarter
    assert (await budget(stack))["total"] == 0
    await send_release(stack, "1.0")
    assert rule(await run(stack, **APP), "exceptions_budget")["passed"]
