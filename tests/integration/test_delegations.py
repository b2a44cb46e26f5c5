"""Delegations: somebody approves for somebody who is away, and never for two."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

from libs.common.contracts.gateway.users import UserView, user_changed
from libs.common.contracts.governance.delegations import delegate, end_delegation, list_delegations
from libs.common.contracts.governance.groups import GROUPS
from libs.common.contracts.governance.policies import publish_policy, save_policy_draft
from libs.common.contracts.governance.publishing import approve_policy, show_policy_approvals
from libs.common.contracts.governance.waivers import approve_waiver, request_waiver
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.http_edge import Http
from tests.integration.approvers import APP, begin, publish, state, word
from tests.integration.governance_desk import start
from tests.stack import Answer, Stack
from tests.unit.governance.samples import RELEASE


async def hand_over(stack: Stack, from_user: str, to_user: str, role: str = "manager", **more: Any) -> Answer:
    ends_at = (stack.clock() + timedelta(days=5)).isoformat()
    body = {"to_user": to_user, "ends_at": ends_at, "reason": "on leave", "caller_role": role, **more}
    return await stack.command(delegate, body, actor=from_user)


async def test_a_delegate_counts_as_who_is_away(stack: Stack) -> None:
    evidence = (await begin(stack))["evidence_sha256"]
    refused = await word(stack, "eve", evidence, caller_role="operator", on_behalf_of="bob")
    assert (refused.status, "bob has not delegated to you" in refused.json["detail"]) == (403, True)
    assert (await hand_over(stack, "bob", "eve")).status == 201
    said = await word(stack, "eve", evidence, caller_role="operator", on_behalf_of="bob")
    assert said.status == 201, said
    found = (await state(stack))["approvals"][0]
    assert (found["username"], found["person"], found["role"]) == ("eve", "bob", "manager")
    for actor, more in (("bob", {}), ("eve", {"caller_role": "manager"})):
        again = await word(stack, actor, evidence, **more)
        assert (again.status, "counts once" in again.json["detail"]) == (409, True), actor
    assert (await word(stack, "cem", evidence)).json["run"]["decision"] == "go"


async def test_the_answer_names_for_whom_one_would_be_heard(stack: Stack) -> None:
    evidence = (await begin(stack))["evidence_sha256"]
    for absent in ("bob", "cem", "ann"):
        assert (await hand_over(stack, absent, "eve")).status == 201
    mine = (await state(stack, actor="eve", role="operator"))["your_word"]
    assert ("role of eve is operator" in mine["refused"], mine["on_behalf_of"]) == (True, ["bob", "cem"])
    assert (await word(stack, "cem", evidence)).status == 201
    assert (await state(stack, actor="eve", role="operator"))["your_word"]["on_behalf_of"] == ["bob"]
    assert (await word(stack, "eve", evidence, caller_role="operator", on_behalf_of="bob")).status == 201
    assert (await state(stack, actor="eve", role="operator"))["your_word"]["on_behalf_of"] == []
    assert (await state(stack, actor="fay", role="manager"))["your_word"] == {"refused": "", "on_behalf_of": []}


async def test_nobody_stands_in_for_two_nor_for_who_asked(stack: Stack) -> None:
    evidence = (await begin(stack))["evidence_sha256"]
    for absent in ("bob", "cem", "ann"):
        await hand_over(stack, absent, "eve")
    assert (await word(stack, "eve", evidence, on_behalf_of="ann")).status == 403, "ann ran the gate"
    await hand_over(stack, "dee", "ann")
    assert (await word(stack, "ann", evidence, on_behalf_of="dee")).status == 403, "and ann says it"
    assert (await word(stack, "eve", evidence, on_behalf_of="bob")).status == 201
    assert (await word(stack, "eve", evidence, on_behalf_of="cem")).status == 409


async def test_it_ends_by_the_clock_by_a_word_and_with_the_right_to_approve(stack: Stack) -> None:
    evidence = (await begin(stack))["evidence_sha256"]
    first = (await hand_over(stack, "bob", "eve")).json
    assert first["in_force"]
    body = {"delegation_id": first["delegation_id"], "reason": "back"}
    assert (await stack.command(end_delegation, body, actor="mallory")).status == 403
    assert (await stack.command(end_delegation, body, actor="bob")).json["in_force"] is False
    assert (await stack.command(end_delegation, body, actor="bob")).status == 409
    assert (await word(stack, "eve", evidence, on_behalf_of="bob")).status == 403
    later = (stack.clock() + timedelta(days=1)).isoformat()
    await hand_over(stack, "cem", "eve", begins_at=later)
    assert (await word(stack, "eve", evidence, on_behalf_of="cem")).status == 403, "not begun"
    await hand_over(stack, "dee", "eve")
    user = UserView(
        username="dee", role="viewer", sites=["*"], display_name="", active=True, created_at=stack.clock(), revision=3
    )
    await stack.publish(user_changed, user)
    await stack.publish(user_changed, user.model_copy(update={"role": "manager", "revision": 2}))
    await stack.idle("governance")
    assert (await word(stack, "eve", evidence, on_behalf_of="dee")).status == 403, "dee may not approve any more"
    await hand_over(stack, "fay", "eve")
    own = {"username": "fay", "role": "own", "own_permissions": ["gate:approve"]}
    await stack.publish(user_changed, user.model_copy(update=own))
    await stack.idle("governance")
    listed = (await stack.query(list_delegations, {"to_user": "eve"})).json["items"]
    assert listed.pop(0)["in_force"], "a role of the installation's own that may approve"
    assert [(one["from_user"], one["in_force"]) for one in listed] == [("dee", False), ("cem", False), ("bob", False)]


async def test_bad_delegations_are_refused(stack: Stack) -> None:
    await start(stack)
    people = {"people": [{"name": "bob", "users": ["bob", "bob-admin"]}]}
    await stack.command(GROUPS.publish, {"content": people, "reason": "one human"})
    for to_user, more, words in (
        ("bob", {}, "stand in for yourself"),
        ("bob-admin", {}, "stand in for yourself"),
        ("eve", {"ends_at": (stack.clock() - timedelta(days=1)).isoformat()}, "ends after it begins"),
        ("eve", {"ends_at": (stack.clock() + timedelta(days=91)).isoformat()}, "at most 90 days"),
    ):
        answer = await hand_over(stack, "bob", to_user, **more)
        assert (answer.status, words in answer.json["detail"]) == (422, True), (to_user, answer)


async def test_a_waiver_takes_two_humans_not_two_users(stack: Stack) -> None:
    await start(stack)
    people = {"people": [{"name": "ann", "users": ["ann", "ann-admin"]}]}
    await stack.command(GROUPS.publish, {"content": people, "reason": "one human"})
    ends_at = (stack.clock() + timedelta(days=5)).isoformat()
    body = {**APP, "rule_id": "tests_passed", "ends_at": ends_at, "reason": "known", "issue": "OPS-7"}
    asked = await stack.command(request_waiver, body, actor="ann")
    said = {"waiver_id": asked.json["waiver_id"], "reason": "fine"}
    own = await stack.command(approve_waiver, said, actor="ann-admin")
    assert (own.status, "somebody else" in own.json["detail"]) == (403, True)
    assert (await stack.command(approve_waiver, said, actor="bob")).status == 200


TEXT = f"{RELEASE.text}\nvalid_for_hours: 90\npublish_approvals: {{count: 1}}\n"


async def say_of(stack: Stack, digest: str, actor: str, **more: Any) -> Answer:
    body = {"gate": "release", "digest": digest, "reason": "read it", "caller_role": "manager", **more}
    return await stack.command(approve_policy, body, actor=actor)


async def test_a_policy_that_wants_it_is_published_with_a_second_word_only(stack: Stack) -> None:
    await start(stack)
    assert (await publish(stack, "publish_approvals: {count: 1}")).status == 200, "the file wants none"
    late = await stack.command(publish_policy, {"gate": "release", "content": TEXT, "reason": "longer"}, actor="owner")
    assert (late.status, "Pending approvals: 0 of 1" in late.json["detail"]) == (409, True)
    digest = sha256(TEXT.encode()).hexdigest()
    assert digest in late.json["detail"]
    assert (await say_of(stack, digest, "bob")).status == 404, "nobody has saved it"
    await stack.command(save_policy_draft, {"gate": "release", "content": TEXT}, actor="ann")
    asked = {"gate": "release", "digest": digest}
    for actor, role in (("ann", "manager"), ("bob", "operator")):
        told = (await stack.query(show_policy_approvals, asked, actor=actor, role=role)).json["your_word"]["refused"]
        assert (await say_of(stack, digest, actor, caller_role=role)).json["detail"] == told
    assert (await say_of(stack, digest, "ann")).status == 403, "she wrote it"
    assert (await say_of(stack, digest, "bob", caller_role="operator")).status == 403
    mine = (await stack.query(show_policy_approvals, asked, actor="bob", role="manager")).json["your_word"]
    assert mine == {"refused": "", "on_behalf_of": []}
    assert (await say_of(stack, digest, "bob")).json["pending"] == []
    again = await say_of(stack, digest, "bob")
    mine = (await stack.query(show_policy_approvals, asked, actor="bob", role="manager")).json["your_word"]
    assert (again.status, again.json["detail"]) == (409, mine["refused"])
    own = await stack.command(publish_policy, {"gate": "release", "content": TEXT, "reason": "x"}, actor="bob")
    assert own.status == 409, "who publishes it does not approve it"
    body = {"gate": "release", "content": f"{TEXT}# edited\n", "reason": "x"}
    assert (await stack.command(publish_policy, body, actor="owner")).status == 409, "an edit after the approval"
    done = await stack.command(publish_policy, {"gate": "release", "content": TEXT, "reason": "x"}, actor="owner")
    assert done.status == 200, done
    again = await stack.query(show_policy_approvals, {"gate": "release", "digest": digest})
    assert "the policy changed after it" in again.json["approvals"][0]["void"], "it was for what came after the first"


async def test_over_http_the_edge_says_which_role_the_caller_has(stack: Stack) -> None:
    http = await Http(stack).open()
    await http.stack.start(make_service(packaged_policies()))
    bob, vera = await http.user("bob", "manager"), await http.user("vera", "viewer")
    ends_at = (http.stack.clock() + timedelta(days=5)).isoformat()
    body = {"to_user": "eve", "ends_at": ends_at, "reason": "on leave"}
    given = await bob.post("/api/delegations", json=body)
    assert (given.status_code, given.json()["role"]) == (201, "manager"), given.text
    assert (await bob.post("/api/delegations", json=body | {"caller_role": "owner"})).status_code == 422
    assert (await vera.post("/api/delegations", json=body)).status_code == 403
    said = {**APP, "evidence_sha256": "0" * 64, "reason": "x"}
    late = await bob.post("/api/gates/release/approvals", json={k: v for k, v in said.items() if k != "gate"})
    assert (late.status_code, "wants no approvals" in late.json()["detail"]) == (409, True)
    forged = {k: v for k, v in said.items() if k != "gate"} | {"caller_role": "owner"}
    assert (await bob.post("/api/gates/release/approvals", json=forged)).status_code == 422
    asked = await vera.get("/api/gates/release/approvals", params={"subject": "app", "version": "1.0"})
    assert "wants no approvals" in asked.json()["your_word"]["refused"], "the edge said that somebody asked"
    await http.close()
