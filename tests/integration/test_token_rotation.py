"""Rotation, and revoking all that a user has, on real servers; also over two gateways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.common.contracts.gateway.tokens import expiring_tokens, token_revoked, token_rotated, tokens_revoked
from tests.http_edge import Http
from tests.integration.test_token_lives import issue, publish, refused, shown
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge without other services."""
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def rotate(client: httpx2.AsyncClient, token_id: int, **fields: Any) -> httpx2.Response:
    """Ask for another token in the place of this one."""
    return await client.post(f"/api/tokens/{token_id}/rotate", json=fields)


async def status(client: httpx2.AsyncClient) -> int:
    """What this client gets."""
    return (await client.get("/api/me")).status_code


async def is_out(client: httpx2.AsyncClient) -> None:
    """Wait until this client is refused."""
    async with asyncio.timeout(2):
        while await status(client) != 401:
            await asyncio.sleep(0.02)


async def test_both_work_for_the_overlap_and_then_the_new_one(http: Http) -> None:
    old, old_client = await issue(http, "ci", expires_in_hours=240)
    http.stack.clock.advance(hours=100)
    answer = await rotate(old_client, old, overlap_minutes=30)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["label"], body["sites"], body["replaces"]) == ("ci", ["*"], (await shown(http, old))["fingerprint"])
    assert body["token"].startswith("hg_t_")
    new = http.of(body["token"])
    assert [await status(old_client), await status(new)] == [200, 200]
    event = await http.stack.heard(token_rotated, lambda event: event.data["token_id"] == old)
    assert (event.data["new_token_id"], body["token"] in str(http.stack.events)) == (body["token_id"], False)
    http.stack.clock.advance(minutes=30)
    assert [await status(old_client), await status(new)] == [401, 200]
    http.stack.clock.advance(hours=239)  # as long a life as the old one had
    assert await status(new) == 200
    http.stack.clock.advance(minutes=31)
    assert await status(new) == 401


async def test_what_is_replaced_already_presses_nobody(http: Http) -> None:
    old, _ = await issue(http, "ci", expires_in_hours=240)
    assert (await rotate(http.client, old, overlap_minutes=60)).status_code == 201
    found = await http.stack.query(expiring_tokens, {"within_hours": 24})
    assert (found.json["expiring_count"], found.json["live_count"]) == (0, 2)


async def test_without_an_overlap_the_old_one_is_out_at_once(http: Http) -> None:
    old, client = await issue(http, "leaked")
    assert await status(client) == 200
    http.edge.identity._monotonic = lambda: 100.0  # so that nothing grows old in memory: only the event tells of it
    assert await status(client) == 200
    assert (await rotate(http.client, old, overlap_minutes=0)).status_code == 201
    await is_out(client)
    await refused(client, "rotated")


async def test_a_token_is_rotated_once_and_while_it_works(http: Http) -> None:
    await publish(http, max_idle_days=10, idle_warning_days=1, max_ttl_days=300)
    old, _ = await issue(http, "ci")
    answers = await asyncio.gather(*(rotate(http.client, old) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert "rotated already" in max(answers, key=lambda answer: answer.status_code).json()["detail"]
    idle, _ = await issue(http, "idle")
    gone, _ = await issue(http, "gone")
    await http.client.delete(f"/api/tokens/{gone}")
    http.stack.clock.advance(days=10)
    for token_id in (idle, gone):
        answer = await rotate(http.client, token_id)
        assert (answer.status_code, "works no more" in answer.json()["detail"]) == (409, True)
    assert (await rotate(http.client, 999)).status_code == 404
    for wrong in ({"overlap_minutes": 1441}, {"overlap_minutes": -1}, {"secret_sha256": "0" * 64}):
        assert (await rotate(http.client, 1, **wrong)).status_code == 422
    answer = await rotate(http.client, 1, expires_in_hours=301 * 24)
    assert (answer.status_code, "300 days at the most" in answer.json()["detail"]) == (422, True)
    answer = await rotate(http.client, 1)
    assert (answer.status_code, answer.json()["standing"]) == (201, True), "the last way in stays one"


async def test_a_shown_secret_is_not_shown_again(http: Http) -> None:
    old, _ = await issue(http, "ci")
    headers = {"Idempotency-Key": "one"}
    first = await http.client.post(f"/api/tokens/{old}/rotate", json={}, headers=headers)
    again = await http.client.post(f"/api/tokens/{old}/rotate", json={}, headers=headers)
    assert (first.json()["token_id"], again.json()["token"]) == (again.json()["token_id"], None)


async def test_nobody_gets_more_by_rotating(http: Http) -> None:
    await http.site("plant-a")
    ann = await http.user("ann", "viewer", ["plant-a"])
    anns = (await ann.get("/api/me")).json()["token_id"]
    _, narrow = await issue(http, "narrow", sites=["plant-a"])
    wide, _ = await issue(http, "wide")
    answer = await rotate(narrow, wide)
    assert (answer.status_code, "more sites" in answer.json()["detail"]) == (403, True)
    assert (await rotate(narrow, anns)).status_code == 403
    assert (await rotate(ann, wide)).status_code == 404
    mine = (await narrow.get("/api/me")).json()["token_id"]
    answer = await rotate(narrow, mine)
    assert (answer.status_code, answer.json()["sites"]) == (201, ["plant-a"])
    assert (await rotate(http.client, anns)).json()["username"] == "ann"


async def test_all_of_a_user_are_revoked_but_the_one_in_use(http: Http) -> None:
    ann = await http.user("ann", "viewer")
    second = await ann.post("/api/tokens", json={"label": "second"})
    other = http.of(second.json()["token"])
    mine = (await ann.get("/api/me")).json()["token_id"]
    answer = await ann.post("/api/users/ann/tokens/revoke", json={})
    assert answer.json()["token_ids"] == [second.json()["token_id"]]
    await http.stack.heard(token_revoked, lambda event: event.data["token_id"] == second.json()["token_id"])
    await is_out(other)
    assert await status(ann) == 200
    assert (await ann.post("/api/users/owner/tokens/revoke", json={})).status_code == 404
    answer = await http.client.post("/api/users/ann/tokens/revoke", json={})
    assert answer.json()["token_ids"] == [mine]
    again = await http.client.post("/api/users/ann/tokens/revoke", json={"keep_current": False})
    assert again.json()["token_ids"] == []
    await http.stack.heard(tokens_revoked, lambda event: event.data["token_ids"] == [])
    assert (await http.client.post("/api/users/nobody/tokens/revoke", json={})).status_code == 404
    await http.site("plant-a")
    _, narrow = await issue(http, "narrow", sites=["plant-a"])
    for name in ("owner", "ann"):
        assert (await narrow.post(f"/api/users/{name}/tokens/revoke", json={})).status_code == 403
    assert (await http.client.post("/api/users/owner/tokens/revoke", json={"keep_current": False})).status_code == 200
    await is_out(http.client)


async def test_a_revocation_reaches_two_gateways_within_a_second(http: Http) -> None:
    other = await Http(http.stack).open()
    try:
        for _ in range(5):
            token_id, client = await issue(http, "ci")
            secret = client.headers["Authorization"].removeprefix("Bearer ")
            there = other.of(secret)
            assert [await status(client), await status(there)] == [200, 200]
            began = time.monotonic()
            assert (await http.client.delete(f"/api/tokens/{token_id}")).status_code == 200
            while [await status(client), await status(there)] != [401, 401]:
                assert time.monotonic() - began < 1.0
                await asyncio.sleep(0.01)
    finally:
        await other.close()


async def test_a_gateway_that_heard_nothing_asks_again_after_a_second(http: Http) -> None:
    token_id, client = await issue(http, "ci")
    secret = client.headers["Authorization"].removeprefix("Bearer ")
    identity, now_s = http.edge.identity, [100.0]
    identity._monotonic = lambda: now_s[0]
    assert await identity.by_secret(secret, "127.0.0.1") is not None
    await http.running.pool.execute("UPDATE tokens SET revoked_at = now() WHERE token_id = $1", token_id)
    now_s[0] += 0.9
    assert await identity.by_secret(secret, "127.0.0.1") is not None
    now_s[0] += 0.2
    assert await identity.by_secret(secret, "127.0.0.1") is None
