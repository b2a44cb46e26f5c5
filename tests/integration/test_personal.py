"""Who may read what is personal: addresses and programs, in every answer that has them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from libs.client.verify import NotAnEntry, verify
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.gateway.clients import ClientsSealed, SealedClient, open_clients
from libs.common.contracts.gateway.sites import create_site
from libs.common.personal import PERMISSION
from libs.common.problems import Unavailable
from services.audit.service import make_service
from services.gateway.personal import clients
from tests.http_edge import Http
from tests.stack import Stack

pytestmark = pytest.mark.integration
BOB = {"User-Agent": "bobphone/7"}
ADDRESS = "127.0.0.1"


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge before the audit log; the auditor ann and the managers bob and mia."""
    await stack.start(make_service(None))
    opened = await Http(stack).open()
    for name, role in (("ann", "auditor"), ("bob", "manager"), ("mia", "manager")):
        assert (await opened.client.post("/api/users", json=user(name, role))).status_code == 201
    yield opened
    await opened.close()


def user(name: str, role: str) -> dict[str, Any]:
    return {"username": name, "role": role, "sites": ["*"]}


async def client_of(http: Http, name: str, **bounds: Any) -> httpx2.AsyncClient:
    answer = await http.client.post("/api/tokens", json={"username": name, "label": "x", **bounds})
    assert answer.status_code == 201, answer.text
    return http.of(answer.json()["token"])


async def logged(stack: Stack) -> None:
    for service in ("gateway", "audit"):
        await stack.idle(service)


async def get(client: httpx2.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def bob_works(http: Http) -> httpx2.AsyncClient:
    """Bob makes a user with his phone; his client."""
    bob = await client_of(http, "bob")
    assert (await bob.post("/api/users", json=user("vic", "viewer"), headers=BOB)).status_code == 201
    await logged(http.stack)
    return bob


async def test_from_where_somebody_came_is_for_who_may_read_what_is_personal(http: Http) -> None:
    bob = await bob_works(http)
    clear, masked = (ADDRESS, "bobphone/7"), ("***", "***")
    wide, narrow = await client_of(http, "ann"), await client_of(http, "ann", permissions=["audit:read"])
    for client, wanted in (
        (http.client, clear), (wide, clear), (bob, clear), (narrow, masked), (await client_of(http, "mia"), masked),
    ):  # fmt: skip
        [_, deed] = (await get(client, "/api/audit/resources/gateway.user/vic"))["items"]
        [work] = (await get(client, "/api/audit/actors/bob/sessions"))["items"]
        request = (await get(client, f"/api/audit/traces/{deed['trace_id']}"))["nodes"][0]
        for one in (deed, work, request):
            assert (one["client_address"], one["client_agent"]) == wanted
        shown = await get(client, f"/api/audit/entries/{deed['seq']}")
        assert (shown["client"]["address"], shown["client"]["agent"]) == wanted
        listed = await client.get("/api/audit/entries", params={"actor": "bob", "clients": True})
        if wanted == masked or client is bob:
            assert listed.status_code == 403, listed.text
            assert PERMISSION in listed.json()["detail"]
        else:
            assert {"address": ADDRESS, "agent": "bobphone/7"} in [one.get("client") for one in listed.json()["items"]]
            table = await client.get("/api/audit/export.csv", params={"actor": "bob", "clients": True})
            assert clear in {(r["client_address"], r["client_agent"]) for r in csv.DictReader(io.StringIO(table.text))}


async def test_all_that_is_listed_verifies_for_who_may_not_read_it(http: Http) -> None:
    await bob_works(http)
    mia = await client_of(http, "mia")
    await logged(http.stack)
    for path, params in (("/api/audit/export.ndjson", {}), ("/api/audit/entries", {"limit": 500})):
        answer = await mia.get(path, params=params)
        assert ADDRESS not in answer.text
        assert "bobphone" not in answer.text
        lines = [json.loads(line) for line in answer.text.splitlines()] if "ndjson" in path else answer.json()["items"]
        report = verify(lines)
        assert (report.valid, report.unread_count) == (True, 0), report
    owner = await http.client.get("/api/audit/export.ndjson", params={"clients": True})
    assert ADDRESS in owner.text
    assert verify([json.loads(line) for line in owner.text.splitlines()]).valid
    # The same place gives the same text, and each person has a key of their own.
    texts = {(one["actor"], one["client_address"]) for one in lines if one["client_address"]}
    assert len(texts) == len({actor for actor, _ in texts}) == len({text for _, text in texts}) > 1


async def test_an_entry_of_before_is_shown_without_what_is_personal(http: Http) -> None:
    old = CloudEvent(
        "0190a000-0000-7000-8000-000000000001",
        "/headgate/gateway",
        create_site.type,
        time=http.stack.clock(),
        actor="bob",
        clientaddress="192.0.2.77",
        clientagent="oldphone/1",
    )
    await http.stack.bus.publish_command(create_site, old, b'{"site": "south", "title": "S"}')
    await logged(http.stack)
    mia = await client_of(http, "mia")
    [entry] = (await get(mia, "/api/audit/entries", action="gateway.site.create"))["items"]
    assert (entry["masked"], entry["payload"], entry["client_address"], entry["client_agent"]) == (
        True,
        None,
        *["***"] * 2,
    )
    assert entry["event"]["data"]["client_address"] == "***"
    assert (await get(mia, "/api/audit/entries", text="192.0.2.77"))["items"] == []
    assert "192.0.2.77" not in (await mia.get("/api/audit/export.ndjson")).text
    with pytest.raises(NotAnEntry, match="personal:read"):
        verify([entry], whole=False)
    [entry] = (await get(http.client, "/api/audit/entries", text="192.0.2.77"))["items"]
    assert (entry["client_address"], entry.get("masked")) == ("192.0.2.77", None)
    assert verify([entry], whole=False).valid


async def test_last_addresses_of_tokens_and_sessions_of_others(http: Http) -> None:
    bob = await bob_works(http)
    opened = await bob.post("/api/sessions", headers=BOB)
    assert opened.status_code == 201, opened.text
    await http.edge.identity.store_uses()
    mia = await client_of(http, "mia")
    for client, address, agent in (
        (mia, "***", "***"),
        (bob, ADDRESS, "bobphone/7"),
        (http.client, ADDRESS, "bobphone/7"),
    ):
        tokens = await get(client, "/api/tokens", username="bob")
        assert {one["last_used_address"] for one in tokens} == {address}
        [session] = await get(client, "/api/users/bob/sessions")
        assert (session["address"], session["agent"]) == (address, agent)


async def test_a_service_opens_nothing_for_who_may_not(http: Http) -> None:
    await bob_works(http)
    sealed = (await http.edge.clients.seal("bob", ADDRESS, "x"))[0]
    wanted = ClientsSealed(items=[SealedClient(actor="bob", address=sealed)])
    for actor, permissions, status in (("mia", (), 403), ("bob", (), 200), ("mia", (PERMISSION,), 200)):
        answer = await http.stack.query(open_clients, wanted, actor=actor, permissions=permissions)
        assert answer.status == status, answer
        assert status != 200 or answer.json == [{"address": ADDRESS, "agent": None}]
    # Another person's text, and what nobody sealed, stay closed.
    other = ClientsSealed(
        items=[SealedClient(actor="ann", address=sealed), SealedClient(actor="bob", address="p1.AAAA")]
    )
    answer = await http.stack.query(open_clients, other, permissions=(PERMISSION,))
    assert answer.json == [{"address": None, "agent": None}] * 2


async def test_while_the_database_is_away_a_known_key_goes_on(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    sealing = http.edge.clients
    before = await sealing.seal("bob", ADDRESS, "x")

    async def away(*_: Any, **__: Any) -> None:
        raise OSError("away")

    monkeypatch.setattr(clients, "FRESH_S", 0.0)
    sealing._known = {holder: (key, 0.0) for holder, (key, _) in sealing._known.items()}
    monkeypatch.setattr(sealing, "_stored", away)
    assert await sealing.seal("bob", ADDRESS, "x") == before
    with pytest.raises(Unavailable, match="can't be noted now"):
        await sealing.seal("somebody-new", ADDRESS, "x")
