"""Service accounts on real servers: narrow tokens, an owner who answers, and nothing that takes a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.gateway.accounts import AccountChanged, AccountTold, account_changed, account_created
from libs.common.contracts.gateway.tokens import token_revoked
from libs.common.contracts.roles import PEOPLE_ONLY, ROLES
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.http_edge import Http
from tests.integration.approvers import begin, word
from tests.integration.bus_guest import until
from tests.integration.test_token_narrowing import JUNIT, junit
from tests.stack import Stack

pytestmark = pytest.mark.integration
CI = {"name": "ci", "role": "operator", "sites": ["global"], "purpose": "pipelines of app"}


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge with the gates behind it."""
    await stack.start(make_service(packaged_policies()))
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def issue(client: httpx2.AsyncClient, **more: Any) -> httpx2.Response:
    body = {"username": "account:ci", "label": "main", "permissions": ["signal:write", "gate:read"], **more}
    return await client.post("/api/tokens", json=body)


async def account(http: Http, client: httpx2.AsyncClient | None = None, **more: Any) -> httpx2.AsyncClient:
    """An account with a token: a client that comes with it."""
    made = await http.client.post("/api/accounts", json=CI | more)
    assert made.status_code == 201, made.text
    answer = await issue(client or http.client)
    assert answer.status_code == 201, answer.text
    return http.of(answer.json()["token"])


async def test_an_account_tells_what_its_token_is_for_and_stands_in_the_log_by_its_name(http: Http) -> None:
    ann = await http.user("ann", "operator")
    client = await account(http, ann, owner="ann")
    me = (await client.get("/api/me")).json()
    assert (me["username"], me["owner"], me["role"], me["sites"]) == ("account:ci", "ann", "operator", ["global"])
    assert me["permissions"] == ["gate:read", "me:read", "signal:write"]
    assert await junit(client, subject="app") == 201
    facts = (await http.client.get("/api/facts", params={"subject": "app"})).json()["items"]
    assert {fact["actor"] for fact in facts} == {"account:ci"}
    assert (await client.get("/api/users")).status_code == 403
    told = await http.stack.heard(account_created)
    assert (told.subject, told.data["owner"], told.actor) == ("account:ci", "ann", "owner")
    await http.edge.identity.store_uses()
    shown = (await http.client.get("/api/accounts/ci")).json()
    assert (shown["live_token_count"], shown["orphaned"]) == (1, False)
    assert shown["last_used_at"]
    assert (await http.client.get("/api/accounts")).json() == [shown]
    assert (await ann.get("/api/accounts")).status_code == 403
    assert [one["username"] for one in (await ann.get("/api/tokens?username=account:ci")).json()] == ["account:ci"]


async def test_accounts_are_no_users(http: Http) -> None:
    await account(http)
    assert [one["username"] for one in (await http.client.get("/api/users")).json()] == ["owner"]
    assert (await http.client.get("/api/users/account:ci")).status_code in (404, 422)
    assert (await http.client.patch("/api/users/account:ci", json={"role": "owner"})).status_code in (404, 422)
    for wrong in (CI | {"role": "owner"}, CI | {"role": "commander"}, CI | {"name": "account:x"}, CI | {"purpose": ""}):
        assert (await http.client.post("/api/accounts", json=wrong)).status_code == 422
    twice = await http.client.post("/api/accounts", json=CI)
    assert (twice.status_code, "exists already" in twice.json()["detail"]) == (409, True)
    for owner in ("nobody", "ci"):
        other = await http.client.post("/api/accounts", json=CI | {"name": "two", "owner": owner})
        assert (other.status_code, owner in other.json()["detail"]) == (422, True)
    assert (await http.client.get("/api/accounts/none")).status_code == 404
    assert (await http.client.patch("/api/accounts/none", json={"active": False})).status_code == 404


async def test_its_tokens_name_operations_that_the_issuer_has_and_that_take_no_person(http: Http) -> None:
    viewer = await http.user("vic", "viewer")
    await account(http)
    other = await http.client.post("/api/accounts", json=CI | {"name": "other", "role": "manager", "owner": "vic"})
    assert other.status_code == 201, other.text
    unbound = await issue(http.client, permissions=None)
    assert (unbound.status_code, "give permissions" in unbound.json()["detail"]) == (422, True)
    for barred in sorted(PEOPLE_ONLY & ROLES["operator"]):
        answer = await issue(http.client, permissions=[barred])
        assert (answer.status_code, "takes a person" in answer.json()["detail"]) == (422, True), barred
    assert (await issue(viewer)).status_code == 403, "it is not vic's"
    mine = {"username": "account:other", "label": "x"}
    answer = await viewer.post("/api/tokens", json=mine | {"permissions": ["signal:write"]})
    assert (answer.status_code, "yourself" in answer.json()["detail"]) == (403, True)
    assert (await viewer.post("/api/tokens", json=mine | {"permissions": ["gate:read"]})).status_code == 201


async def test_an_account_never_may_more_than_its_owner_does_now(http: Http) -> None:
    await http.user("ann", "operator", ["global"])
    client = await account(http, owner="ann", sites=["*"])
    assert (await client.get("/api/me")).json()["sites"] == ["global"]
    assert await junit(client, subject="app") == 201
    assert (await http.client.patch("/api/users/ann", json={"role": "viewer"})).status_code == 200
    await until("told what the owner may", lambda: _status(client, 403))
    assert (await client.get("/api/me")).json()["permissions"] == ["gate:read", "me:read"]


async def _status(client: httpx2.AsyncClient, wanted: int) -> bool:
    answer = await client.post("/api/signals/junit", params={"version": "1.0", "subject": "app"}, content=JUNIT)
    return answer.status_code == wanted


async def test_when_the_owner_goes_its_tokens_stop_and_it_is_named_until_somebody_takes_over(http: Http) -> None:
    await http.user("ann", "operator")
    client = await account(http, owner="ann")
    assert await junit(client, subject="app") == 201
    assert (await http.client.patch("/api/users/ann", json={"active": False})).status_code == 200

    async def out() -> bool:
        return (await client.get("/api/me")).status_code == 401

    await until("out", out)
    orphans = (await http.client.get("/api/accounts?orphaned_only=true")).json()
    assert [(one["name"], one["orphaned"], one["active"]) for one in orphans] == [("ci", True, True)]
    assert (await issue(http.client)).status_code == 409
    assert (await http.client.patch("/api/accounts/ci", json={"owner": "ann"})).status_code == 422
    handed = {"owner": "owner", "keep_tokens": True}
    assert (await http.client.patch("/api/accounts/ci", json=handed)).status_code == 200
    told = await http.stack.heard(account_changed)
    assert told.data["changes"] == [{"field": "owner", "before": "ann", "after": "owner", "masked": False}]
    await until("back", lambda: _status(client, 201))
    assert (await http.client.patch("/api/accounts/ci", json={"active": False})).status_code == 200
    await until("out", out)
    gone = await http.stack.heard(token_revoked, lambda event: event.data["username"] == "account:ci")
    assert gone.data["reason"] == "user"
    assert (await http.client.patch("/api/accounts/ci", json={"active": True})).status_code == 200
    assert await out(), "who may have got hold of the token does not come back with the account"
    again = await issue(http.client)
    assert (await http.of(again.json()["token"]).get("/api/me")).status_code == 200


async def test_its_owner_revokes_its_tokens_and_it_may_not_reach_further_by_itself(http: Http) -> None:
    ann = await http.user("ann", "operator")
    await account(http, ann, owner="ann")
    answer = await issue(ann, permissions=["signal:write", "token:write"])
    number, client = answer.json()["token_id"], http.of(answer.json()["token"])
    wide = await client.post("/api/tokens", json={"label": "wide", "permissions": ["gate:run"]})
    assert (wide.status_code, "reach further" in wide.json()["detail"]) == (403, True)
    assert (await client.post("/api/tokens", json={"label": "x", "username": "ann"})).status_code == 403
    rotated = await ann.post(f"/api/tokens/{number}/rotate", json={"overlap_minutes": 0})
    assert rotated.status_code == 201, rotated.text
    ended = await ann.post("/api/users/account:ci/tokens/revoke", json={})
    assert (ended.status_code, len(ended.json()["token_ids"])) == (200, 2)
    bob = await http.user("bob", "operator")
    assert (await bob.post("/api/users/account:ci/tokens/revoke", json={})).status_code == 404
    assert (await bob.get("/api/tokens?username=account:ci")).json() == []
    assert (await bob.get("/api/tokens?username=ann")).status_code == 403


async def test_who_answers_for_a_machine_does_not_approve_what_it_told(stack: Stack) -> None:
    made = await begin(stack)
    told = AccountTold(
        name="ci", actor="account:ci", owner="bob", role="operator", sites=["*"], purpose="pipelines", active=True,
        created_at=stack.clock(), revision=2,
    )  # fmt: skip
    await stack.publish(account_changed, AccountChanged(**told.model_dump()))
    await stack.publish(account_created, told.model_copy(update={"owner": "cem", "revision": 1}))
    await stack.idle("governance")
    answer = await word(stack, "account:ci", made["evidence_sha256"])
    assert answer.status == 201, "that no account may is the edge's to say"
    answer = await word(stack, "bob", made["evidence_sha256"])
    assert (answer.status, "a person counts once" in answer.json["detail"]) == (409, True)
    assert (await word(stack, "cem", made["evidence_sha256"])).status == 201, "what is older came later"
