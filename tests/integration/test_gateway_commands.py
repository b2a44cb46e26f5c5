"""Commands that nobody waits for: who may read what became of them, and keys that come again with another body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from libs.common.contracts.base import Command, Query
from libs.common.contracts.governance.runs import gate_decided
from libs.common.contracts.tracker import CONTRACT
from libs.common.contracts.tracker.items import BASE, ItemPatch, patch_item
from libs.common.outcomes import KEY_USED
from libs.common.service import Read, Service, Tx
from services.gateway.commands import Commands
from tests.http_edge import Http
from tests.stack import Stack
from tests.unheard import UNHEARD

pytestmark = pytest.mark.integration

ITEM = f"{BASE}/items/1"
ASYNC = {"Prefer": "respond-async"}


class Desk:
    """Plays the tracker: `open` lets it apply patches, `bodies` is what it applied."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.bodies: list[ItemPatch] = []

    async def patch(self, _: Tx, body: ItemPatch) -> bytes:
        await self.open.wait()
        self.bodies.append(body)
        return orjson.dumps({"item": body.item_id})

    async def read(self, _: Read, __: Any) -> bytes:
        return b"{}"

    async def other(self, _: Any, __: Any) -> Any:
        raise RuntimeError("not played here")

    def service(self) -> Service:
        """Its table of contents."""
        queries: dict[Query, Any] = dict.fromkeys(
            (query for query in CONTRACT.queries if "deadletter" not in query.name), self.read
        )
        commands: dict[Command, Any] = {**dict.fromkeys(CONTRACT.commands, self.other), patch_item: self.patch}
        return Service(contract=CONTRACT, commands=commands, queries=queries,
                       events={gate_decided: self.other, **UNHEARD})  # fmt: skip


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """An edge; tests start the tracker's double themselves."""
    edge = await Http(stack).open()
    yield edge
    await edge.close()


async def test_outcomes_are_read_within_the_sites_of_the_caller(http: Http) -> None:
    for site in ("plant-a", "plant-b"):
        await http.site(site)
    ann = await http.user("ann", "operator")
    narrow = {}
    for site in ("plant-a", "plant-b"):
        issued = await ann.post("/api/tokens", json={"label": site, "sites": [site]})
        narrow[site] = http.of(issued.json()["token"])
    foreign_owner = await http.user("bob", "owner", ["plant-a"])
    near_owner = await http.user("cid", "owner", ["plant-b"])
    sent = await ann.patch(ITEM, json={"status": "done"}, params={"site": "plant-b"}, headers=ASYNC)
    for state in ("pending", "done"):
        path = sent.headers["Location"]
        for client in (ann, narrow["plant-b"], near_owner, http.client):
            shown = await client.get(path)
            assert (shown.status_code, shown.json()["state"]) == (200, state)
        for client in (narrow["plant-a"], foreign_owner):
            assert (await client.get(path)).status_code == 404
        if state == "pending":
            await http.stack.start(Desk().service())
            await http.stack.idle("tracker")


async def test_outcomes_without_a_site_are_for_their_sender_and_owners_of_all(http: Http) -> None:
    await http.site("plant-a")
    ann = await http.user("ann", "viewer", ["plant-a"])
    narrow_owner = await http.user("bob", "owner", ["plant-a"])
    sent = await ann.post("/api/tokens", json={"label": "x"}, headers=ASYNC)
    await http.stack.idle("gateway")
    for client, status in ((ann, 200), (http.client, 200), (narrow_owner, 404)):
        assert (await client.get(sent.headers["Location"])).status_code == status


@pytest.mark.parametrize("prefer", ["respond-async", "wait=1"])
async def test_a_used_key_with_another_body_is_422_while_the_service_is_stopped(http: Http, prefer: str) -> None:
    headers = {"Idempotency-Key": "k-1", "Prefer": prefer}
    first = await http.client.patch(ITEM, json={"status": "done"}, headers=headers)
    again = await http.client.patch(ITEM, json={"status": "done"}, headers=headers)
    other = await http.client.patch(ITEM, json={"status": "blocked"}, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Location"] == first.headers["Location"]
    assert (other.status_code, other.json()["detail"]) == (422, KEY_USED)
    desk = Desk()
    await http.stack.start(desk.service())
    await http.stack.idle("tracker")
    assert [body.status for body in desk.bodies] == ["done"]


async def test_a_used_key_with_another_body_is_422_while_the_service_runs(http: Http) -> None:
    desk = Desk()
    await http.stack.start(desk.service())
    headers = {"Idempotency-Key": "k-1", **ASYNC}
    desk.open.clear()  # the first one is in hand
    assert (await http.client.patch(ITEM, json={"status": "done"}, headers=headers)).status_code == 202
    other = await http.client.patch(ITEM, json={"status": "blocked"}, headers=headers)
    assert (other.status_code, other.json()["detail"]) == (422, KEY_USED)
    desk.open.set()
    await http.stack.idle("tracker")  # now its outcome is stored
    other = await http.client.patch(ITEM, json={"status": "blocked"}, headers=headers)
    assert (other.status_code, other.json()["detail"]) == (422, KEY_USED)
    again = await http.client.patch(ITEM, json={"status": "done"}, headers=headers)
    assert again.status_code == 202
    assert (await http.client.get(again.headers["Location"])).json()["state"] == "done"
    assert [body.status for body in desk.bodies] == ["done"]


async def test_without_a_key_nothing_is_looked_up(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any, **__: Any) -> None:
        raise AssertionError("looked up")

    monkeypatch.setattr(Commands, "_pending", never)
    monkeypatch.setattr(Commands, "_ask", never)
    assert (await http.client.patch(ITEM, json={}, headers=ASYNC)).status_code == 202
