"""The guard over channels: whatever leads to one channel shares its circuits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from libs.common.contracts.notifier.guard import circuit_probed
from tests.integration.guard_room import GUARD, HALTED, circuits, until_guard, until_healthy
from tests.integration.notifier_desk import Desk
from tests.integration.sink import Sink, answer
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.whole]


@pytest_asyncio.fixture
async def database(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    found = await stack.superuser()
    yield found
    await found.close()


async def _people(desk: Desk, sink: Sink) -> tuple[int, list[int]]:
    """A channel that answers 500, with two subscriptions; returns its target and their numbers."""
    sink.says["/room"] = answer(500)
    channel = await desk.ask("POST", "/channels", {"name": "ops", "kind": "slack", "address": sink.url("/room")}, 201)
    body = {"name": "to people", "event_types": [HALTED], "channel": "ops"}
    made = [(await desk.ask("POST", "/subscriptions", body, 201))["subscription_id"] for _ in range(2)]
    return -channel["channel_id"], made


async def _open(desk: Desk, sink: Sink) -> None:
    """Make events until the circuit is open. What is sent by two lanes at once may count once."""
    async with asyncio.timeout(30):
        while not any(one["circuit"] == "open" for one in await circuits(desk)):
            tried = len(sink.got)
            await desk.halt()
            await sink.wait_for("/room", tried + 1)
            while await desk.deliveries(state="delivering"):
                await asyncio.sleep(0.02)


async def test_what_leads_to_one_channel_shares_its_circuit_whatever_subscription_it_is_of(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    target, (first, second) = await _people(desk, sink)
    await _open(desk, sink)
    found = await until_guard(desk, circuit="open")
    assert (found["target"], found["name"]) == (target, "ops")
    await desk.halt()
    rows = await desk.until("suppressed", 2)
    assert {row["subscription_id"] for row in rows} == {first, second}
    # The one whose delivery would be the probe is removed: another's is.
    await desk.ask("POST", f"{GUARD}/recover", {"target": target})
    await sink.wait_for("/room", len(sink.got) + 1)
    await until_guard(desk, circuit="open")
    await desk.ask("DELETE", f"/subscriptions/{first}")
    sink.says["/room"] = answer(200)
    await desk.ask("POST", f"{GUARD}/recover", {"target": target})
    await until_healthy(desk)
    stack.clock.advance(minutes=5)
    await desk.until("delivered", 2)
    assert await desk.deliveries(state="suppressed") == []


async def test_a_sample_goes_straight_to_a_channel_of_which_nothing_is_held_back(desk: Desk, sink: Sink) -> None:
    target, _ = await _people(desk, sink)
    await desk.halt()
    await until_guard(desk, state="warning")
    sink.says["/room"] = answer(200)
    asked = await desk.ask("POST", f"{GUARD}/recover", {"target": target})
    assert [(one["name"], one["sample"]) for one in asked["probes"]] == [("ops", True)]
    [row] = await desk.until("delivered", event_name=circuit_probed.name)
    assert (row["purpose"], row["subscription_id"]) == ("probe", None)
    await until_healthy(desk)


async def test_an_escalation_goes_through_an_open_circuit_and_its_success_heals(
    desk: Desk, sink: Sink, stack: Stack, database: asyncpg.Connection
) -> None:
    await _people(desk, sink)
    await _open(desk, sink)
    tried = len(sink.got)
    sink.says["/room"] = answer(200)
    await database.execute(
        "INSERT INTO notifier.delivery (channel_id, event_id, site, event_name, purpose, state, due_at, created_at)"
        " SELECT channel_id, event_id, event.site, $2, 'escalation', 'pending', $1, $1"
        " FROM notifier.channel, notifier.event LIMIT 1",
        stack.clock(),
        HALTED,
    )
    await sink.wait_for("/room", tried + 1)
    await until_healthy(desk)


async def test_what_is_held_back_for_one_channel_is_sent_when_the_subscription_leads_to_another(
    desk: Desk, sink: Sink
) -> None:
    _, (first, _) = await _people(desk, sink)
    await _open(desk, sink)
    await desk.halt()
    await desk.until("suppressed", 2)
    await desk.ask("POST", "/channels", {"name": "spare", "kind": "slack", "address": sink.url("/spare")}, 201)
    await desk.ask("PUT", f"/subscriptions/{first}", {"name": "moved", "event_types": [HALTED], "channel": "spare"})
    await sink.wait_for("/spare", 1)
    await desk.until("delivered", 1, subscription_id=first)


async def test_a_channel_that_is_changed_is_tried_and_one_that_is_removed_takes_its_circuits_along(
    desk: Desk, sink: Sink, database: asyncpg.Connection
) -> None:
    target, made = await _people(desk, sink)
    await _open(desk, sink)
    before = len(await desk.deliveries(state="suppressed"))
    await desk.halt()
    await desk.until("suppressed", before + 2)
    body = {"name": "ops", "kind": "slack", "address": sink.url("/elsewhere")}
    await desk.ask("PUT", f"/channels/{-target}", body)
    await desk.until("delivered", 2)
    await until_healthy(desk)
    sink.says["/elsewhere"] = answer(500)
    await desk.halt()
    await until_guard(desk, state="warning")
    for one in made:
        await desk.ask("DELETE", f"/subscriptions/{one}")
    await desk.ask("DELETE", f"/channels/{-target}")
    assert await database.fetchval("SELECT count(*) FROM notifier.circuit") == 0


async def test_an_escalation_that_is_the_probe_by_hand_keeps_its_own_schedule(
    desk: Desk, sink: Sink, stack: Stack, database: asyncpg.Connection
) -> None:
    await _people(desk, sink)
    await _open(desk, sink)
    raised = await database.fetchval(
        "INSERT INTO notifier.delivery (channel_id, event_id, site, event_name, purpose, key, state, created_at,"
        " ended_at) SELECT channel_id, event_id, event.site, $2, 'escalation', gen_random_uuid(), 'dead', $1, $1"
        " FROM notifier.channel, notifier.event LIMIT 1 RETURNING delivery_id",
        stack.clock(),
        HALTED,
    )
    tried = len(sink.got)
    await desk.ask("POST", f"/deliveries/{raised}/retry")
    await sink.wait_for("/room", tried + 1)
    await until_guard(desk, circuit="open")
    assert (await desk.show(raised))["state"] == "retrying"
