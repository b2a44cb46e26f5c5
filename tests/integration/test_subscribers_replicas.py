"""Subscribers behind two gateways: either lets them in, either ends them, and one that stops is not missed."""

from __future__ import annotations

import asyncio

import pytest

from tests.http_edge import OWNER, Http
from tests.integration.bus_guest import Guest
from tests.integration.test_subscribers import ends, enter, happen, make, refused
from tests.stack import Stack

pytestmark = pytest.mark.integration
EVENTS = 200


async def _take(guest: Guest, wanted: int) -> list[str]:
    """The ids of what it pulls and acknowledges, until so many came."""
    ids: list[str] = []
    async with asyncio.timeout(30):
        while len(ids) < wanted:
            for message in await guest.pull(25, 1.0):
                ids.append(message.data.decode()[:200])
                await guest.ack(message)
    return ids


async def test_a_subscriber_is_carried_by_the_gateway_that_is_left(stack: Stack) -> None:
    first, second = await Http(stack).open(), await Http(stack).open()
    made = await make(first, types=["governance.signal.*"])
    guest = await enter(second, made)
    for _ in range(EVENTS):
        await happen(first)
    taken = await _take(guest, EVENTS // 2)
    await first.close()
    await first.running.stop()
    taken += await _take(guest, EVENTS - len(taken))
    assert len(set(taken)) == len(taken) == EVENTS, "each once: two carriers never pull twice for one question"
    assert await guest.pull(10, 0.5) == []
    late = await enter(second, made)
    issued = (await second.client.post("/api/tokens", json={"label": "bus"})).json()
    other = await enter(second, made, issued["token"])
    assert (await second.client.delete(f"/api/tokens/{issued['token_id']}")).status_code == 200
    assert await ends(other) < 5
    assert guest.client.is_connected
    assert late.client.is_connected
    for one in (guest, late, other):
        await one.client.close()
    await second.close()


async def test_a_token_that_one_gateway_revokes_is_refused_by_both(stack: Stack) -> None:
    first, second = await Http(stack).open(), await Http(stack).open()
    made = await make(first)
    issued = (await first.client.post("/api/tokens", json={"label": "bus"})).json()
    guests = [await enter(first, made, issued["token"]) for _ in range(4)]  # whichever gateway answered for each
    assert (await second.client.delete(f"/api/tokens/{issued['token_id']}")).status_code == 200
    assert max([await ends(guest) for guest in guests]) < 5
    for _ in range(4):
        await refused(first, made, issued["token"])
    stays = await enter(first, made, OWNER)
    for one in (*guests, stays):
        await one.client.close()
    for edge in (first, second):
        await edge.close()
