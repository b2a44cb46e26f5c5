"""Many receivers, many processes: who hangs delays nobody, who dies loses nothing, one event is one transaction."""

from __future__ import annotations

import asyncio

import pytest

from libs.common import runtime
from libs.common.outbound import Outbound
from services.notifier import claims, sending
from services.notifier.service import make_service
from tests.integration.notifier_desk import HERE, VAULT, Desk, open_desk
from tests.integration.sink import Sink, answer
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.whole]

COPIED = """site, name, owner, status, status_reason, channel, endpoint, event_types, gates, rules, priorities, roles,
    condition, secret, fingerprint, created_at, changed_by, changed_at"""
COPY_SUBSCRIPTION = f"""
INSERT INTO notifier.subscription ({COPIED})
SELECT {COPIED} FROM notifier.subscription, generate_series(1, $2::integer)
WHERE subscription_id = $1
"""


async def _copy(stack: Stack, subscription_id: int, count: int) -> None:
    """Make so many more subscriptions like that one, fast."""
    connection = await stack.superuser()
    await connection.execute(COPY_SUBSCRIPTION, subscription_id, count)
    await connection.execute("UPDATE notifier.roll SET number = number + 1")
    await connection.close()


async def test_receivers_that_hang_delay_nobody_else(stack: Stack, sink: Sink) -> None:
    """More of them than there are slots: those that answer still get theirs at once."""
    desk = await open_desk(stack, sink, total_s=4.0)
    try:
        sink.says["/hangs"] = None
        made = await desk.subscribe("/hangs", condition='data.subjects == "slow"')
        await _copy(stack, made["subscription_id"], sending.SLOTS)
        await desk.subscribe("/good", condition='data.subjects == "quick"')
        for _ in range(3):
            await desk.halt(subjects="slow")
        await desk.until("retrying")  # from here on they are known to fail
        for _ in range(40):
            await desk.halt(subjects="quick")
        began = asyncio.get_running_loop().time()
        await sink.wait_for("/good", 40)
        assert asyncio.get_running_loop().time() - began < 3.5  # less than one hanging attempt takes
    finally:
        await desk.http.close()


async def test_two_replicas_send_each_delivery_once(desk: Desk, sink: Sink, stack: Stack) -> None:
    await desk.subscribe()
    other = await runtime.start(make_service(Outbound(HERE), VAULT), stack.settings("notifier"), clock=stack.clock)
    try:
        for _ in range(150):
            await desk.halt()
        await sink.wait_for("/hook", 150)
        await stack.idle("notifier")
        await desk.until("delivered", 150, limit=200)
        assert len({one.headers["webhook-id"] for one in sink.got}) == len(sink.got) == 150
    finally:
        await other.stop()


async def test_what_a_process_that_died_had_in_hand_is_sent_when_its_lease_has_ended(
    desk: Desk, sink: Sink, stack: Stack
) -> None:
    sink.says["/hook"] = answer(503)
    await desk.subscribe()
    await desk.halt()
    await desk.until("retrying")
    connection = await stack.superuser()
    await connection.execute(
        "UPDATE notifier.delivery SET state = 'delivering', due_at = $1", stack.clock() + claims.LEASE
    )
    await connection.close()
    sink.says["/hook"] = answer(200)
    stack.clock.advance(seconds=30)
    stack.running["notifier"].wake_workers()
    await asyncio.sleep(0.2)
    assert [row["state"] for row in await desk.deliveries()] == ["delivering"]
    stack.clock.advance(seconds=16)
    await desk.until("delivered")
    assert len({one.headers["webhook-id"] for one in sink.got}) == 1


async def test_one_event_for_a_thousand_subscriptions_is_one_transaction(desk: Desk, sink: Sink, stack: Stack) -> None:
    made = await desk.subscribe()
    await _copy(stack, made["subscription_id"], 999)
    connection = await stack.superuser()
    for table in ("delivery", "event"):
        await connection.execute(f"ALTER TABLE notifier.{table} ADD COLUMN made_in xid8 DEFAULT pg_current_xact_id()")
    await desk.halt()
    await sink.wait_for("/hook", 1000, within_s=60)
    made_in = """
    SELECT made_in FROM notifier.delivery
    UNION SELECT made_in FROM notifier.event WHERE name = 'governance.line.halted'
    """
    assert len(await connection.fetch(made_in)) == 1
    assert await connection.fetchval("SELECT count(*) FROM notifier.delivery") == 1000
    await connection.close()
