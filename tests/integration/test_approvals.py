"""Approvals on real servers: two persons, bound to what they saw, and one transition however many speak at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.governance.approvals import (
    approval_declined,
    approval_given,
    approval_granted,
    approval_withdrawn,
    decline_candidate,
    withdraw_approval,
)
from libs.common.contracts.governance.capsules import list_capsule_keys
from libs.common.contracts.governance.emergencies import override_run
from libs.common.contracts.governance.facts import list_facts, list_retirements, retire_fact, revoke_retirement
from libs.common.contracts.governance.groups import GROUPS
from libs.common.contracts.governance.paths import get_path
from libs.common.contracts.governance.policies import roll_back_policy
from libs.common.contracts.governance.runs import gate_decided, gate_revoked, list_runs
from libs.judge.capsule import check
from libs.judge.dsse import PublicKey, public_keys
from tests.integration.approvers import APP, begin, publish, state, word
from tests.integration.governance_desk import heartbeat, report, run, send_release, start
from tests.integration.test_governance_capsules import capsule_of
from tests.integration.test_governance_validity import admitted, rejudge
from tests.stack import Stack
from tests.unit.governance.samples import case, junit, webhook


async def approved(stack: Stack) -> dict[str, Any]:
    """A candidate that two persons have approved, and its run."""
    evidence = (await begin(stack))["evidence_sha256"]
    await word(stack, "bob", evidence)
    answer = await word(stack, "cem", evidence)
    assert answer.status == 201, answer
    made: dict[str, Any] = answer.json["run"]
    return made


def about(event: Any) -> Callable[[CloudEvent], bool]:
    return lambda found: found.type == event.type


async def test_two_persons_make_it_go_and_the_run_comes_by_itself(stack: Stack) -> None:
    made = await begin(stack)
    assert (made["decision"], made["holds"][0]["kind"]) == ("no_go", "approval")
    assert made["reasons"] == ["Pending approvals: 0 of 2 (roles manager, owner)."]
    path = (await stack.query(get_path, {"gate": "release", "run_id": made["run_id"]})).json
    assert (path["repairs"], path["waits_for_approval"], path["holds"][0]["kind"]) == ([], True, "approval")
    first = await word(stack, "bob", made["evidence_sha256"])
    assert (first.status, first.json["run"], first.json["wanted"][0]["have"]) == (201, None, 1)
    assert (await stack.heard(approval_given)).data["username"] == "bob"
    assert (await run(stack, **APP))["decision"] == "no_go", "one is not two"
    last = await word(stack, "cem", made["evidence_sha256"])
    go = last.json["run"]
    assert (go["decision"], go["trigger"], last.json["pending"]) == ("go", "approval", [])
    assert [one["person"] for one in go["approvals"]] == ["bob", "cem"]
    granted = await stack.heard(approval_granted)
    assert granted.data["persons"] == ["bob", "cem"]
    assert (await stack.heard(gate_decided, lambda one: one.data["trigger"] == "approval")).data["verdict"] == "GO"
    assert (await admitted(stack))["admitted"]
    assert (await run(stack, **APP))["decision"] == "go", "its own GO is no drift"


async def test_the_same_heartbeat_again_is_no_drift_and_a_new_fact_voids(stack: Stack) -> None:
    made = await approved(stack)
    stack.clock.advance(minutes=9)
    await heartbeat(stack)
    await rejudge(stack)
    assert (await admitted(stack))["admitted"]
    await report(stack, "junit", junit(case("a"), case("b"), case("c")), subject="app", version="1.0")
    late = await admitted(stack)
    assert not late["admitted"], "before any job has looked"
    assert "The approval of cem is void: the facts changed after it." in late["reasons"]
    await rejudge(stack)
    told = await stack.heard(gate_revoked, lambda one: one.data["revoked_run_id"] == made["run_id"])
    assert "Pending approvals: 0 of 2 (roles manager, owner)." in told.data["reasons"]
    assert all("the facts changed" in one["void"] for one in (await state(stack))["approvals"])


async def test_a_new_policy_voids_and_the_old_one_brings_nothing_back_unseen(stack: Stack) -> None:
    await approved(stack)
    await publish(stack, "approvals: {count: 2}\nvalid_for_hours: 90")
    late = await admitted(stack)
    assert (late["admitted"], "the policy changed" in late["reasons"][-1]) == (False, True)
    body = {"gate": "release", "version": 1, "reason": "back"}
    assert (await stack.command(roll_back_policy, body)).status == 200
    assert (await admitted(stack))["admitted"] is True, "the very same text over the very same facts was approved"


async def test_a_retired_fact_is_part_of_what_is_approved(stack: Stack) -> None:
    await begin(stack)
    await report(stack, "alertmanager", webhook("{}:old", ("Down", "firing", "critical")), subject="app")
    shown = (await stack.query(list_facts, {"subject": "app", "kind": "alert.alertmanager"})).json["items"]
    stuck = next(one for one in shown if one["firing_count"])
    body = {"signal_id": stuck["signal_id"], "reason": "its key is gone"}
    assert (await stack.command(retire_fact, body, actor="dee")).status == 201
    evidence = (await run(stack, **APP))["evidence_sha256"]
    await word(stack, "bob", evidence)
    assert (await word(stack, "cem", evidence)).json["run"]["decision"] == "go"
    number = (await stack.query(list_retirements, {})).json["items"][0]["retirement_id"]
    await stack.command(revoke_retirement, {"retirement_id": number, "reason": "it was right"}, actor="dee")
    assert not (await admitted(stack))["admitted"]


async def test_what_differs_is_said_and_old_evidence_is_refused(stack: Stack) -> None:
    made = await begin(stack)
    await report(stack, "junit", junit(case("a"), case("b"), case("c")), subject="app", version="1.0")
    late = await word(stack, "bob", made["evidence_sha256"])
    assert (late.status, "the facts changed" in late.json["detail"]) == (409, True)
    assert late.json["evidence_sha256"] == (await state(stack))["evidence_sha256"]
    assert "no newer run" in (await word(stack, "bob", "0" * 64)).json["detail"]
    await report(stack, "junit", junit(case("a", "<failure/>")), subject="app", version="1.0")
    red = await word(stack, "bob", (await state(stack))["evidence_sha256"])
    assert (red.status, "repair it first" in red.json["detail"]) == (409, True)


async def test_who_asked_who_told_and_who_is_nobody_cannot_approve(stack: Stack) -> None:
    made = await begin(stack, "approvals: {count: 1, roles: [manager], groups: [qa]}")
    evidence = made["evidence_sha256"]
    own = await word(stack, "ann", evidence)
    assert (own.status, "ann asked" in own.json["detail"]) == (403, True)
    other = await word(stack, "bob", evidence, caller_role="operator")
    assert (other.status, "roles manager; groups qa" in other.json["detail"]) == (403, True)
    content = {"groups": [{"name": "qa", "members": ["bob"]}], "people": [{"name": "ann", "users": ["ann", "ann-2"]}]}
    published = await stack.command(GROUPS.publish, {"content": content, "reason": "the team"})
    assert published.status == 200, published
    twin = await word(stack, "ann-2", evidence)
    assert (twin.status, "ann asked" in twin.json["detail"]) == (403, True), "two users, one human"
    assert (await word(stack, "bob", evidence, caller_role="operator")).json["run"]["decision"] == "go"


async def test_the_answer_says_of_who_asks_what_an_order_would_be_told(stack: Stack) -> None:
    evidence = (await begin(stack, "approvals: {count: 2, roles: [manager], groups: [qa]}"))["evidence_sha256"]
    people = {"people": [{"name": "bob", "users": ["bob", "bob-admin"]}]}
    await stack.command(GROUPS.publish, {"content": people, "reason": "one human"})
    assert (await state(stack, actor="bob"))["your_word"] is None, "an older edge does not say in which role one asks"
    assert (await state(stack, actor="bob", role="manager"))["your_word"] == {"refused": "", "on_behalf_of": []}
    assert (await word(stack, "bob", evidence)).status == 201
    for actor, role in (("ann", "manager"), ("eve", "operator"), ("bob-admin", "manager"), ("bob", "manager")):
        told = (await state(stack, actor=actor, role=role))["your_word"]["refused"]
        late = await word(stack, actor, evidence, caller_role=role)
        assert (late.status in (403, 409), late.json["detail"]) == (True, told), actor
    assert (await state(stack, actor="cem", role="manager"))["your_word"]["refused"] == ""
    assert (await word(stack, "cem", evidence)).status == 201


async def test_where_nobody_is_asked_any_more_nobodys_word_is_heard(stack: Stack) -> None:
    evidence = (await begin(stack))["evidence_sha256"]
    await word(stack, "bob", evidence)
    await publish(stack, "")
    told = (await state(stack, actor="cem", role="manager"))["your_word"]["refused"]
    assert "wants no approvals" in told
    assert (await word(stack, "cem", evidence)).json["detail"] == told


async def test_two_users_of_one_person_count_once(stack: Stack) -> None:
    evidence = (await begin(stack))["evidence_sha256"]
    people = {"people": [{"name": "bob", "users": ["bob", "bob-admin"]}]}
    await stack.command(GROUPS.publish, {"content": people, "reason": "one human"})
    assert (await word(stack, "bob-admin", evidence)).status == 201
    again = await word(stack, "bob", evidence)
    assert (again.status, "counts once" in again.json["detail"]) == (409, True)
    assert (await state(stack))["wanted"][0]["have"] == 1


async def test_a_refusal_ends_a_go_and_who_said_it_takes_it_back(stack: Stack) -> None:
    await approved(stack)
    evidence = (await state(stack))["evidence_sha256"]
    said = await word(stack, "dee", evidence, decline_candidate)
    assert (said.status, said.json["pending"]) == (201, ["dee declined it: looked at it."])
    assert (await stack.heard(approval_declined)).data["username"] == "dee"
    assert not (await admitted(stack))["admitted"]
    await rejudge(stack)
    assert (await stack.query(list_runs, {"gate": "release"})).json["items"][0]["decision"] == "no_go"
    body = {"approval_id": said.json["approval_id"], "reason": "my mistake"}
    assert (await stack.command(withdraw_approval, body, actor="eve")).status == 403
    assert (await stack.command(withdraw_approval, body, actor="dee")).status == 200
    assert (await stack.command(withdraw_approval, body, actor="dee")).status == 409
    assert (await run(stack, **APP))["decision"] == "go"


async def test_a_withdrawn_approval_ends_the_go(stack: Stack) -> None:
    await approved(stack)
    one = (await state(stack))["approvals"][0]
    body = {"approval_id": one["approval_id"], "reason": "looked again"}
    assert (await stack.command(withdraw_approval, body, actor=one["username"])).status == 200
    assert (await stack.heard(approval_withdrawn)).data["withdrawn_by"] == one["username"]
    assert not (await admitted(stack))["admitted"]
    await rejudge(stack)
    assert (await stack.query(list_runs, {"gate": "release"})).json["items"][0]["decision"] == "no_go"


async def test_an_approval_that_grows_old_ends_the_go_by_the_clock(stack: Stack) -> None:
    evidence = (await begin(stack, "approvals: {count: 1, max_age_hours: 0.1}"))["evidence_sha256"]
    made = (await word(stack, "bob", evidence)).json["run"]
    assert made["decision"] == "go"
    stack.clock.advance(minutes=5)
    assert (await admitted(stack))["admitted"]
    stack.clock.advance(minutes=1)
    assert not (await admitted(stack))["admitted"]
    await rejudge(stack)
    assert (await stack.query(list_runs, {"gate": "release"})).json["items"][0]["decision"] == "no_go"


async def test_two_at_once_on_two_replicas_are_two_and_turn_it_once(stack: Stack) -> None:
    """Neither sees the other's word before it is stored: without turns both would be one of two for ever."""
    await begin(stack)
    other = stack.running["governance"]
    await start(stack)  # a second replica
    for version in (f"2.{number}" for number in range(12)):
        await send_release(stack, version)
        of = {"version": version}
        evidence = (await run(stack, **APP | of))["evidence_sha256"]
        answers = await asyncio.gather(*(word(stack, actor, evidence, **of) for actor in ("bob", "cem")))
        assert [answer.status for answer in answers] == [201, 201]
        assert sum(answer.json["run"] is not None for answer in answers) == 1, version
    await other.stop()


async def test_a_hundred_at_once_make_one_transition(stack: Stack) -> None:
    evidence = (await begin(stack, "approvals: {count: 20}"))["evidence_sha256"]
    other = stack.running["governance"]
    await start(stack)  # a second replica
    answers = await asyncio.gather(*(word(stack, f"p{number % 50}", evidence) for number in range(100)))
    await other.stop()
    assert sorted(answer.status for answer in answers) == [201] * 50 + [409] * 50
    assert sum(answer.status == 201 and answer.json["run"] is not None for answer in answers) == 1
    runs = (await stack.query(list_runs, {"gate": "release"})).json["items"]
    assert [one["decision"] for one in runs] == ["go", "no_go"]
    await stack.heard(approval_granted)
    assert len([one for one in stack.events if about(approval_granted)(one)]) == 1
    assert (await state(stack))["wanted"][0]["have"] == 50


async def key_of(stack: Stack) -> Mapping[str, PublicKey]:
    """The public key of the installation."""
    (key,) = (await stack.query(list_capsule_keys, {})).json
    return public_keys(PublicKey.read(key["public_key_pem"].encode()))


async def test_the_capsule_proves_who_approved_what_and_who_overrode(stack: Stack) -> None:
    made = await approved(stack)
    content, keys = await capsule_of(stack, made), await key_of(stack)
    problems, body = check(content, keys)
    assert problems == []
    assert [one["person"] for one in body["standing"]["approvals"]] == ["bob", "cem"]
    assert body["verdict"]["evidence"] == made["evidence_sha256"] == (await state(stack))["evidence_sha256"]
    for before, after in ((b'"person":"cem"', b'"person":"eve"'), (b'"role":"manager"', b'"role":"visitor"')):
        assert content.count(before) > 0
        problems, _ = check(content.replace(before, after), keys)
        assert any("signed statement is not about this body" in problem for problem in problems)
    await report(stack, "junit", junit(case("a", "<failure/>")), subject="app", version="1.0")
    failed = await run(stack, **APP)
    reason = "Payments are down for all customers; the failing test covers only the export of old bills."
    asked = {"gate": "release", "run_id": failed["run_id"], "reason": reason, "issue": "OPS-1"}
    done = (await stack.command(override_run, asked, actor="eve")).json["run"]
    problems, body = check(await capsule_of(stack, done), keys)
    assert (problems, body["verdict"]["override"]["given_by"]) == ([], "eve")
