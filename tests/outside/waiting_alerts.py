"""Three alerts for what has to last a minute or two, and is awaited: all three are broken at once.

A transaction that somebody left open holds the notifier's table of circuits; a service that a command needs is stopped;
and the stream of events is full. Once they are mended, all that had waited is done.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import httpx2

from deploy.local import LocalStack
from libs.common.topology import Topology
from tests.local_traffic import OPS
from tests.outside.handles import bound, signalled, subscribed, waits_for_lock
from tests.outside.watch import WITHIN_S, Watch
from tests.outside.world import check, until
from tests.receiver import Receiver

SYNC = f"{OPS}/remediation/tracker/sync"
CIRCUITS = "notifier.circuit"
PENDING = 'headgate_deliveries_open{channel="webhook", state="pending"} > 0'
LONG_S = 180  # a delivery must have waited for two minutes


def step(watch: Watch, stack: LocalStack, http: httpx2.Client) -> None:
    """Break the three, see their alerts fire, and mend them."""
    watch.still("HeadgateCommandsFail", "HeadgateOutboxStuck", "HeadgateDeliveriesWait")
    with Receiver() as receiver:
        subscribed(http, "waiting", receiver.url)
        with _left_open(stack):
            signalled(http)
            until("a delivery is due", lambda: watch.query(PENDING), WITHIN_S)
            with _stopped(stack, "governance"), _full(stack):
                asked = http.post(SYNC, json={}, headers={"Prefer": "respond-async"})
                check(asked.status_code == 202, asked.text)
                made = http.post("/api/sites", json={"site": "north", "title": "North"})
                check(made.status_code == 201, made.text)
                watch.await_fired("HeadgateCommandsFail", "HeadgateOutboxStuck", within_s=LONG_S)
            said = http.get(asked.headers["Location"]).json()
            check(said["http_status"] == 504, f"the command came to {said}")
            watch.await_over("HeadgateOutboxStuck")
            check(not receiver.got, "it was sent past the lock")
            watch.await_fired("HeadgateDeliveriesWait", within_s=LONG_S)
        until("what waited is sent", lambda: receiver.got, WITHIN_S)
    stack.wait_ready()


@contextmanager
def _left_open(stack: LocalStack) -> Iterator[None]:
    """Somebody's transaction that holds a table; the sender of deliveries waits for it."""
    done, held = threading.Event(), threading.Event()

    async def hold() -> None:
        holder = await asyncpg.connect(stack.servers.database_url)
        looker = await asyncpg.connect(stack.servers.database_url)
        try:
            async with holder.transaction():
                await holder.execute(f"LOCK TABLE {CIRCUITS} IN EXCLUSIVE MODE")
                while not await waits_for_lock(looker, CIRCUITS) and not done.is_set():
                    await asyncio.sleep(0.1)
                held.set()
                await asyncio.to_thread(done.wait)
        finally:
            await holder.close()
            await looker.close()

    thread = threading.Thread(target=lambda: asyncio.run(hold()), name="left open", daemon=True)
    thread.start()
    try:
        until("the sender waits for the table", held.is_set, WITHIN_S)
        yield
    finally:
        done.set()
        thread.join(WITHIN_S)


@contextmanager
def _stopped(stack: LocalStack, service: str) -> Iterator[None]:
    stack.halt(service)
    try:
        yield
    finally:
        stack.resume(service)


@contextmanager
def _full(stack: LocalStack) -> Iterator[None]:
    """The stream of events takes nothing more."""
    stream = Topology().events_stream
    before = asyncio.run(bound(stack, stream, None))
    try:
        yield
    finally:
        asyncio.run(bound(stack, stream, before))
