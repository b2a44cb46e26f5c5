"""Sessions on real servers: a cookie for a token, nothing changed without its word, over when they should be."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.gateway.session_policy import SessionPolicy
from libs.common.contracts.gateway.sessions import session_ended, session_opened
from services.gateway import sse
from services.gateway.domain.sessions import COOKIE, CSRF_HEADER, LOCAL_COOKIE
from services.gateway.service import SERVICE
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
MAX_OF_PERSON = SessionPolicy().max_of_person


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def opened(http: Http, client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A browser with a session of who comes with the client's token."""
    answer = await client.post("/api/sessions")
    assert answer.status_code == 201, answer.text
    return browser(http, answer)


def browser(http: Http, answer: httpx2.Response, **headers: str) -> httpx2.AsyncClient:
    """One that sends the cookie and what goes with it."""
    headers = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0], **headers}
    return http.of(None, **{CSRF_HEADER: answer.json()["csrf_token"], **headers})


async def test_a_token_gives_a_session_whose_secret_only_the_cookie_has(http: Http) -> None:
    mia = await http.user("mia", "operator")
    answer = await mia.post("/api/sessions", headers={"User-Agent": "Lynx/2.9"})
    made, cookie = answer.json(), answer.headers["Set-Cookie"]
    name, _, secret = cookie.partition(";")[0].partition("=")
    assert (answer.status_code, name, len(secret)) == (201, LOCAL_COOKIE, 43)
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax; Max-Age=43200")
    assert secret not in answer.text
    one = browser(http, answer)
    me = (await one.get("/api/me")).json()
    assert (me["username"], me["role"], me["session_id"]) == ("mia", "operator", made["session_id"])
    assert (await one.post("/api/tokens", json={"label": "by the session"})).status_code == 201
    (listed,) = (await one.get("/api/me/sessions")).json()
    assert (listed["current"], listed["address"], listed["agent"]) == (True, "127.0.0.1", "Lynx/2.9")
    again = await one.post("/api/sessions")
    assert (again.status_code, "with a token" in again.json()["detail"]) == (409, True)
    told = await http.stack.heard(session_opened)
    assert (told.actor, set(told.data)) == ("mia", {"session_id", "username", "ends_at", "token_id", "provider", "by"})
    kept = await http.running.pool.fetchval("SELECT sessions::text FROM sessions")
    assert secret not in kept


async def test_nothing_is_changed_without_the_word_of_the_page(http: Http) -> None:
    answer = await http.client.post("/api/sessions")
    wrong = browser(http, answer, **{CSRF_HEADER: "x" * 43})
    bare = http.of(None, Cookie=answer.headers["Set-Cookie"].partition(";")[0])
    for client in (wrong, bare):
        assert (await client.get("/api/me")).headers[CSRF_HEADER] == answer.json()["csrf_token"]
        refused = await client.post("/api/sites", json={"site": "plant-b", "title": "b"})
        assert (refused.status_code, CSRF_HEADER in refused.json()["detail"]) == (403, True)
        assert (await client.delete("/api/me/sessions")).status_code == 403
    other = await http.client.post("/api/sessions")
    mixed = browser(http, answer, **{CSRF_HEADER: other.json()["csrf_token"]})
    assert (await mixed.delete("/api/me/sessions")).status_code == 403, "the word of another session"
    assert (await http.client.get("/api/sites/plant-b")).status_code in (404, 405)


async def test_only_people_open_one_and_only_where_nobody_can_listen(http: Http) -> None:
    account = {"name": "ci", "role": "operator", "purpose": "pipelines"}
    assert (await http.client.post("/api/accounts", json=account)).status_code == 201
    body = {"label": "ci", "username": "account:ci", "permissions": ["signal:write"]}
    token = (await http.client.post("/api/tokens", json=body)).json()["token"]
    assert (await http.of(token).post("/api/sessions")).status_code == 403
    assert (await http.of(None).post("/api/sessions")).status_code == 401
    plain = await http.client.post("/api/sessions", headers={"Host": "headgate.example.com"})
    assert (plain.status_code, "HTTPS" in plain.json()["detail"]) == (403, True)
    assert (await http.client.post("/api/sessions", json={"surprise": 1})).status_code == 422


async def test_behind_a_proxy_with_tls_the_cookie_goes_over_https_only(stack: Stack) -> None:
    edge = await Http(stack).open(trusted_proxies=["127.0.0.0/8"])
    try:
        told = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https", "Host": "headgate.example.com"}
        answer = await edge.client.post("/api/sessions", headers=told)
        assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}; Path=/; HttpOnly; Secure; .*", answer.headers["Set-Cookie"])
        assert (await browser(edge, answer, **told).get("/api/me")).status_code == 200
        local = {"Cookie": f"{LOCAL_COOKIE}={answer.headers['Set-Cookie'][len(COOKIE) + 1 :]}"}
        assert (await edge.of(None, **told, **local).get("/api/me")).status_code == 401, "that name is for plain HTTP"
    finally:
        await edge.close()


async def test_it_ends_when_idle_and_after_its_longest_life(http: Http) -> None:
    one = await opened(http, http.client)
    for _ in range(3):
        http.stack.clock.advance(minutes=29)
        assert (await one.get("/api/me")).status_code == 200
    http.stack.clock.advance(minutes=30)
    late = await one.get("/api/me")
    assert (late.status_code, "too long" in late.json()["detail"]) == (401, True)
    assert late.headers["Set-Cookie"].startswith(f"{LOCAL_COOKIE}=;")
    await http.edge.sessions.store_seen()
    http.stack.clock.advance(minutes=2)
    assert await http.stack.run_job("gateway", "session_watch")
    two = await opened(http, http.client)
    for _ in range(24):
        http.stack.clock.advance(minutes=29, seconds=59)
        assert (await two.get("/api/me")).status_code == 200
    http.stack.clock.advance(minutes=1)
    late = await two.get("/api/me")
    assert (late.status_code, "longest life" in late.json()["detail"]) == (401, True)
    await http.edge.sessions.store_seen()
    http.stack.clock.advance(minutes=3)
    assert await http.stack.run_job("gateway", "session_watch")
    first = await http.stack.heard(session_ended, lambda event: event.data["session_id"] == 1)
    second = await http.stack.heard(session_ended, lambda event: event.data["session_id"] == 2)
    assert (first.data["reason"], second.data["reason"]) == ("idle", "over")
    assert (await http.client.get("/api/me/sessions")).json() == []


async def test_it_may_no_more_than_its_token_and_ends_with_it(http: Http) -> None:
    body = {"label": "narrow", "permissions": ["me:write", "site:read"]}
    narrow = (await http.client.post("/api/tokens", json=body)).json()
    one = await opened(http, http.of(narrow["token"]))
    assert (await one.get("/api/sites")).status_code == 200
    refused = await one.get("/api/users")
    assert (refused.status_code, refused.json()["permission"]) == (403, "identity:read")
    assert (await http.client.delete(f"/api/tokens/{narrow['token_id']}")).status_code == 200
    assert await out_within_a_second(one)
    assert await http.stack.run_job("gateway", "session_watch")
    assert (await http.stack.heard(session_ended)).data["reason"] == "token"


async def out_within_a_second(client: httpx2.AsyncClient) -> bool:
    """Whether it is refused by then; it asks all the time, so that it is remembered."""
    try:
        async with asyncio.timeout(1.0):
            while (await client.get("/api/me")).status_code == 200:
                pass
    except TimeoutError:
        return False
    return True


async def test_what_is_ended_at_one_gateway_is_out_at_the_other_within_a_second(http: Http, stack: Stack) -> None:
    second = Http(stack)
    first = stack.running.pop("gateway")
    await second.open()
    stack.running["first gateway"] = first
    try:
        mia = await http.user("mia", "operator")
        answers = [await mia.post("/api/sessions") for _ in range(3)]
        here = browser(http, answers[0])
        there = [browser(second, answer) for answer in answers]
        for client in there:
            assert (await client.get("/api/me")).status_code == 200
        number = answers[1].json()["session_id"]
        assert (await here.delete(f"/api/me/sessions/{number}")).json()["reason"] == "asked"
        assert await out_within_a_second(there[1])
        assert (await here.delete(f"/api/me/sessions/{number}")).status_code == 404
        assert (await http.client.delete(f"/api/me/sessions/{answers[0].json()['session_id']}")).status_code == 404
        gone = (await here.delete("/api/me/sessions")).json()
        assert gone["session_ids"] == [answers[2].json()["session_id"]], "the current one stays"
        assert await out_within_a_second(there[2])
        assert (await here.delete("/api/me/sessions", params={"keep_current": "false"})).status_code == 200
        assert await out_within_a_second(there[0])
        four = browser(second, await mia.post("/api/sessions"))
        assert (await four.get("/api/me")).status_code == 200
        assert (await http.client.patch("/api/users/mia", json={"active": False})).status_code == 200
        assert await out_within_a_second(four)
    finally:
        await second.close()


async def test_the_oldest_goes_where_a_person_has_too_many(http: Http) -> None:
    first = await opened(http, http.client)
    for _ in range(MAX_OF_PERSON):
        last = await opened(http, http.client)
    assert (await first.get("/api/me")).status_code == 401
    assert len((await last.get("/api/me/sessions")).json()) == MAX_OF_PERSON
    assert (await http.stack.heard(session_ended)).data["reason"] == "quota"


async def publish(http: Http, **content: int) -> httpx2.Response:
    return await http.client.put("/api/admin/session-policy", json={"content": content, "reason": "as decided"})


async def test_a_shorter_policy_holds_for_what_is_open_at_both_gateways(http: Http, stack: Stack) -> None:
    second = Http(stack)
    first = stack.running.pop("gateway")
    await second.open()
    stack.running["first gateway"] = first
    try:
        answers = [await http.client.post("/api/sessions") for _ in range(4)]
        there = [browser(second, answer) for answer in answers]
        for client in there:
            assert (await client.get("/api/me")).status_code == 200
        assert (await publish(http, max_of_person=3)).status_code == 200
        assert await out_within_a_second(there[0]), "the one that was not used for the longest time"
        http.stack.clock.advance(minutes=20)
        assert (await there[1].get("/api/me")).status_code == 200
        assert (await publish(http, idle_minutes=10)).status_code == 200
        http.stack.clock.advance(minutes=9)
        assert (await there[1].get("/api/me")).status_code == 200
        assert await out_within_a_second(there[2]), "nobody used it for 29 minutes, and 10 are what is allowed now"
        assert (await publish(http, idle_minutes=10, life_hours=1)).status_code == 200
        for _ in range(3):
            http.stack.clock.advance(minutes=9)
            assert (await there[1].get("/api/me")).status_code == 200
        http.stack.clock.advance(minutes=9)
        late = await there[1].get("/api/me")
        assert (late.status_code, "longest life" in late.json()["detail"]) == (401, True)
        # A longer one is for new ones.
        assert (await publish(http, idle_minutes=60, life_hours=24)).status_code == 200
        five = await http.client.post("/api/sessions")
        assert five.headers["Set-Cookie"].endswith("; Max-Age=86400")
        four = await http.running.pool.fetch("SELECT idle_minutes FROM sessions WHERE session_id IN (2, 3, 4)")
        assert {row["idle_minutes"] for row in four} == {10}
    finally:
        await second.close()


async def test_a_session_that_knew_the_policy_before_is_held_to_the_new_one(http: Http) -> None:
    one = await opened(http, http.client)
    assert (await publish(http, idle_minutes=10)).status_code == 200
    await http.running.pool.execute("UPDATE sessions SET idle_minutes = 30")  # as if it had been opened meanwhile
    assert await http.stack.run_job("gateway", "session_watch")
    assert await http.running.pool.fetchval("SELECT idle_minutes FROM sessions") == 10
    assert (await one.get("/api/me")).status_code == 200


async def test_a_policy_that_can_not_be_meant_is_refused(http: Http) -> None:
    answer = await publish(http, idle_minutes=121, life_hours=2)
    assert (answer.status_code, "ever be idle so long" in answer.text) == (422, True)
    mia = await http.user("mia", "manager")
    assert (await mia.get("/api/admin/session-policy")).json()["content"]["life_hours"] == 12
    refused = await mia.put("/api/admin/session-policy", json={"content": {}, "reason": "as decided"})
    assert (refused.status_code, refused.json()["permission"]) == (403, "identity:write")


async def test_an_administrator_lists_and_ends_the_sessions_of_others(http: Http) -> None:
    mia = await http.user("mia", "operator")
    sessions = [await opened(http, mia) for _ in range(3)]
    listed = (await http.client.get("/api/users/mia/sessions")).json()
    assert [(one["username"], one["current"]) for one in listed] == [("mia", False)] * 3
    numbers = [one["session_id"] for one in listed]
    ended = await http.client.delete(f"/api/users/mia/sessions/{numbers[0]}")
    assert (ended.json()["reason"], await out_within_a_second(sessions[0])) == ("asked", True)
    told = await http.stack.heard(session_ended)
    assert (told.actor, told.data["username"], told.data["session_id"]) == ("owner", "mia", numbers[0])
    assert [one["field"] for one in told.data["changes"]] == ["ended_at", "ended_reason"]
    assert (await http.client.delete(f"/api/users/mia/sessions/{numbers[0]}")).status_code == 404
    assert (await http.client.delete(f"/api/users/owner/sessions/{numbers[1]}")).status_code == 404, "of another"
    all_ended = await http.client.post("/api/users/mia/sessions/revoke", json={})
    assert all_ended.json() == {"username": "mia", "session_ids": numbers[1:]}
    assert await out_within_a_second(sessions[2])
    for path in ("/api/users/nobody/sessions", "/api/users/account:ci/sessions"):
        assert (await http.client.get(path)).status_code in (404, 422)
    assert (await http.client.post("/api/users/nobody/sessions/revoke", json={})).status_code == 404
    lee = await http.user("lee", "manager")
    for client in (mia, lee):
        assert (await client.post("/api/users/owner/sessions/revoke", json={})).status_code == 403
    assert (await mia.get("/api/users/owner/sessions")).status_code == 403
    of_one_site = (await http.client.post("/api/tokens", json={"label": "x", "sites": ["global"]})).json()["token"]
    assert (await http.of(of_one_site).post("/api/users/mia/sessions/revoke", json={})).status_code == 403


async def test_to_revoke_all_of_a_user_ends_the_sessions_too(http: Http) -> None:
    mia = await http.user("mia", "operator")
    first, second = await opened(http, mia), await opened(http, mia)
    current = (await first.get("/api/me")).json()["session_id"]
    done = (await first.post("/api/users/mia/tokens/revoke", json={})).json()
    assert (done["token_ids"], len(done["session_ids"])) == ([], 1), "what it came with, and what that was opened with"
    assert current not in done["session_ids"]
    assert await out_within_a_second(second)
    third = await opened(http, http.client)
    done = (await http.client.post("/api/users/owner/tokens/revoke", json={"keep_current": True})).json()
    assert (done["token_ids"], len(done["session_ids"])) == ([], 1), "what came with a token ends all sessions"
    assert await out_within_a_second(third)


async def test_a_stream_of_events_ends_with_its_session(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "CHECK_TOKEN_EVERY_S", 0.0)
    monkeypatch.setattr(sse, "FETCH_S", 0.1)
    one = await opened(http, http.client)
    async with one.stream("GET", "/api/events") as stream:
        lines = stream.aiter_lines()
        assert await anext(lines) == ": connected"
        assert (await http.client.delete("/api/me/sessions")).status_code == 200
        async with asyncio.timeout(10):
            assert "event: end" in [line async for line in lines]


async def test_old_ones_are_forgotten(http: Http) -> None:
    await opened(http, http.client)
    assert (await http.client.delete("/api/me/sessions")).status_code == 200
    http.stack.clock.advance(days=91)
    assert await http.stack.run_job("gateway", "session_watch")
    assert await http.running.pool.fetchval("SELECT count(*) FROM sessions") == 0


def test_the_service_has_the_job() -> None:
    assert "session_watch" in {job.name for job in SERVICE.jobs}
