"""Roles of the installation's own: made of what one holds oneself, in force everywhere at once, never pulled away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.gateway.roles import role_changed, role_created, role_removed
from libs.common.contracts.gateway.users import user_changed
from libs.common.contracts.roles import ROLES
from tests.http_edge import Http
from tests.integration.bus_guest import until
from tests.stack import Stack

pytestmark = pytest.mark.integration
LEAD = {"role": "release-lead", "permissions": ["gate:read", "gate:run", "token:write"], "purpose": "leads releases"}


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge with the role release-lead."""
    edge = await Http(stack).open()
    answer = await edge.client.post("/api/roles", json=LEAD)
    assert answer.status_code == 201, answer.text
    yield edge
    await edge.close()


async def may(client: httpx2.AsyncClient) -> Any:
    return (await client.get("/api/me")).json().get("permissions")


async def test_a_role_counts_at_once_on_every_gateway(http: Http) -> None:
    created = await http.stack.heard(role_created)
    assert (created.subject, created.data["permissions"], created.actor) == (LEAD["role"], LEAD["permissions"], "owner")
    other = await Http(http.stack).open()
    try:
        ann = await http.user("ann", "release-lead")
        there = other.of(ann.headers["authorization"].removeprefix("Bearer "))
        assert await may(ann) == await may(there) == ["gate:read", "gate:run", "me:read", "token:write"]
        assert (await ann.get("/api/users")).status_code == 403
        said = (await ann.get("/api/permissions/check", params={"permission": "gate:run"})).json()
        assert (said["allowed"], said["because"]) == (True, "ann is release-lead, which holds gate:run.")
        body = {"permissions": ["gate:read", "identity:read"]}
        changed = await http.client.patch("/api/roles/release-lead", json=body)
        assert (changed.status_code, changed.json()["user_count"]) == (200, 1)

        async def both() -> bool:
            return [(await client.get("/api/users")).status_code for client in (ann, there)] == [200, 200]

        await until("the new permissions", both)
        assert await may(there) == ["gate:read", "identity:read", "me:read"]
        told = (await http.stack.heard(role_changed)).data["changes"]
        assert told == [
            {"field": "permissions", "before": LEAD["permissions"], "after": body["permissions"], "masked": False}
        ]
        of_ann = (await http.stack.heard(user_changed)).data
        assert (of_ann["username"], of_ann["own_permissions"], of_ann["revision"]) == ("ann", body["permissions"], 2)
        assert [change["field"] for change in of_ann["changes"]] == ["own_permissions"]
    finally:
        await other.close()


async def test_nobody_gives_what_they_lack(http: Http) -> None:
    bound = ["identity:write", "identity:read", "gate:read", "gate:run", "token:write"]
    answer = await http.client.post("/api/tokens", json={"label": "narrow", "permissions": bound})
    narrow = http.of(answer.json()["token"])
    wider = LEAD | {"role": "wider", "permissions": ["gate:read", "policy:write"]}
    for refused in (
        await narrow.post("/api/roles", json=wider),
        await narrow.patch("/api/roles/release-lead", json={"permissions": wider["permissions"]}),
    ):
        assert (refused.status_code, refused.json()["permissions"]) == (403, ["policy:write"])
    assert (await http.client.post("/api/roles", json=wider)).status_code == 201
    for refused in (
        await narrow.patch("/api/roles/wider", json={"permissions": ["gate:read"]}),
        await narrow.delete("/api/roles/wider"),
    ):
        assert refused.status_code == 403, "it holds more than who would change it"
    assert (await narrow.patch("/api/roles/release-lead", json={"purpose": "other"})).status_code == 200
    for role in ("manager", "auditor"):
        client = await http.user(f"the-{role}", role)
        assert (await client.post("/api/roles", json=wider)).status_code == 403
    answer = await http.client.post("/api/tokens", json={"label": "narrow", "sites": ["global"]})
    assert (await http.of(answer.json()["token"]).post("/api/roles", json=wider)).status_code == 403, (
        "it takes all sites"
    )


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"permissions": ["identity:write"]}, 422, "stays with owners"),
        ({"permissions": ["gate:fly"]}, 422, "no permission gate:fly"),
        ({"permissions": []}, 422, "permissions"),
        ({"role": "owner"}, 409, "of Headgate's own"),
        ({"role": "link"}, 409, "of Headgate's own"),
        ({"role": "release-lead"}, 409, "There is or was a role"),
        ({"role": "A b"}, 422, "role"),
        ({"purpose": ""}, 422, "purpose"),
    ],
)
async def test_what_is_no_role_is_refused(http: Http, more: dict[str, Any], status: int, says: str) -> None:
    answer = await http.client.post("/api/roles", json=LEAD | {"role": "new"} | more)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text


async def test_a_role_that_somebody_has_stays(http: Http) -> None:
    await http.user("ann", "release-lead")
    refused = await http.client.delete("/api/roles/release-lead")
    assert (refused.status_code, refused.json()["usernames"]) == (409, ["ann"])
    assert "is held by ann" in refused.json()["detail"]
    listed = {one["role"]: one for one in (await http.client.get("/api/roles")).json()}
    assert set(listed) == {*ROLES, "release-lead"}
    assert (listed["release-lead"]["user_count"], listed["release-lead"]["built_in"]) == (1, False)
    assert listed["manager"]["permissions"] == sorted(ROLES["manager"])
    assert (await http.client.get("/api/roles/release-lead")).json() == listed["release-lead"]
    changed = (await http.client.patch("/api/users/ann", json={"role": "viewer"})).json()
    assert (changed["role"], changed["own_permissions"]) == ("viewer", None)
    assert (await http.client.delete("/api/roles/release-lead")).status_code == 200
    assert (await http.stack.heard(role_removed)).subject == "release-lead"
    for refused in (
        await http.client.patch("/api/users/ann", json={"role": "release-lead"}),
        await http.client.post("/api/users", json={"username": "bob", "role": "release-lead"}),
    ):
        assert (refused.status_code, "There is no role release-lead" in refused.json()["detail"]) == (422, True)
    assert (await http.client.post("/api/roles", json=LEAD)).status_code == 409, "names are not used twice"
    for path in ("release-lead", "none"):
        assert (await http.client.get(f"/api/roles/{path}")).status_code == 404
        assert (await http.client.delete(f"/api/roles/{path}")).status_code == 404
    assert (await http.client.delete("/api/roles/viewer")).status_code == 409


async def test_accounts_and_tokens_go_by_it(http: Http) -> None:
    ann = await http.user("ann", "release-lead")
    made = await ann.post("/api/tokens", json={"label": "x", "permissions": ["policy:write"]})
    assert (made.status_code, "The role release-lead does not hold" in made.json()["detail"]) == (422, True)
    account = {"name": "ci", "role": "operator", "purpose": "x", "owner": "ann", "sites": ["*"]}
    assert (await http.client.post("/api/accounts", json=account)).status_code == 201
    body = {"label": "x", "username": "account:ci", "permissions": ["gate:run", "signal:write"]}
    refused = await ann.post("/api/tokens", json=body)
    assert (refused.status_code, "signal:write" in refused.json()["detail"]) == (403, True)
    wide = http.of((await http.client.post("/api/tokens", json=body)).json()["token"])
    assert await may(wide) == ["gate:run", "me:read"], "no more than who answers for it"
    patched = await http.client.patch("/api/accounts/ci", json={"role": "release-lead"})
    assert patched.status_code == 422, "accounts have roles of the table"
