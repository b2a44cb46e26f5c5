"""What is kept of a person: exported as one answer, and erased everywhere, while the audit log stays whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.client.verify import verify
from libs.common.contracts.gateway.personal import user_erased
from libs.common.personal import PERMISSION
from services.audit.service import make_service
from tests.http_edge import Http
from tests.integration.audit_desk import verified
from tests.integration.notifier_desk import Desk, open_desk
from tests.integration.sink import Sink
from tests.stack import Stack

pytestmark = pytest.mark.integration
ADDRESS, PHONE, HOOK = "127.0.0.1", "bobphone/7", "PagerDuty"
REASON = {"reason": "asked by letter"}


@pytest_asyncio.fixture
async def desk(stack: Stack, sink: Sink) -> AsyncIterator[Desk]:
    await stack.start(make_service(None))
    found = await open_desk(stack, sink)
    yield found
    await found.http.close()


async def bob_worked(http: Http) -> httpx2.AsyncClient:
    """Bob, a manager, has a name, a session, a channel of his own, and made a user with his phone."""
    bob = await http.user("bob", "manager")
    bob.headers["User-Agent"] = PHONE
    assert (await http.client.patch("/api/users/bob", json={"display_name": "Bob Secretname"})).status_code == 200
    assert (await bob.post("/api/sessions")).status_code == 201
    channel = {"name": "pager", "kind": "pagerduty", "address": "a" * 32}
    assert (await bob.post("/api/me/channels", json=channel)).status_code == 201
    assert (await bob.post("/api/users", json={"username": "vic", "role": "viewer"})).status_code == 201
    await http.edge.identity.store_uses()
    await settled(http.stack)
    return bob


async def settled(stack: Stack) -> None:
    for service in ("gateway", "notifier", "audit"):
        await stack.idle(service)


async def get(client: httpx2.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_person_and_who_may_export_what_is_kept(desk: Desk) -> None:
    http = desk.http
    bob = await bob_worked(http)
    mine = await get(bob, "/api/me/personal-data")
    assert mine["user"]["display_name"] == "Bob Secretname"
    assert [(one["address"], one["agent"]) for one in mine["sessions"]] == [(ADDRESS, PHONE)]
    assert [(one["last_used_address"], one["addresses"]) for one in mine["tokens"]] == [(ADDRESS, [ADDRESS])]
    assert [(one["name"], one["address_shown"]) for one in mine["channels"]] == [("pager", HOOK)]
    assert {(one["client_address"], one["client_agent"]) for one in mine["work"]} == {(ADDRESS, PHONE)}
    assert mine["work_left_out"] is False
    ann = await http.user("ann", "auditor")
    for client in (ann, http.client):
        assert (await get(client, "/api/users/bob/personal-data"))["channels"] == mine["channels"]
    refused = await (await http.user("mia", "manager")).get("/api/users/bob/personal-data")
    assert (refused.status_code, PERMISSION in refused.json()["detail"]) == (403, True)
    assert (await ann.get("/api/users/nobody/personal-data")).status_code == 404
    bound = await bob.post("/api/tokens", json={"label": "ci", "permissions": ["gate:read"]})
    assert (await http.of(bound.json()["token"]).get("/api/me/personal-data")).status_code == 403
    await http.edge.log_reads.flush()
    await settled(http.stack)
    [told] = (await get(ann, "/api/audit/entries", action="gateway.log_reads.counted"))["items"][:1]
    assert {"who": "ann", "route": "/api/users/{username}/personal-data", "count": 1} in told["event"]["data"]["items"]
    # What can't be gathered is not left out in silence.
    await http.stack.stop("notifier")
    assert (await ann.get("/api/users/bob/personal-data")).status_code in (503, 504)


async def test_what_is_erased_is_read_by_nobody_and_the_log_still_verifies(desk: Desk) -> None:
    http = desk.http
    bob = await bob_worked(http)
    before = (await http.client.get("/api/audit/export.ndjson")).text.splitlines()
    path = "/api/users/bob/erase"
    assert (await get(http.client, "/api/users/bob/erasure"))["state"] == "none"
    http.stack.clock.advance(minutes=2)
    assert (await get(bob, "/api/me"))["username"] == "bob"  # what a gateway has in mind of it comes after the erasure
    early = await http.client.post(path, json=REASON)
    assert (early.status_code, "deactivate" in early.json()["detail"]) == (409, True)
    assert (await http.client.patch("/api/users/bob", json={"active": False})).status_code == 200
    mia = await http.user("mia", "manager")
    assert (await mia.post(path, json=REASON)).status_code == 403
    assert (await http.client.post(path, json={})).status_code == 422
    assert (await http.client.post("/api/users/nobody/erase", json=REASON)).status_code == 404
    for _ in range(2):  # as often as one likes
        answer = await http.client.post(path, json=REASON)
        assert (answer.status_code, answer.json()["reason"]) == (200, REASON["reason"]), answer.text
    await http.stack.heard(user_erased)
    await http.edge.identity.store_uses()
    await http.edge.sessions.store_seen()
    await settled(http.stack)
    assert await get(http.client, "/api/users/bob/erasure") == {
        "username": "bob", "state": "done", "erased_at": answer.json()["erased_at"], "left_count": 0,
    }  # fmt: skip
    left = await get(http.client, "/api/users/bob/personal-data")
    assert (left["user"]["display_name"], left["providers"]) == ("", [])
    assert [(one["address"], one["agent"]) for one in left["sessions"]] == [("", "")]
    assert [(one["last_used_address"], one["addresses"]) for one in left["tokens"]] == [(None, [])]
    assert [(one["name"][:7], one["status"], one["address_shown"]) for one in left["channels"]] == [
        ("erased-", "removed", "")
    ]
    assert {(one["client_address"], one["client_agent"]) for one in left["work"]} == {("erased", "erased")}
    # The log is what it was, byte by byte, and holds; of others it still says from where they came.
    after = (await http.client.get("/api/audit/export.ndjson")).text.splitlines()
    assert set(before) <= set(after)
    assert verify([json.loads(line) for line in after]).valid
    assert (await verified(http.stack))["valid"]
    assert not any(word in "".join(after) for word in (ADDRESS, PHONE, "Secretname"))
    others = (await get(http.client, "/api/audit/actors/owner/sessions"))["items"]
    assert {one["client_address"] for one in others} == {ADDRESS}
    async with http.running.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM personal_key WHERE holder = 'bob'") == 0


async def test_a_service_that_was_away_lets_go_when_it_is_back(desk: Desk, sink: Sink) -> None:
    http = desk.http
    await bob_worked(http)
    notifier = http.stack.running["notifier"].service
    await http.stack.stop("notifier")
    assert (await http.client.patch("/api/users/bob", json={"active": False})).status_code == 200
    assert (await http.client.post("/api/users/bob/erase", json=REASON)).status_code == 200
    waiting = await get(http.client, "/api/users/bob/erasure")
    assert (waiting["state"], waiting["left_count"]) == ("unknown", None)
    await http.stack.start(notifier)
    await settled(http.stack)
    assert (await get(http.client, "/api/users/bob/erasure"))["state"] == "done"


async def outcomes_of(stack: Stack) -> str:
    """All that commands came to, of the two services that keep something of people."""
    found = ""
    for service in ("gateway", "notifier"):
        pool = stack.running[service].pool
        found += await pool.fetchval("SELECT coalesce(string_agg(convert_from(body, 'UTF8'), ' '), '') FROM outcomes")
    return found


async def test_what_commands_came_to_is_erased_too_and_counted(desk: Desk) -> None:
    http = desk.http
    bob = await bob_worked(http)
    taken = {"name": "pager", "kind": "pagerduty", "address": "b" * 32}
    assert (await bob.post("/api/me/channels", json=taken)).status_code == 409
    key = {"Idempotency-Key": "once"}
    new = {"username": "ann", "role": "operator", "sites": ["*"], "display_name": "Ann Othername"}
    assert (await http.client.post("/api/users", json=new, headers=key)).status_code == 201
    kept, named = await outcomes_of(http.stack), ('"pager"', "channel pager already")
    assert all(word in kept for word in (ADDRESS, PHONE, "Secretname", HOOK, *named, "Othername"))
    assert (await http.client.patch("/api/users/bob", json={"active": False})).status_code == 200
    assert (await http.client.post("/api/users/bob/erase", json=REASON)).status_code == 200
    await http.stack.heard(user_erased)
    await settled(http.stack)
    kept = await outcomes_of(http.stack)
    assert not [word for word in (ADDRESS, PHONE, "Secretname", HOOK, *named) if word in kept]
    again = await http.client.post("/api/users", json=new, headers=key)
    assert (again.status_code, again.json()["display_name"]) == (201, "Ann Othername"), "of others it is as it was"
    # What comes late is counted until it is erased again.
    for service, said in (
        ("gateway", '{"username": "bob", "display_name": "Bob Secretname"}'),
        ("notifier", '{"person": "bob", "address_shown": "bob@example.com"}'),
    ):
        operation = "gateway.user.patch" if service == "gateway" else "notifier.own_channel.change"
        await http.stack.running[service].pool.execute(
            "INSERT INTO outcomes (command_id, operation, actor, site, digest, http_status, body) "
            "VALUES (gen_random_uuid(), $1, 'bob', 'global', '', 200, convert_to($2, 'UTF8'))",
            operation,
            said,
        )
        left = await get(http.client, "/api/users/bob/erasure")
        assert (left["state"], left["left_count"]) == ("pending", 1), service
        assert (await http.client.post("/api/users/bob/erase", json=REASON)).status_code == 200
        await settled(http.stack)
        left = await get(http.client, "/api/users/bob/erasure")
        assert (left["state"], left["left_count"]) == ("done", 0), service


async def test_what_was_delivered_to_a_persons_own_channel_says_nothing_of_them_any_more(desk: Desk) -> None:
    http = desk.http
    bob = await http.user("bob", "manager")
    body = {"name": "phone", "kind": "generic", "address": desk.sink.url("/bobs")}
    made = await bob.post("/api/me/channels", json=body)
    assert made.status_code == 201, made.text
    number = made.json()["channel_id"]
    assert (await bob.post(f"/api/me/channels/{number}/test")).status_code == 200
    pool = http.stack.running["notifier"].pool
    row = "SELECT attempts <> '[]' AND request_headers IS NOT NULL FROM delivery WHERE state = 'delivered'"
    async with asyncio.timeout(15):
        while not await pool.fetchval(row):
            await asyncio.sleep(0.05)
    await pool.execute("UPDATE delivery SET note = 'bob@example.com'")
    assert (await http.client.patch("/api/users/bob", json={"active": False})).status_code == 200
    assert (await http.client.post("/api/users/bob/erase", json=REASON)).status_code == 200
    await http.stack.heard(user_erased)
    await settled(http.stack)
    kept = "attempts::text, request_headers, answer_headers, answer_head, note"
    assert tuple(await pool.fetchrow(f"SELECT {kept} FROM delivery") or ()) == ("[]", None, None, None, None)
    assert (await get(http.client, "/api/users/bob/erasure"))["state"] == "done"
    await pool.execute("UPDATE delivery SET note = 'came late'")
    assert (await get(http.client, "/api/users/bob/erasure"))["state"] == "pending"
