"""Nobody gives what they don't hold, nor changes who holds more; the last owner stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.roles import ROLES
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
PROVIDER = {"name": "acme", "issuer": "https://login.example.com", "client_id": "headgate"}
ISSUER = {"name": "github", "issuer": "https://ci.example.com", "audience": "headgate"}


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge with the site plant-a."""
    edge = await Http(stack).open()
    await edge.site("plant-a")
    yield edge
    await edge.close()


async def bound(http: Http, *permissions: str) -> httpx2.AsyncClient:
    """The owner with a token that is bound to these and to what a viewer may."""
    body = {"label": "bound", "permissions": ["identity:write", "user:write", *permissions]}
    answer = await http.client.post("/api/tokens", json=body)
    assert answer.status_code == 201, answer.text
    return http.of(answer.json()["token"])


def sign_in(role: str, sites: list[str] | None = None) -> dict[str, Any]:
    rule = {"name": "all", "provider": "acme", "claims": {"groups": ["staff"]}, "role": role, "sites": sites or ["*"]}
    return {"content": {"providers": [PROVIDER], "rules": [rule]}, "reason": "people sign in"}


def federation(*permissions: str) -> dict[str, Any]:
    rule = {
        "name": "shop",
        "issuer": "github",
        "claims": {"ref": ["main"]},
        "account": "ci",
        "permissions": permissions,
    }
    return {"content": {"issuers": [ISSUER], "rules": [rule]}, "reason": "jobs come in"}


async def test_a_token_for_identity_alone_gives_nothing(http: Http) -> None:
    await http.user("ann", "viewer")
    narrow = await bound(http)
    account = {"name": "ci", "role": "operator", "purpose": "x"}
    for refused in (
        await narrow.post("/api/users", json={"username": "mallory", "role": "owner", "sites": ["*"]}),
        await narrow.post("/api/users", json={"username": "mallory", "role": "viewer"}),
        await narrow.patch("/api/users/ann", json={"role": "owner"}),
        await narrow.patch("/api/users/owner", json={"display_name": "nobody"}),
        await narrow.patch("/api/users/ann", json={"active": False}),
        await narrow.post("/api/accounts", json=account),
        await narrow.put("/api/admin/sign-in", json=sign_in("owner")),
        await narrow.put("/api/admin/federation", json=federation("signal:write")),
    ):
        assert (refused.status_code, refused.json()["permissions"] != []) == (403, True), refused.text
    users = {one["username"]: one for one in (await http.client.get("/api/users")).json()}
    assert set(users) == {"owner", "ann"}
    assert (users["ann"]["role"], users["ann"]["active"], users["owner"]["active"]) == ("viewer", True, True)
    assert (await http.client.get("/api/admin/sign-in")).json()["version"] == 0


async def test_a_bound_token_gives_what_it_holds(http: Http) -> None:
    narrow = await bound(http, *ROLES["viewer"], "signal:write")
    made = await narrow.post("/api/users", json={"username": "ann", "role": "viewer", "sites": ["plant-a"]})
    assert made.status_code == 201, made.text
    assert (await narrow.patch("/api/users/ann", json={"sites": ["global"]})).status_code == 200
    assert (await narrow.put("/api/admin/sign-in", json=sign_in("viewer"))).status_code == 200
    assert (await narrow.put("/api/admin/federation", json=federation("signal:write"))).status_code == 200
    refused = await narrow.patch("/api/users/ann", json={"role": "auditor"})
    assert refused.status_code == 403
    assert refused.json()["permissions"] == sorted(ROLES["auditor"] - ROLES["viewer"])
    # Whoever holds more is out of reach, whatever is done to them: also being stopped.
    assert (await http.client.patch("/api/users/ann", json={"role": "auditor"})).status_code == 200
    for body in ({"active": False}, {"role": "viewer"}, {"display_name": "x"}):
        refused = await narrow.patch("/api/users/ann", json=body)
        assert (refused.status_code, "You can't change ann" in refused.json()["detail"]) == (403, True), refused.text


async def test_managers_administer_below_and_within_their_sites(http: Http) -> None:
    await http.site("plant-b")
    mia = await http.user("mia", "manager", ["plant-a", "global"])
    made = await mia.post("/api/users", json={"username": "ann", "role": "operator", "sites": ["plant-a"]})
    assert made.status_code == 201, made.text
    assert (await mia.patch("/api/users/ann", json={"role": "viewer", "sites": ["global"]})).status_code == 200
    assert (await mia.patch("/api/users/ann", json={"active": False})).status_code == 200
    await http.user("bob", "manager", ["plant-a"])
    await http.user("cem", "viewer", ["plant-a", "plant-b"])
    lead = {"role": "lead", "permissions": sorted(ROLES["manager"]), "purpose": "x"}
    assert (await http.client.post("/api/roles", json=lead)).status_code == 201
    new = {"username": "new", "role": "viewer", "sites": ["plant-a"]}
    for refused, says in (
        (await mia.post("/api/users", json=new | {"sites": ["plant-b"]}), "reaches plant-b"),
        (await mia.post("/api/users", json=new | {"sites": ["*"]}), "reaches all sites"),
        (await mia.post("/api/users", json=new | {"role": "owner"}), "identity:write"),
        (await mia.post("/api/users", json=new | {"role": "commander"}), "gate:override"),
        (await mia.post("/api/users", json=new | {"role": "manager"}), "holds as much as you"),
        (await mia.post("/api/users", json=new | {"role": "lead"}), "holds as much as you"),
        (await mia.patch("/api/users/ann", json={"role": "manager"}), "holds as much as you"),
        (await mia.patch("/api/users/ann", json={"role": "auditor"}), "personal:read"),
        (await mia.patch("/api/users/bob", json={"active": False}), "holds as much as you"),
        (await mia.patch("/api/users/mia", json={"sites": ["plant-a"]}), "holds as much as you"),
        (await mia.patch("/api/users/cem", json={"sites": ["plant-a"]}), "reaches plant-b"),
        (await mia.patch("/api/users/owner", json={"active": False}), "identity:write"),
        (await mia.post("/api/tokens", json={"label": "x", "username": "cem"}), "ask an owner"),
        (await mia.post("/api/roles", json=lead | {"role": "other"}), "identity:write"),
    ):
        assert (refused.status_code, says in refused.json()["detail"]) == (403, True), refused.text
    said = (await mia.get("/api/permissions/check", params={"permission": "gateway.user.create"})).json()
    assert (said["allowed"], said["site"]) == (True, None)


async def test_managers_end_sessions_of_those_below_them(http: Http) -> None:
    await http.site("plant-b")
    mia = await http.user("mia", "manager", ["plant-a", "global"])
    ann = await http.user("ann", "operator", ["plant-a"])
    bob = await http.user("bob", "manager", ["plant-a"])
    cem = await http.user("cem", "viewer", ["plant-b"])
    numbers = {}
    for name, client in (("ann", ann), ("bob", bob), ("cem", cem), ("owner", http.client)):
        answer = await client.post("/api/sessions")
        assert answer.status_code == 201, answer.text
        numbers[name] = answer.json()["session_id"]
    for name, says in (("bob", "holds as much as you"), ("cem", "reaches plant-b"), ("owner", "identity:write")):
        for refused in (
            await mia.delete(f"/api/users/{name}/sessions/{numbers[name]}"),
            await mia.post(f"/api/users/{name}/sessions/revoke", json={}),
        ):
            assert (refused.status_code, says in refused.json()["detail"]) == (403, True), refused.text
    for client in (ann, cem):
        refused = await client.post("/api/users/ann/sessions/revoke", json={})
        assert (refused.status_code, refused.json()["permission"]) == (403, "user:write")
    assert (await mia.delete(f"/api/users/ann/sessions/{numbers['ann']}")).status_code == 200
    assert (await ann.post("/api/sessions")).status_code == 201
    ended = await mia.post("/api/users/ann/sessions/revoke", json={})
    assert (ended.status_code, len(ended.json()["session_ids"])) == (200, 1), ended.text
    # What was lent counts: then she is below no more.
    ends_at = (http.stack.clock() + timedelta(days=1)).isoformat()
    lent = {"username": "ann", "role": "commander", "sites": ["plant-a"], "ends_at": ends_at, "reason": "a shift"}
    assert (await http.client.post("/api/grants", json=lent)).status_code == 201
    refused = await mia.post("/api/users/ann/sessions/revoke", json={})
    assert (refused.status_code, "gate:override" in refused.json()["detail"]) == (403, True), refused.text


async def test_a_manager_is_not_two_people(http: Http) -> None:
    """Who lets a user in that one has made could ask as that one, and approve as oneself."""
    mia = await http.user("mia", "manager", ["*"])
    ghost = {"username": "ghost", "role": "operator", "sites": ["plant-a"]}
    assert (await mia.post("/api/users", json=ghost)).status_code == 201
    for refused, says in (
        (await mia.post("/api/users/ghost/password-code"), "identity:write"),
        (await mia.post("/api/tokens", json={"label": "x", "username": "ghost"}), "ask an owner"),
        (await mia.put("/api/admin/sign-in", json=sign_in("operator", ["plant-a"])), "identity:write"),
        (await mia.delete("/api/users/ghost/second-factor"), "identity:write"),
    ):
        assert (refused.status_code, says in refused.text) == (403, True), refused.text
    assert (await http.client.get("/api/passwords")).json() == []
    assert (await http.client.post("/api/users/ghost/password-code")).status_code == 201


async def test_an_old_version_of_rules_is_no_way_round(http: Http) -> None:
    for body, role in ((sign_in("owner"), "owner"), (sign_in("viewer"), "viewer")):
        assert (await http.client.put("/api/admin/sign-in", json=body)).status_code == 200, role
    narrow = await bound(http, *ROLES["viewer"])
    refused = await narrow.post("/api/admin/sign-in/rollback", json={"version": 1, "reason": "back"})
    assert (refused.status_code, "the role owner (rule all)" in refused.json()["detail"]) == (403, True), refused.text
    again = await narrow.post("/api/admin/sign-in/rollback", json={"version": 2, "reason": "again"})
    assert again.status_code == 200, again.text
    whole = await http.client.post("/api/admin/sign-in/rollback", json={"version": 1, "reason": "back"})
    assert whole.status_code == 200, whole.text


async def test_who_may_not_approve_says_of_nobody_that_they_may(http: Http, stack: Stack) -> None:
    await stack.start(make_service(packaged_policies()))
    body = {"content": {"groups": [{"name": "qa", "members": ["mallory"]}]}, "reason": "one of us"}
    reads = ROLES["viewer"] - {"token:write"}
    for held, lacking in (
        (set(), ["exception:approve", "gate:approve"]),
        ({"gate:approve"}, ["exception:approve"]),
        ({"exception:approve"}, ["gate:approve"]),
    ):
        narrow = await bound(http, *reads, *held)
        refused = await narrow.put("/api/groups", json=body)
        assert (refused.status_code, refused.json()["permissions"]) == (403, lacking), refused.text
    assert (await http.client.get("/api/groups")).json()["version"] == 0
    narrow = await bound(http, *reads, "gate:approve", "exception:approve")
    assert (await narrow.put("/api/groups", json=body)).status_code == 200
    back = {"version": 1, "reason": "as before"}
    refused = await (await bound(http, *reads)).post("/api/groups/rollback", json=back)
    assert (refused.status_code, refused.json()["permissions"]) == (403, ["exception:approve", "gate:approve"])
    # Those of the site global count wherever there are no others.
    here = await http.user("boss", "owner", ["global", "plant-a"])
    refused = await here.put("/api/groups", json=body)
    assert (refused.status_code, "?site=" in refused.json()["detail"]) == (403, True), refused.text
    assert (await here.put("/api/groups", json=body, params={"site": "plant-a"})).status_code == 200


async def test_rules_know_roles_of_the_installation(http: Http) -> None:
    lead = {"role": "release-lead", "permissions": ["gate:read", "policy:write"], "purpose": "leads releases"}
    assert (await http.client.post("/api/roles", json=lead)).status_code == 201
    narrow = await bound(http, *ROLES["viewer"])
    assert (await narrow.put("/api/admin/sign-in", json=sign_in("release-lead"))).status_code == 403
    for role, says in (("nothing", "There is no role nothing"), ("keeper", "keeper")):
        refused = await http.client.put("/api/admin/sign-in", json=sign_in(role))
        assert (refused.status_code, says in refused.text) == (422, True), refused.text
    assert (await http.client.put("/api/admin/sign-in", json=sign_in("release-lead"))).status_code == 200
    kept = await http.client.delete("/api/roles/release-lead")
    assert (kept.status_code, "by the sign-in rules all" in kept.json()["detail"]) == (409, True)
    assert (await http.client.put("/api/admin/sign-in", json=sign_in("viewer"))).status_code == 200
    assert (await http.client.delete("/api/roles/release-lead")).status_code == 200


async def test_one_owner_stays_of_many_that_go_at_once(http: Http) -> None:
    clients = [http.client] + [await http.user(f"boss-{number}", "owner") for number in range(5)]
    names = ["owner", *(f"boss-{number}" for number in range(5))]
    going = [{"active": False}, {"role": "viewer"}, {"sites": ["global"]}]
    # Each takes the next one's ownership away; who has lost it meanwhile can take none.
    answers = await asyncio.gather(
        *(
            client.patch(f"/api/users/{names[(place + 1) % len(names)]}", json=going[place % len(going)])
            for place, client in enumerate(clients)
        )
    )
    assert {answer.status_code for answer in answers} <= {200, 401, 403, 409}, [answer.text for answer in answers]
    rows = await http.running.pool.fetch("SELECT role, active, sites FROM users WHERE role = 'owner' AND active")
    assert [row for row in rows if row["sites"] == ["*"]], "somebody can still administer"
