"""One event for 1,000 subscriptions: when the others get theirs while one of the receivers hangs."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.consumer import sample
from bench.deliveries import PERSON, SUBSCRIPTION, VAULT_SECRET
from bench.figures import Figure, Report, percentile
from bench.lab import BenchError, Lab, Space
from deploy.embedded import free_port
from libs.common.contracts.notifier.subscriptions import signing_place
from libs.common.contracts.tracker.items import item_updated
from libs.common.vault import Vault

SUBSCRIPTIONS, EVENTS, ROUNDS, WAIT_S = 1_000, 5, 3, 60.0
POINT = "UPDATE notifier.subscription SET endpoint = $1 WHERE subscription_id = 1"
FORGET = "DELETE FROM notifier.delivery"
LEFT = "SELECT count(*) FROM notifier.delivery WHERE subscription_id <> 1 AND state <> 'delivered'"
MADE = "SELECT count(*) FROM notifier.delivery WHERE subscription_id <> 1"
# By the notifier's clock alone: from the transaction that made it to the answer that was known.
TOOK = """
SELECT extract(epoch FROM ended_at - created_at)::float8 * 1000 AS ms FROM notifier.delivery WHERE subscription_id <> 1
"""
# Of each event: the transactions in which its deliveries were made.
NOTE_TRANSACTION = "ALTER TABLE notifier.delivery ADD COLUMN made_in xid8 DEFAULT pg_current_xact_id()"
TRANSACTIONS = (
    "SELECT max(count) FROM (SELECT count(DISTINCT made_in) FROM notifier.delivery GROUP BY event_id) AS made"
)


@asynccontextmanager
async def _hanging() -> AsyncIterator[str]:
    """The address of a receiver that takes every connection and never says anything."""

    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    server.close()


async def run(lab: Lab, report: Report) -> None:
    """p95 of the others with one that hangs, in turns with p95 where all answer."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    async with lab.space() as space, _hanging() as hanging:
        port = free_port()
        space.raw("sink", {"port": port})
        answering = f"http://127.0.0.1:{port}/hook"
        sealed = Vault.from_secret(VAULT_SECRET).seal(secret, signing_place("bench"))
        await space.database.execute(PERSON)
        for _ in range(SUBSCRIPTIONS):
            await space.database.execute(SUBSCRIPTION, answering, item_updated.name, sealed)
        await space.database.execute(NOTE_TRANSACTION)
        space.service("notifier", HEADGATE_VAULT_SECRET=VAULT_SECRET, HEADGATE_OUTBOUND_NETWORKS='["127.0.0.0/8"]')
        await space.subscribed(space.topology.events_stream, "notifier-events")
        await _round(space, answering, 0)  # connections are made, the roll is read
        hung, well = [], []
        for number in range(1, ROUNDS + 1):
            hung.append(await _round(space, hanging, 2 * number))
            well.append(await _round(space, answering, 2 * number + 1))
    report.figures.append(
        Figure(
            "crowd", "one of 1,000 receivers hangs: others' p95", "ms", tuple(hung), "all answer", tuple(well), 1.1,
            lower_is_better=True,
        )
    )  # fmt: skip


async def _round(space: Space, first: str, number: int) -> float:
    """p95 in ms of all but the first subscription, whose receiver is ``first``, over some events one by one."""
    await space.database.execute(POINT, first)
    for event in range(EVENTS):
        await space.publish([sample(space, "global", number * EVENTS + event)])
        await _delivered(space, (event + 1) * (SUBSCRIPTIONS - 1))
    if await space.database.fetchval(TRANSACTIONS) != 1:
        raise BenchError("the deliveries of one event were made in several transactions")
    found = percentile([row["ms"] for row in await space.database.fetch(TOOK)], 0.95)
    await space.database.execute(FORGET)
    return found


async def _delivered(space: Space, count: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if await space.database.fetchval(MADE) == count and not await space.database.fetchval(LEFT):
            return
        await asyncio.sleep(0.05)
    raise BenchError(f"{await space.database.fetchval(LEFT)} deliveries are left after {WAIT_S:.0f} s")
