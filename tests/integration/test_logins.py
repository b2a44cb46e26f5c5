"""Logins of programs on real servers: what renews one counts once, and a lost answer locks nobody out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.gateway.logins import login_renewed, login_reused
from libs.common.contracts.gateway.sessions import session_ended
from libs.judge.token_text import ACCESS, REFRESH, has_form
from services.gateway import sse
from services.gateway.identity.bootstrap import digest_of, make_secret
from tests.http_edge import Http
from tests.integration.test_sessions import browser, out_within_a_second, publish
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def logged_in(client: httpx2.AsyncClient) -> dict[str, Any]:
    """The answer to a login of who comes with the client's token or session."""
    answer = await client.post("/api/logins", headers={"User-Agent": "headgate-client"})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def renew(http: Http, secret: str, following: str | None = None) -> httpx2.Response:
    body = {"refresh_token": secret}
    if following is not None:
        body["next_sha256"] = digest_of(following).hex()
    return await http.of(None).post("/api/logins/renew", json=body)


async def refused(answer: httpx2.Response, status: int, said: str) -> None:
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text


async def test_a_token_of_minutes_is_renewed_by_a_secret_that_counts_once(http: Http) -> None:
    mia = await http.user("mia", "operator")
    one = await logged_in(mia)
    assert (has_form(ACCESS, one["access_token"]), has_form(REFRESH, one["refresh_token"])) == (True, True)
    client = http.of(one["access_token"])
    me = (await client.get("/api/me")).json()
    assert (me["username"], me["role"], me["session_id"]) == ("mia", "operator", one["session_id"])
    (listed,) = (await mia.get("/api/me/sessions")).json()
    assert (listed["program"], listed["agent"], listed["address"]) == (True, "headgate-client", "127.0.0.1")
    # It changes things without what pages of browsers must say, since no browser sends it by itself.
    assert (await client.post("/api/tokens", json={"label": "by the login"})).status_code == 201
    await refused(await client.post("/api/logins"), 409, "with a login already")
    await refused(await client.post("/api/sessions"), 409, "with a session already")
    http.stack.clock.advance(minutes=15)
    await refused(await client.get("/api/me"), 401, "Renew it")
    two = (await renew(http, one["refresh_token"])).json()
    assert (two["session_id"], two["refresh_token"] != one["refresh_token"]) == (one["session_id"], True)
    assert (await http.of(two["access_token"]).get("/api/me")).status_code == 200
    await refused(await client.get("/api/me"), 401, "Renew it")
    told = await http.stack.heard(login_renewed)
    assert (told.actor, [one["field"] for one in told.data["changes"]]) == ("mia", ["access_until", "renewed_at"])
    kept = await http.running.pool.fetchval(
        "SELECT string_agg(t, ' ') FROM (SELECT sessions::text FROM sessions UNION ALL SELECT logins::text FROM logins "
        "UNION ALL SELECT login_past::text FROM login_past UNION ALL SELECT outbox::text FROM outbox) AS rows (t)"
    )
    for secret in (one["access_token"], one["refresh_token"], two["access_token"], two["refresh_token"]):
        assert secret not in kept


async def test_who_comes_with_a_used_secret_ends_the_login(http: Http) -> None:
    one = await logged_in(http.client)
    two = (await renew(http, one["refresh_token"])).json()
    three = (await renew(http, two["refresh_token"])).json()
    client = http.of(three["access_token"])
    assert (await client.get("/api/me")).status_code == 200
    # Of two that come at once one is refused, and nobody is taken for a thief.
    await refused(await renew(http, two["refresh_token"]), 409, "a moment ago")
    assert (await client.get("/api/me")).status_code == 200
    await refused(await renew(http, one["refresh_token"]), 401, "used before")
    assert await out_within_a_second(client)
    told = await http.stack.heard(login_reused)
    assert (told.data["username"], told.data["address"]) == ("owner", "")
    assert (await http.stack.heard(session_ended)).data["reason"] == "reused"
    await refused(await renew(http, three["refresh_token"]), 401, "is over, or unknown")
    one = await logged_in(http.client)
    two = (await renew(http, one["refresh_token"])).json()
    http.stack.clock.advance(seconds=10)
    await refused(await renew(http, one["refresh_token"]), 401, "used before")
    await refused(await renew(http, two["refresh_token"]), 401, "is over, or unknown")


async def test_a_lost_answer_locks_nobody_out(http: Http) -> None:
    """The program was killed after it had asked; it kept what it wanted the next secret to be."""
    one = await logged_in(http.client)
    following = make_secret(REFRESH)
    lost = (await renew(http, one["refresh_token"], following)).json()
    assert "refresh_token" not in lost
    http.stack.clock.advance(hours=2)
    again = await renew(http, one["refresh_token"], following)
    assert again.status_code == 200, again.text
    assert (await http.of(again.json()["access_token"]).get("/api/me")).status_code == 200
    assert await out_within_a_second(http.of(lost["access_token"]))
    later = make_secret(REFRESH)
    assert (await renew(http, following, later)).status_code == 200
    # What is two renewals back is lost for good: it was not the same request any more.
    await refused(await renew(http, one["refresh_token"], following), 401, "used before")


async def test_the_next_secret_must_be_a_new_one(http: Http) -> None:
    one = await logged_in(http.client)
    await refused(await renew(http, one["refresh_token"], one["refresh_token"]), 409, "must be a new one")
    two = (await renew(http, one["refresh_token"])).json()
    await refused(await renew(http, two["refresh_token"], one["refresh_token"]), 409, "must be a new one")
    for nonsense in ("nonsense", make_secret(ACCESS), make_secret(REFRESH), two["refresh_token"][:-1] + "-"):
        await refused(await renew(http, nonsense), 401, "is over, or unknown")
    for body in ({}, {"refresh_token": 7}, {"refresh_token": "x", "next_sha256": "y"}, {"refresh_token": "x" * 300}):
        assert (await http.of(None).post("/api/logins/renew", json=body)).status_code == 422
    assert (await http.of(two["refresh_token"]).get("/api/me")).status_code == 401
    assert (await http.of(None, Cookie=f"headgate-session={two['access_token']}").get("/api/me")).status_code == 401


async def test_of_many_that_come_at_once_at_two_gateways_exactly_one_wins(http: Http, stack: Stack) -> None:
    second = Http(stack)
    first = stack.running.pop("gateway")
    await second.open()
    stack.running["first gateway"] = first
    try:
        secret = (await logged_in(http.client))["refresh_token"]
        for _ in range(3):
            answers = await asyncio.gather(*(renew(edge, secret) for edge in (http, second) * 4))
            won = [answer.json() for answer in answers if answer.status_code == 200]
            assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
            assert (await second.of(won[0]["access_token"]).get("/api/me")).status_code == 200
            secret = won[0]["refresh_token"]
    finally:
        await second.close()


async def test_it_ends_as_sessions_do_and_then_nothing_renews_it(http: Http) -> None:
    mia = await http.user("mia", "operator")
    logins = [await logged_in(mia) for _ in range(4)]
    clients = [http.of(one["access_token"]) for one in logins]
    assert (await clients[0].delete(f"/api/me/sessions/{logins[0]['session_id']}")).status_code == 200
    assert await out_within_a_second(clients[0])
    assert (await http.client.delete(f"/api/users/mia/sessions/{logins[1]['session_id']}")).status_code == 200
    assert await out_within_a_second(clients[1])
    assert (await http.client.post("/api/users/mia/sessions/revoke", json={})).status_code == 200
    assert await out_within_a_second(clients[2])
    five = await logged_in(mia)
    assert (await http.client.post("/api/users/mia/tokens/revoke", json={})).status_code == 200
    assert await out_within_a_second(http.of(five["access_token"]))
    lee = await http.user("lee", "operator")
    six = await logged_in(lee)
    assert (await http.client.patch("/api/users/lee", json={"active": False})).status_code == 200
    assert await out_within_a_second(http.of(six["access_token"]))
    for one in (*logins, five, six):
        await refused(await renew(http, one["refresh_token"]), 401, "is over, or unknown")
    http.stack.clock.advance(minutes=3)
    assert await http.stack.run_job("gateway", "session_watch")
    assert await http.running.pool.fetchval("SELECT count(*) FROM login_past") == 0


async def test_it_lives_as_long_as_the_policy_says(http: Http) -> None:
    one = await logged_in(http.client)
    http.stack.clock.advance(hours=167)
    two = (await renew(http, one["refresh_token"])).json()
    http.stack.clock.advance(hours=168)
    await refused(await renew(http, two["refresh_token"]), 401, "is over, or unknown")
    login = await logged_in(http.client)
    for _ in range(5):
        http.stack.clock.advance(hours=143)
        answer = await renew(http, login["refresh_token"])
        assert answer.status_code == 200, answer.text
        login |= answer.json()
    http.stack.clock.advance(hours=5)
    await refused(await renew(http, login["refresh_token"]), 401, "is over, or unknown")
    one = await logged_in(http.client)
    assert (await publish(http, login_idle_hours=1, access_minutes=5)).status_code == 200
    two = (await renew(http, one["refresh_token"])).json()
    client = http.of(two["access_token"])
    http.stack.clock.advance(minutes=5)
    await refused(await client.get("/api/me"), 401, "Renew it")
    http.stack.clock.advance(minutes=56)
    await refused(await renew(http, two["refresh_token"]), 401, "is over, or unknown")
    assert (await publish(http, login_idle_hours=49, login_life_days=2)).status_code == 422


async def test_a_browser_signs_a_program_in_which_outlives_its_session(http: Http) -> None:
    body = {"label": "narrow", "permissions": ["me:write", "site:read"]}
    narrow = http.of((await http.client.post("/api/tokens", json=body)).json()["token"])
    session = browser(http, await narrow.post("/api/sessions"))
    one = await logged_in(session)
    client = http.of(one["access_token"])
    assert (await client.get("/api/sites")).status_code == 200
    assert (await client.get("/api/users")).status_code == 403, "it may no more than what it was opened with"
    number = (await session.get("/api/me")).json()["session_id"]
    assert (await session.delete(f"/api/me/sessions/{number}")).status_code == 200
    assert (await client.get("/api/sites")).status_code == 200
    assert (await session.post("/api/logins")).status_code == 401


async def test_a_stream_of_events_ends_with_its_login(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "CHECK_TOKEN_EVERY_S", 0.0)
    monkeypatch.setattr(sse, "FETCH_S", 0.1)
    one = await logged_in(http.client)
    async with http.of(one["access_token"]).stream("GET", "/api/events") as stream:
        lines = stream.aiter_lines()
        assert await anext(lines) == ": connected"
        assert (await http.client.delete("/api/me/sessions")).status_code == 200
        async with asyncio.timeout(10):
            assert "event: end" in [line async for line in lines]
