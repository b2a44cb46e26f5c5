"""How many deliveries a second notifiers make: rows, leases and retries on disk, beside a loop that only posts."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time

from bench.consumer import sample
from bench.figures import Figure, Report, median_rate
from bench.lab import BenchError, Lab, Space
from deploy.embedded import free_port
from libs.common.contracts.notifier.subscriptions import signing_place
from libs.common.contracts.tracker.items import item_updated
from libs.common.vault import Vault
from services.notifier.domain.lanes import MAX_WINDOW

EVENTS = 10_000
ROUNDS = 3
NOTIFIERS = (2, 4)
VAULT_SECRET = "a-secret-of-the-bench"
WAIT_S = 120.0
PERSON = "INSERT INTO notifier.person VALUES ('ann', 'owner', '{*}', true, 1)"
SUBSCRIPTION = """
INSERT INTO notifier.subscription (site, name, owner, status, status_reason, channel, endpoint, event_types, gates,
    rules, priorities, roles, condition, secret, fingerprint, created_at, changed_by, changed_at)
SELECT 'global', 'bench', 'ann', 'active', '', 'webhook', $1, ARRAY[$2], '{}', '{}', '{}', '{}', '', $3, 'bench',
    now(), 'ann', now()
"""
LEFT = "SELECT count(*) FROM notifier.delivery WHERE state <> 'delivered'"
ALL = "SELECT count(*) FROM notifier.delivery"


async def run(lab: Lab, report: Report) -> None:
    """10,000 events to one receiver on this machine, in turns with the floor; then the same with more notifiers."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    async with lab.space() as space:
        port = free_port()
        space.raw("sink", {"port": port})
        url = f"http://127.0.0.1:{port}/hook"
        sealed = Vault.from_secret(VAULT_SECRET).seal(secret, signing_place("bench"))
        await space.database.execute(PERSON)
        await space.database.execute(SUBSCRIPTION, url, item_updated.name, sealed)
        await _start(space, 1)
        body = sample(space, "global", 0).payload.decode()
        ours, floor = [], []
        for _ in range(ROUNDS):
            ours.append(await _deliver(space))
            floor.append(await _post(space, {"url": url, "secret": secret, "body": body}))
        more = {}
        for notifiers in NOTIFIERS:
            await _start(space, notifiers)
            more[notifiers] = [await _deliver(space) for _ in range(ROUNDS)]
    report.figures.append(
        Figure(
            "deliveries", "deliveries to one receiver", "a second", median_rate(EVENTS, ours),
            f"asyncio and httpx2, {MAX_WINDOW} at once", median_rate(EVENTS, floor), 0.6,
        )
    )  # fmt: skip
    for notifiers, took in more.items():
        report.figures.append(
            Figure("deliveries", f"the same with {notifiers} notifiers", "a second", median_rate(EVENTS, took))
        )


async def _start(space: Space, wanted: int) -> None:
    """So many notifiers in all."""
    have = sum(worker.name == "notifier" for worker in space.workers)
    for _ in range(wanted - have):
        space.service("notifier", HEADGATE_VAULT_SECRET=VAULT_SECRET, HEADGATE_OUTBOUND_NETWORKS='["127.0.0.0/8"]')
    await space.subscribed(space.topology.events_stream, "notifier-events", wanted)


async def _deliver(space: Space) -> float:
    """Seconds from when the events may be taken until all are delivered and written down."""
    before = await space.database.fetchval(ALL)
    hold = await space.hold("notifier.delivery")
    await space.publish([sample(space, "global", number) for number in range(EVENTS)])
    began = time.perf_counter()
    await hold.release()
    while time.perf_counter() < began + WAIT_S:
        if await space.database.fetchval(ALL) == before + EVENTS and not await space.database.fetchval(LEFT):
            return time.perf_counter() - began
        await asyncio.sleep(0.05)
    raise BenchError(f"{await space.database.fetchval(LEFT)} deliveries are left after {WAIT_S:.0f} s")


async def _post(space: Space, given: dict[str, str]) -> float:
    """Seconds of the floor."""
    worker = space.raw("raw_sender", {**given, "count": EVENTS, "at_once": MAX_WINDOW})
    if await asyncio.to_thread(worker.process.wait, WAIT_S):
        raise BenchError(worker.tail())
    space.workers.remove(worker)
    return float(worker.tail())
