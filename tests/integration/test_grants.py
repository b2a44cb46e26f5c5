"""Roles until an instant: held at their sites only, not a moment longer, told before and at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.gateway.grants import grant_ended, grant_ending, grant_given
from libs.common.contracts.gateway.users import user_changed
from tests.http_edge import Http
from tests.integration.bus_guest import until
from tests.stack import Stack

pytestmark = pytest.mark.integration
RUN = {"permission": "gate:run"}


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge with the sites plant-a and plant-b."""
    edge = await Http(stack).open()
    for site in ("plant-a", "plant-b"):
        await edge.site(site)
    yield edge
    await edge.close()


def wanted(http: Http, username: str, /, **more: Any) -> dict[str, Any]:
    ends_at = (http.stack.clock() + timedelta(hours=8)).isoformat()
    return {
        "username": username, "role": "operator", "sites": ["plant-b"], "ends_at": ends_at, "reason": "stands in",
    } | more  # fmt: skip


async def give(http: Http, username: str, **more: Any) -> dict[str, Any]:
    answer = await http.client.post("/api/grants", json=wanted(http, username, **more))
    assert answer.status_code == 201, answer.text
    given: dict[str, Any] = answer.json()
    return given


async def runs(client: httpx2.AsyncClient, site: str) -> bool:
    """Whether the edge lets somebody send signals there; nobody answers, so what passes is 202."""
    answer = await client.post(
        "/api/ops/governance/gate/run", params={"site": site}, json={}, headers={"Prefer": "respond-async"}
    )
    assert answer.status_code in {202, 403, 422}, answer.text
    return answer.status_code != 403


async def test_it_counts_at_its_sites_until_its_end_on_every_gateway(http: Http) -> None:
    ann = await http.user("ann", "viewer", ["plant-a", "plant-b"])
    other = await Http(http.stack).open()
    try:
        there = other.of(ann.headers["authorization"].removeprefix("Bearer "))
        assert (await runs(ann, "plant-b"), await runs(there, "plant-b")) == (False, False)
        grant = await give(http, "ann")
        told = await http.stack.heard(grant_given)
        assert (told.actor, told.data["username"], told.data["role"]) == ("owner", "ann", "operator")
        changed = (await http.stack.heard(user_changed)).data
        assert (changed["username"], changed["role"]) == ("ann", "viewer"), "the user's own role is what it was"

        async def both() -> bool:
            return await runs(ann, "plant-b") and await runs(there, "plant-b")

        await until("the grant", both)
        assert not await runs(ann, "plant-a"), "an operator at plant-b is a viewer at plant-a"
        me = (await ann.get("/api/me")).json()
        assert (me["role"], me["sites"], "gate:run" in me["permissions"]) == ("viewer", ["plant-a", "plant-b"], False)
        (held,) = me["grants"]
        assert (held["source"], held["sites"]) == (f"grant {grant['grant_id']}", ["plant-b"])
        assert "gate:run" in held["permissions"]
        own, lent = me["powers"]
        assert (own["source"], own["role"], own["ends_at"]) == ("", "viewer", None)
        assert own["sites"] == ["plant-a", "plant-b"]
        assert ("gate:run" in own["permissions"], lent) == (False, held)
        http.stack.clock.advance(hours=8)
        # No job has come by, no memory was emptied: it is over all the same.
        assert (await runs(ann, "plant-b"), await runs(there, "plant-b")) == (False, False)
        left = (await ann.get("/api/me")).json()
        assert (left["grants"], left["powers"]) == ([], [own])
        assert (await http.client.get("/api/grants")).json() == []
        await http.stack.run_job("gateway", "grant_watch")
        ended = (await http.stack.heard(grant_ended)).data
        assert (ended["grant_id"], ended["ended_reason"]) == (grant["grant_id"], "over")
        assert "ended_at" in {change["field"] for change in ended["changes"]}
    finally:
        await other.close()


async def test_a_token_narrows_what_is_lent_too(http: Http) -> None:
    ann = await http.user("ann", "viewer", ["plant-a", "plant-b"])
    answers = [
        await ann.post("/api/tokens", json={"label": "x", **bound})
        for bound in ({"permissions": ["gate:read"]}, {"sites": ["plant-a"]}, {"sites": ["plant-b"]})
    ]
    reading, elsewhere, there = (http.of(answer.json()["token"]) for answer in answers)
    await give(http, "ann", sites=["*"])
    await until("the grant", lambda: runs(there, "plant-b"))
    assert not await runs(reading, "plant-b")
    assert (await runs(elsewhere, "plant-a"), await runs(elsewhere, "plant-b")) == (True, False)
    assert not await runs(there, "plant-a")
    powers = (await reading.get("/api/me")).json()["powers"]
    assert [one["permissions"] for one in powers] == [["gate:read", "me:read"]] * 2
    powers = (await there.get("/api/me")).json()["powers"]
    assert [(one["role"], one["sites"]) for one in powers] == [("viewer", ["plant-b"]), ("operator", ["plant-b"])]


async def test_it_is_told_before_it_ends_and_once(http: Http) -> None:
    await http.user("ann", "viewer")
    grant = await give(http, "ann")
    for _ in range(2):
        await http.stack.run_job("gateway", "grant_watch")
    http.stack.clock.advance(hours=6)
    for _ in range(2):
        await http.stack.run_job("gateway", "grant_watch")
    told = (await http.stack.heard(grant_ending)).data
    assert (told["grant_id"], told["ends_at"]) == (grant["grant_id"], grant["ends_at"])
    await http.stack.idle("gateway")
    await http.stack.bus.nats.flush()
    assert [one.type for one in http.stack.events].count(grant_ending.type) == 1
    assert grant_ended.type not in [one.type for one in http.stack.events]


async def test_it_is_ended_by_hand_and_says_by_which_grant(http: Http) -> None:
    ann = await http.user("ann", "viewer", ["plant-a", "plant-b"])
    grant = await give(http, "ann")
    path = f"/api/grants/{grant['grant_id']}"
    asked = RUN | {"site": "plant-b", "username": "ann"}
    said = (await http.client.get("/api/permissions/check", params=asked)).json()
    assert said["allowed"], said
    assert f"operator by grant {grant['grant_id']} until" in said["because"]
    said = (await http.client.get("/api/permissions/check", params=asked | {"site": "plant-a"})).json()
    assert (said["allowed"], said["reasons"][-1]["by"]) == (False, "site")
    assert (await http.client.delete(path)).json()["ended_reason"] == "asked"
    again = await http.client.delete(path)
    assert (again.status_code, "ended already" in again.json()["detail"]) == (409, True)
    assert (await http.client.delete("/api/grants/999")).status_code == 404

    async def gone() -> bool:
        return not await runs(ann, "plant-b")

    await until("the end", gone)
    (listed,) = (await http.client.get("/api/grants", params={"username": "ann", "live_only": "false"})).json()
    assert (listed["ended_by"], listed["reason"]) == ("owner", "stands in")


async def test_a_session_holds_it_no_longer(http: Http) -> None:
    ann = await http.user("ann", "viewer", ["plant-a", "plant-b"])
    opened = await ann.post("/api/sessions")
    cookie = opened.headers["Set-Cookie"].partition(";")[0]
    session = http.of(None, Cookie=cookie, **{"X-CSRF-Token": opened.json()["csrf_token"]})
    grant = wanted(http, "ann", ends_at=(http.stack.clock() + timedelta(minutes=5)).isoformat())
    assert (await http.client.post("/api/grants", json=grant)).status_code == 201
    await until("the grant", lambda: runs(session, "plant-b"))
    http.stack.clock.advance(minutes=5)
    assert not await runs(session, "plant-b")


async def test_nobody_lends_what_they_lack(http: Http) -> None:
    mia = await http.user("mia", "manager", ["plant-a"])
    await http.user("ann", "viewer", ["plant-a"])
    await http.user("bob", "viewer", ["plant-b"])
    await http.user("cem", "commander", ["plant-a"])
    here = wanted(http, "ann", sites=["plant-a"])
    made = await mia.post("/api/grants", json=here)
    assert made.status_code == 201, made.text
    lent = await give(http, "ann", role="manager")
    for refused, says in (
        (await mia.post("/api/grants", json=here | {"sites": ["plant-b"]}), "reaches plant-b"),
        (await mia.post("/api/grants", json=here | {"role": "manager"}), "holds as much as you"),
        (await mia.post("/api/grants", json=here | {"role": "commander"}), "gate:override"),
        (await mia.post("/api/grants", json=here | {"username": "bob"}), "reaches plant-b"),
        (await mia.post("/api/grants", json=here | {"username": "cem"}), "gate:override"),
        (await mia.post("/api/grants", json=here | {"username": "mia"}), "holds as much as you"),
        (await mia.delete(f"/api/grants/{lent['grant_id']}"), "reaches plant-b"),
    ):
        assert (refused.status_code, says in refused.json()["detail"]) == (403, True), refused.text
    # A manager for a while administers for that while, there, and no further.
    ann = http.of((await http.client.post("/api/tokens", json={"username": "ann", "label": "x"})).json()["token"])
    new = {"username": "new", "role": "viewer", "sites": ["plant-b"]}
    assert (await ann.post("/api/users", json=new)).status_code == 201
    refused = await ann.post("/api/users", json=new | {"username": "newer", "sites": ["plant-a"]})
    assert (refused.status_code, "reaches plant-a" in refused.json()["detail"]) == (403, True), refused.text
    assert (await mia.delete(f"/api/grants/{made.json()['grant_id']}")).status_code == 200


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"role": "owner"}, 422, "not given for a while"),
        ({"role": "keeper"}, 422, "not given for a while"),
        ({"role": "nothing"}, 422, "There is no role"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, 422, "in the future"),
        ({"ends_at": "2100-01-01T00:00:00Z"}, 422, "at most 90 days"),
        ({"sites": ["nowhere"]}, 422, "nowhere"),
        ({"sites": []}, 422, "sites"),
        ({"username": "nobody"}, 404, "There is no user"),
    ],
)
async def test_what_is_no_grant_is_refused(http: Http, more: dict[str, Any], status: int, says: str) -> None:
    await http.user("ann", "viewer")
    answer = await http.client.post("/api/grants", json=wanted(http, "ann", **more))
    assert (answer.status_code, says in answer.text) == (status, True), answer.text


async def test_a_role_that_is_lent_stays(http: Http) -> None:
    lead = {"role": "lead", "permissions": ["gate:read", "gate:run"], "purpose": "x"}
    assert (await http.client.post("/api/roles", json=lead)).status_code == 201
    ann = await http.user("ann", "viewer", ["plant-b"])
    grant = await give(http, "ann", role="lead")
    await until("the grant", lambda: runs(ann, "plant-b"))
    refused = await http.client.delete("/api/roles/lead")
    assert (refused.status_code, "held by 1 grants" in refused.json()["detail"]) == (409, True)
    assert (await http.client.delete(f"/api/grants/{grant['grant_id']}")).status_code == 200
    assert (await http.client.delete("/api/roles/lead")).status_code == 200
