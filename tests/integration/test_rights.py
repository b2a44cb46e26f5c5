"""`GET /api/permissions/check`: yes or no and why, as the edge would decide, and nothing that is not one's business."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.contract.test_sweep import CASES, Case
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
CHECK = "/api/permissions/check"
OPERATIONS = {case.operation.name: case for case in CASES}


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge with the sites plant-a and plant-b."""
    edge = await Http(stack).open()
    for site in ("plant-a", "plant-b"):
        await edge.site(site)
    yield edge
    await edge.close()


async def check(client: httpx2.AsyncClient, permission: str, **more: str) -> Any:
    answer = await client.get(CHECK, params={"permission": permission, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def narrow(client: httpx2.AsyncClient, **bounds: Any) -> str:
    answer = await client.post("/api/tokens", json={"label": "narrow", **bounds})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


@pytest.mark.whole
async def test_what_it_says_is_what_the_edge_does(http: Http) -> None:
    ann = await http.user("ann", "operator", ["plant-a"])
    await http.client.post("/api/accounts", json={"name": "ci", "role": "manager", "purpose": "x", "owner": "ann"})
    bounds = {"permissions": ["gate:run", "signal:write", "token:write", "remediation:read"]}
    callers = {
        "an operator": ann,
        "an account of more than its owner may": http.of(await narrow(ann, username="account:ci", **bounds)),
        "a token for operations": http.of(await narrow(http.client, permissions=["policy:write", "gate:read"])),
        "a token for subjects": http.of(await narrow(http.client, subjects=["app"])),
        "a token for a site": http.of(await narrow(http.client, sites=["plant-b"])),
    }
    for who, client in callers.items():
        said = await asyncio.gather(*(_ask(client, name) for name in OPERATIONS))
        done = await asyncio.gather(*(_try(client, case) for case in OPERATIONS.values()))
        for (name, case), told, answer in zip(OPERATIONS.items(), said, done, strict=True):
            allowed = told.json()["allowed"]
            if allowed:
                assert answer.status_code != 403, (who, name, told.text, answer.text)
            elif who == "a token for subjects":  # that a body names none is seen where the body is whole
                assert answer.status_code in (403, 422, 400, 415), (who, name, told.text)
            else:
                hidden = case.operation.sited and case.operation.http and case.operation.http.names_object
                assert answer.status_code in ((403, 404) if hidden else (403,)), (who, name, told.text, answer.text)
        verdicts = {told.json()["allowed"] for told in said}
        assert verdicts == {True, False}, who


async def _ask(client: httpx2.AsyncClient, name: str) -> httpx2.Response:
    return await client.get(CHECK, params={"permission": name, "site": "plant-a"})


async def _try(client: httpx2.AsyncClient, case: Case) -> httpx2.Response:
    params = {"site": "plant-a"} if case.operation.sited else {}
    return await case.ask(client, case.filled("999999"), params=params)


async def test_it_says_why(http: Http) -> None:
    ann = await http.user("ann", "operator", ["plant-a"])
    me = (await ann.get("/api/me")).json()
    yes = await check(ann, "governance.gate.run", site="plant-a", subject="app")
    assert (yes["allowed"], yes["permission"], yes["operation"]) == (True, "gate:run", "governance.gate.run")
    assert (yes["username"], yes["token_id"], yes["site"]) == ("ann", me["token_id"], "plant-a")
    assert yes["because"] == "ann is operator, which holds gate:run."
    assert [one["by"] for one in yes["reasons"]] == ["role", "site"]
    no = await check(ann, "policy:write", site="plant-a")
    assert no["because"] == "ann is operator, which does not hold policy:write; manager, owner would."
    elsewhere = await check(ann, "gate:run")
    assert (elsewhere["allowed"], elsewhere["site"]) == (False, "global")
    assert elsewhere["because"] == "The scope of ann (plant-a) does not hold global."
    bound = http.of(await narrow(ann, permissions=["gate:read"], subjects=["app-*"]))
    assert (await check(bound, "gate:run", site="plant-a"))["because"] == "The token is bound to gate:read."
    unnamed = await check(bound, "gate:read", site="plant-a")
    assert unnamed["because"] == "The token is bound to the subjects app-*; name the one that it is about."
    assert (await check(bound, "gate:read", site="plant-a", subject="app-1"))["allowed"]
    assert "and not to web" in (await check(bound, "gate:read", site="plant-a", subject="web"))["because"]
    lesser = http.of(await narrow(http.client, sites=["plant-a"]))
    whole = await check(lesser, "identity:write")
    assert (whole["allowed"], whole["site"], whole["reasons"][-1]["by"]) == (False, None, "site")
    assert whole["because"].startswith("The scope of the token (plant-a) does not hold all sites (*), which this takes")


async def test_accounts_are_judged_with_who_answers_for_them(http: Http) -> None:
    ann = await http.user("ann", "viewer", ["plant-a"])
    await http.client.post("/api/accounts", json={"name": "ci", "role": "manager", "purpose": "x", "owner": "ann"})
    asked = {"username": "account:ci", "site": "plant-a"}
    no = await check(ann, "gate:run", **asked)
    assert (no["allowed"], no["because"]) == (False, "ann, who answers for it, may not, and an account never may more.")
    person = await check(ann, "gate:approve", **asked)
    assert person["because"] == "No account may gate:approve: that takes a person."
    assert not (await check(ann, "gate:read", **asked))["allowed"], "it has the site global, ann has not"
    await http.client.patch("/api/accounts/ci", json={"sites": ["*"]})
    told = await check(ann, "gate:read", **asked)
    assert (told["allowed"], told["token_id"]) == (True, None)
    await http.client.patch("/api/users/ann", json={"active": False})
    assert "not active" in (await check(http.client, "gate:read", **asked))["because"]


async def test_it_tells_nothing_that_one_may_not_know(http: Http) -> None:
    ann = await http.user("ann", "operator", ["plant-a"])
    mia = await http.user("mia", "manager", ["plant-a", "plant-b"])
    await http.user("wide", "viewer", ["*"])
    for who in ("mia", "ghost", "account:ghost"):
        answer = await ann.get(CHECK, params={"permission": "gate:read", "username": who})
        told = answer.json()
        assert (answer.status_code, told["detail"]) == (
            403,
            "You may ask about yourself and your accounts only; leave username out.",
        )
    # Whether there is a site that is not one's own, nobody is told.
    foreign = [await check(ann, "gate:read", site=site) for site in ("plant-b", "nowhere")]
    assert {one["because"].replace(one["site"], "X") for one in foreign} == {
        "The scope of ann (plant-a) does not hold X."
    }
    assert (await check(mia, "gate:run", username="ann", site="plant-a"))["allowed"]
    away = await check(mia, "gate:run", username="ann", site="plant-b")
    assert (away["allowed"], away["because"]) == (False, "The scope of ann (plant-a) does not hold plant-b.")
    lesser = http.of(await narrow(mia, sites=["plant-b"]))
    assert (await check(lesser, "gate:run", username="ann", site="plant-b"))["because"] == (
        "The scope of ann (no site of yours) does not hold plant-b."
    )
    assert (await check(lesser, "gate:read", username="wide", site="plant-b"))["reasons"][-1]["text"] == (
        "The scope (plant-b) holds plant-b."
    )
    for params in ({"site": "plant-a"}, {}):
        answer = await lesser.get(CHECK, params={"permission": "gate:run", "username": "ann", **params})
        assert (answer.status_code, "not in your scope" in answer.json()["detail"]) == (403, True)
    narrowed = http.of(await narrow(mia, permissions=["gate:read"]))
    answer = await narrowed.get(CHECK, params={"permission": "gate:read", "username": "ann", "site": "plant-a"})
    assert answer.status_code == 403, "the token is not bound to identity:read"


async def test_what_there_is_not_is_refused_with_what_is_near(http: Http) -> None:
    for permission, hint in (
        ("gate:runn", "do you mean gate:run"),
        ("governance.gate.rum", "headgate operations"),
        ("governance.gate.decided", "headgate operations"),
        ("zzz", "permissions.md"),
    ):
        answer = await http.client.get(CHECK, params={"permission": permission})
        assert (answer.status_code, hint in answer.json()["detail"]) == (422, True), answer.text
    for params in ({"permission": "gate:run", "site": "nowhere"}, {"permission": "gate:run", "username": "ghost"}):
        assert (await http.client.get(CHECK, params=params)).status_code == 404
    assert (await http.client.get(CHECK)).status_code == 422
