"""Teams: what members hold adds up with their own, at once on every gateway, and nobody gives more than they hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from libs.common.contracts.gateway.teams import team_changed, team_created, team_removed
from libs.common.contracts.gateway.users import user_changed
from tests.http_edge import Http
from tests.integration.bus_guest import until
from tests.integration.test_grants import give, runs
from tests.stack import Stack

pytestmark = pytest.mark.integration
OPS = {
    "team": "ops", "purpose": "runs plant-b", "members": ["ann"],
    "roles": [{"role": "operator", "sites": ["plant-b"]}, {"role": "auditor", "sites": ["plant-a"]}],
}  # fmt: skip


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge with the sites plant-a and plant-b."""
    edge = await Http(stack).open()
    for site in ("plant-a", "plant-b"):
        await edge.site(site)
    yield edge
    await edge.close()


async def make(http: Http, **more: Any) -> dict[str, Any]:
    answer = await http.client.post("/api/teams", json=OPS | more)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_membership_counts_at_once_on_every_gateway(http: Http) -> None:
    ann = await http.user("ann", "viewer", ["plant-a", "plant-b"])
    await http.user("bob", "viewer", ["plant-a"])
    other = await Http(http.stack).open()
    try:
        there = other.of(ann.headers["authorization"].removeprefix("Bearer "))

        async def both(says: bool) -> bool:
            return [await runs(client, "plant-b") for client in (ann, there)] == [says, says]

        assert await both(False)
        made = await make(http)
        assert (made["members"], made["revision"]) == (["ann"], 1)
        assert (await http.stack.heard(team_created)).data["roles"] == made["roles"]
        assert (await http.stack.heard(user_changed)).data["username"] == "ann"
        await until("the team", lambda: both(True))
        assert not await runs(ann, "plant-a"), "each role counts at its own sites"
        held = {(one["source"], one["role"]) for one in (await ann.get("/api/me")).json()["grants"]}
        assert held == {("team ops", "operator"), ("team ops", "auditor")}
        asked = {"permission": "gate:run", "site": "plant-b", "username": "ann"}
        said = (await http.client.get("/api/permissions/check", params=asked)).json()
        assert (said["allowed"], said["because"]) == (True, "ann is operator by team ops, which holds gate:run.")
        # Own, team's and lent add up; what the team gives goes with the membership.
        lent = await give(http, "ann", sites=["plant-a"])
        await until("the grant", lambda: runs(ann, "plant-a"))
        changed = (await http.client.patch("/api/teams/ops", json={"members": ["bob"]})).json()
        assert (changed["members"], changed["revision"]) == (["bob"], 2)
        told = (await http.stack.heard(team_changed)).data["changes"]
        assert told == [{"field": "members", "before": ["ann"], "after": ["bob"], "masked": False}]
        await until("the end", lambda: both(False))
        assert await runs(ann, "plant-a")
        assert (await http.client.delete(f"/api/grants/{lent['grant_id']}")).status_code == 200
    finally:
        await other.close()


async def test_a_teams_roles_change_for_all_and_end_with_it(http: Http) -> None:
    lead = {"role": "lead", "permissions": ["gate:read", "gate:run"], "purpose": "x"}
    assert (await http.client.post("/api/roles", json=lead)).status_code == 201
    ann = await http.user("ann", "viewer", ["plant-a", "plant-b"])
    await make(http, roles=[])
    assert not await runs(ann, "plant-b")
    roles = [{"role": "lead", "sites": ["plant-b", "plant-b"]}]
    changed = await http.client.patch("/api/teams/ops", json={"roles": roles, "purpose": "leads"})
    assert changed.json()["roles"] == [{"role": "lead", "sites": ["plant-b"]}], changed.text
    await until("the role", lambda: runs(ann, "plant-b"))
    refused = await http.client.delete("/api/roles/lead")
    assert (refused.status_code, "the teams ops" in refused.json()["detail"]) == (409, True)
    (listed,) = (await http.client.get("/api/teams")).json()
    assert listed == (await http.client.get("/api/teams/ops")).json()
    assert (await http.client.delete("/api/teams/ops")).status_code == 200
    assert (await http.stack.heard(team_removed)).subject == "ops"

    async def gone() -> bool:
        return not await runs(ann, "plant-b")

    await until("the end", gone)
    assert (await http.client.delete("/api/roles/lead")).status_code == 200
    for answer in (
        await http.client.get("/api/teams/ops"),
        await http.client.patch("/api/teams/ops", json={"purpose": "x"}),
        await http.client.delete("/api/teams/ops"),
    ):
        assert answer.status_code == 404
    assert (await http.client.post("/api/teams", json=OPS)).status_code == 409, "names are not used twice"


async def test_nobody_makes_a_team_that_holds_more(http: Http) -> None:
    mia = await http.user("mia", "manager", ["plant-a"])
    for name, role, site in (("ann", "viewer", "a"), ("cem", "commander", "a"), ("dan", "viewer", "b")):
        await http.user(name, role, [f"plant-{site}"])
    mine = {"team": "mine", "purpose": "x", "members": ["ann"], "roles": [{"role": "operator", "sites": ["plant-a"]}]}
    assert (await mia.post("/api/teams", json=mine)).status_code == 201
    await make(http, members=[], roles=OPS["roles"][:1])
    other = mine | {"team": "other"}
    for refused, says in (
        (await mia.post("/api/teams", json=other | {"roles": [{"role": "operator", "sites": ["*"]}]}), "all sites"),
        (await mia.post("/api/teams", json=other | {"roles": [{"role": "manager", "sites": ["plant-a"]}]}), "as much"),
        (await mia.post("/api/teams", json=other | {"roles": [{"role": "auditor", "sites": ["plant-a"]}]}), "personal"),
        (await mia.post("/api/teams", json=other | {"members": ["cem"]}), "gate:override"),
        (await mia.post("/api/teams", json=other | {"members": ["mia"]}), "as much as you"),
        (await mia.patch("/api/teams/mine", json={"members": ["ann", "dan"]}), "reaches plant-b"),
        (await mia.patch("/api/teams/ops", json={"members": ["ann"]}), "reaches plant-b"),
        (await mia.patch("/api/teams/ops", json={"roles": []}), "reaches plant-b"),
        (await mia.delete("/api/teams/ops"), "reaches plant-b"),
    ):
        assert (refused.status_code, says in refused.json()["detail"]) == (403, True), refused.text
    assert (await mia.patch("/api/teams/mine", json={"members": []})).status_code == 200
    assert (await mia.delete("/api/teams/mine")).status_code == 200


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"roles": [{"role": "owner", "sites": ["*"]}]}, 422, "not held by a team"),
        ({"roles": [{"role": "nothing", "sites": ["*"]}]}, 422, "There is no role"),
        ({"roles": [{"role": "viewer", "sites": ["nowhere"]}]}, 422, "nowhere"),
        ({"roles": [{"role": "viewer", "sites": ["*"]}, {"role": "viewer", "sites": ["global"]}]}, 422, "twice"),
        ({"members": ["nobody"]}, 404, "There is no user nobody"),
        ({"members": ["gone"]}, 409, "is not active"),
        ({"team": "A b"}, 422, "team"),
    ],
)
async def test_what_is_no_team_is_refused(http: Http, more: dict[str, Any], status: int, says: str) -> None:
    for name in ("ann", "gone"):
        await http.user(name, "viewer")
    assert (await http.client.patch("/api/users/gone", json={"active": False})).status_code == 200
    answer = await http.client.post("/api/teams", json=OPS | more)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text
