"""The outbox's relay when nobody acknowledges what it publishes."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.msg import Msg

from libs.common import topology
from libs.common.contracts.tracker.board import board_synced
from libs.common.contracts.tracker.items import patch_item
from tests.integration.test_loop import Fake
from tests.stack import Stack

pytestmark = pytest.mark.integration


async def test_what_is_not_acknowledged_is_sent_again_soon(stack: Stack) -> None:
    """As in a cluster without a leader: the message is taken and nobody answers. The relay waited 10 s each time."""
    running = await stack.start(Fake().service())

    def frozen() -> bool:
        return running.bus.stalled

    swallowed: asyncio.Queue[Msg] = asyncio.Queue()
    await stack.bus.nats.subscribe(stack.topology.event_filter(), cb=swallowed.put)
    await stack.bus.nats.flush()
    await stack.bus.js.delete_stream(stack.topology.events_stream)
    answer = await stack.command(patch_item, {"item_id": 1})
    assert answer.status == 200
    first = await asyncio.wait_for(swallowed.get(), 10)
    again = await asyncio.wait_for(swallowed.get(), 8)
    assert again.data == first.data
    assert not frozen(), "one pause is no full disk"
    async with asyncio.timeout(10):
        while not frozen():
            await asyncio.sleep(0.05)
    await topology.apply(stack.bus.js, stack.topology)
    assert (await stack.heard(board_synced)).causationid
    await stack.idle("tracker")
    assert not frozen()
