"""Clock steps of an hour, forward and back, under load: order and counts don't depend on the wall clock."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator

import pytest

from libs.common.contracts.governance.runs import run_gate
from libs.common.contracts.governance.signals import record_signals
from libs.common.contracts.tracker.board import sync_board
from libs.common.contracts.tracker.items import patch_item
from libs.common.outbound import Outbound
from libs.common.vault import Vault
from services.audit.service import make_service as make_audit
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from services.metrics.service import SERVICE as METRICS
from services.notifier.service import make_service as make_notifier
from services.tracker.service import SERVICE as TRACKER
from tests.faults.checker import check
from tests.faults.driver import ACTOR, NO_ITEM, Attempt, Driver, signal_document
from tests.faults.world import drain, read_world
from tests.stack import Answer, Stack

pytestmark = pytest.mark.faults
STEPS_HOURS = (1, -1, -1, 1, 1, 1, -1, -1)


async def send(stack: Stack, attempt: Attempt) -> None:
    """One attempt, as the gateway would send it."""
    answer: Answer
    options = {"actor": ACTOR, "message_id": attempt.command_id}
    if attempt.kind == "signal":
        document = signal_document(attempt.marker)
        del document["specversion"]
        answer = await stack.command(record_signals, {"signals": [document]}, **options)
    elif attempt.kind == "gate":
        answer = await stack.command(run_gate, {"gate": "operations"}, **options)
    elif attempt.kind == "sync":
        answer = await stack.command(sync_board, {}, **options)
    else:
        body = {"item_id": NO_ITEM, "completion_note": attempt.marker}
        answer = await stack.command(patch_item, body, **options)
    attempt.status = answer.status
    if answer.status < 500:
        attempt.answer = "acknowledged" if answer.status < 400 else "refused"


def offsets() -> Iterator[int]:
    """Hours from the real time after each step."""
    at = 0
    for step in STEPS_HOURS:
        at += step
        yield at


async def test_clock_steps_of_an_hour_change_nothing(stack: Stack) -> None:
    rng = random.Random(11)
    notifier = make_notifier(Outbound(), Vault())
    await stack.start(make_service(packaged_policies()), TRACKER, make_audit(None), METRICS, notifier)
    driver = Driver(["in this process"], "")
    for step in STEPS_HOURS:
        wave = driver.plan(signals=40, gates=8, refusals=3, syncs=3)
        rng.shuffle(wave)
        half = len(wave) // 2
        sending = asyncio.gather(*(send(stack, attempt) for attempt in wave[:half]))
        await asyncio.sleep(0)
        stack.clock.advance(hours=step)
        await asyncio.gather(sending, *(send(stack, attempt) for attempt in wave[half:]))
    seconds = await drain(stack.database_url, stack.nats_url, namespace=stack.topology.namespace)
    world = await read_world(stack.database_url)
    print(f"{driver.summary()}; hours off: {sorted(set(offsets()))}; drained in {seconds:.1f} s")
    assert check(driver.attempts, world, []) == []
    times = [link.recorded_at for link in world.links]
    assert any(later < earlier for earlier, later in itertools.pairwise(times)), "no step was ever seen"
    assert sum(attempt.answer == "acknowledged" for attempt in driver.attempts) > 350
