"""What ends tokens and sessions leaves nothing behind: neither what was asked for just before, nor what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.gateway.sessions import session_ended
from libs.common.contracts.gateway.tokens import token_revoked
from tests.http_edge import Http
from tests.integration.bus_guest import until
from tests.integration.test_sessions import opened
from tests.integration.test_token_lives import publish
from tests.stack import Stack

pytestmark = pytest.mark.integration
CI = {"name": "ci", "role": "operator", "sites": ["global"], "purpose": "pipelines of app"}


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge without other services."""
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def number_of(client: httpx2.AsyncClient) -> int:
    """The number of the token that this client comes with."""
    number: int = (await client.get("/api/me")).json()["token_id"]
    return number


async def account_token(http: Http, client: httpx2.AsyncClient, owner: str) -> tuple[int, httpx2.AsyncClient]:
    """A token of the account ci, which this person answers for; a client that comes with it."""
    assert (await http.client.post("/api/accounts", json=CI | {"owner": owner})).status_code == 201
    return await issued(http, client, username="account:ci", permissions=["signal:write"])


async def issued(http: Http, client: httpx2.AsyncClient, **more: Any) -> tuple[int, httpx2.AsyncClient]:
    """A token, and a client that comes with it."""
    answer = await client.post("/api/tokens", json={"label": "one more", **more})
    assert answer.status_code == 201, answer.text
    return answer.json()["token_id"], http.of(answer.json()["token"])


async def is_out(client: httpx2.AsyncClient) -> None:
    """Wait until this client is refused."""

    async def out() -> bool:
        return (await client.get("/api/me")).status_code == 401

    await until("out", out)


async def test_who_was_let_in_just_before_all_were_revoked_gets_no_token_just_after(http: Http) -> None:
    ann = await http.user("ann", "operator")
    mine, other = await number_of(ann), (await issued(http, ann))[0]
    session = await opened(http, ann)
    for memory in (http.edge.identity, http.edge.sessions):
        memory._monotonic = lambda: 100.0  # what it knows does not grow old
    for client in (ann, session):
        assert (await client.get("/api/me")).status_code == 200
    # As when the command lies on the queue: the edge has let it in, and hears of nothing.
    ways: list[tuple[httpx2.AsyncClient, str]] = [
        (ann, "UPDATE tokens SET revoked_at = now() WHERE token_id = $1"),
        (session, "UPDATE tokens SET revoked_at = now() WHERE token_id = $1"),
        (ann, "UPDATE tokens SET expires_at = created_at WHERE token_id = $1"),
        (session, "UPDATE sessions SET ended_at = now() WHERE token_id = $1"),
        (session, "UPDATE sessions SET ends_at = opened_at WHERE token_id = $1"),
    ]
    for client, statement in ways:
        await http.running.pool.execute(statement, mine)
        for path in ("/api/tokens", f"/api/tokens/{other}/rotate"):
            answer = await client.post(path, json={"label": "fresh"} if path == "/api/tokens" else {})
            assert (answer.status_code, "ended meanwhile" in answer.text) == (403, True), (statement, answer.text)
        await http.running.pool.execute(
            "UPDATE tokens SET revoked_at = NULL, expires_at = created_at + interval '30 days' WHERE token_id = $1",
            mine,
        )
        await http.running.pool.execute(
            "UPDATE sessions SET ended_at = NULL, ends_at = opened_at + interval '12 hours' WHERE token_id = $1", mine
        )
    assert (await session.post("/api/tokens", json={"label": "fresh"})).status_code == 201
    assert (await ann.post(f"/api/tokens/{other}/rotate", json={})).status_code == 201


async def test_revoking_all_of_a_person_takes_the_tokens_of_that_persons_accounts_along(http: Http) -> None:
    ann = await http.user("ann", "operator")
    number, machine = await account_token(http, ann, "ann")
    answer = await ann.post("/api/users/ann/tokens/revoke", json={"keep_accounts": True})
    assert (answer.json()["token_ids"], answer.json()["accounts"]) == ([], [])
    assert (await machine.get("/api/me")).status_code == 200
    answer = await ann.post("/api/users/ann/tokens/revoke", json={})
    assert (answer.json()["token_ids"], answer.json()["accounts"]) == ([number], ["account:ci"])
    await is_out(machine)
    assert (await ann.get("/api/me")).status_code == 200


async def test_who_is_not_active_any_more_loses_all_for_good(http: Http) -> None:
    ann = await http.user("ann", "operator")
    _, machine = await account_token(http, ann, "ann")
    session = await opened(http, ann)
    mine = await number_of(ann)
    assert (await http.client.post("/api/users/ann/password-code")).status_code == 201
    assert (await http.client.patch("/api/users/ann", json={"active": False})).status_code == 200
    assert (await http.client.get("/api/passwords")).json() == [], "the code would outlive what else lets ann in"
    for client in (ann, session, machine):
        await is_out(client)
    gone = await http.stack.heard(token_revoked, lambda event: event.data["token_id"] == mine)
    assert (gone.data["username"], gone.data["reason"], gone.actor) == ("ann", "user", "owner")
    assert (await http.stack.heard(session_ended)).data["reason"] == "user"
    assert (await http.client.patch("/api/users/ann", json={"active": True})).status_code == 200
    await until("the account is back", lambda: is_in(machine))
    for client in (ann, session):
        assert (await client.get("/api/me")).status_code == 401
    (shown,) = (await http.client.get("/api/tokens?username=ann")).json()
    assert shown["revoked_reason"] == "user"
    _, again = await issued(http, http.client, username="ann")
    assert await is_in(again)
    # Of two owners one may go, and with it the token of the first start; the last one stays, and so do its tokens.
    second = await http.user("bea", "owner")
    assert (await second.patch("/api/users/owner", json={"active": False})).status_code == 200
    await is_out(http.client)
    assert (await second.patch("/api/users/bea", json={"active": False})).status_code == 409
    assert await is_in(second)


async def is_in(client: httpx2.AsyncClient) -> bool:
    """Whether this client is let in."""
    return (await client.get("/api/me")).status_code == 200


async def test_who_takes_an_account_over_does_not_take_over_the_secrets_that_another_knows(http: Http) -> None:
    ann = await http.user("ann", "operator")
    await http.user("bob", "operator")
    number, machine = await account_token(http, ann, "ann")
    for change in ({"owner": "ann"}, {"purpose": "other pipelines"}, {"owner": "bob", "keep_tokens": True}):
        assert (await http.client.patch("/api/accounts/ci", json=change)).status_code == 200
        assert await is_in(machine), change
    assert (await http.client.patch("/api/accounts/ci", json={"owner": "owner"})).status_code == 200
    gone = await http.stack.heard(token_revoked, lambda event: event.data["token_id"] == number)
    assert (gone.data["username"], gone.data["reason"]) == ("account:ci", "owner")
    await is_out(machine)


async def test_a_session_ends_when_the_policy_of_tokens_ends_what_it_was_opened_with(http: Http) -> None:
    ann = await http.user("ann", "operator")
    http.stack.clock.advance(hours=23, minutes=50)
    session = await opened(http, ann)
    http.stack.clock.advance(minutes=15)
    http.edge.sessions._monotonic = lambda: 100.0  # what it knows does not grow old: only the event tells of it
    assert await is_in(session)
    await publish(http, rotate_after_days=1, rotate_warning_days=0, rotation_required=True)
    await is_out(session)
    answer = await session.get("/api/me")
    assert "was opened with a token" in answer.json()["detail"]
    assert "older than tokens may get" in answer.json()["detail"]
    await publish(http)
    await until("nothing had ended it but the policy", lambda: is_in(session))


async def test_who_uses_a_token_from_elsewhere_is_counted_under_its_name(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await http.user("ann", "operator")
    _, stolen = await issued(http, ann, cidrs=["10.0.0.0/8"])
    session = await opened(http, ann)
    del session.headers["X-CSRF-Token"]
    counted: list[tuple[str, str, int]] = []
    monkeypatch.setattr(http.edge.refusals, "count", lambda *row: counted.append(row))
    assert (await stolen.get("/api/users")).status_code == 403
    assert (await session.post("/api/tokens", json={"label": "forged"})).status_code == 403
    assert (await http.of(None).get("/api/users")).status_code == 401
    assert [row[0] for row in counted] == ["ann", "ann", "address:127.0.0.1"]


async def test_strangers_leave_rows_for_those_who_are_known(http: Http) -> None:
    for number in range(300):
        http.edge.refusals.count(f"address:192.0.2.{number}", "/api/users", 401)
    http.edge.refusals.count("ann", "/api/users", 403)
    told = http.edge.refusals.told(http.stack.clock(), http.edge.refusals._rows, http.edge.refusals._overflow)
    assert [one.who for one in told.items] == ["ann"]
    assert ([one.count for one in told.strangers], told.overflow_count) == ([100], 200)
