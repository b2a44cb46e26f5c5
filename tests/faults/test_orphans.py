"""A command below its consumer's ack floor, as a full disk under NATS leaves it, is found and applied, or taken off."""

from __future__ import annotations

import asyncio

import pytest

from libs.common import pull
from libs.common.contracts.governance.runs import run_gate
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.stack import Stack

pytestmark = pytest.mark.faults


async def test_an_orphan_on_the_work_queue_is_swept(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "SWEEP_EVERY_S", 0.1)
    commands, durable = stack.topology.commands_stream, "governance-commands"
    posted = [await stack.post(run_gate, {"gate": "operations"}) for _ in range(3)]
    # The floor moves past them, and they stay on the stream: nobody would ever get them again.
    await stack.bus.js.reset_consumer(commands, durable, seq=4)
    await stack.bus.js.publish(f"{stack.topology.namespace}.command.governance.gate.run.none", b"{}")
    await stack.start(make_service(packaged_policies()))
    for command_id in posted:
        assert (await stack.outcome(command_id)).status == 201
    async with asyncio.timeout(15):
        while (await stack.bus.js.stream_info(commands)).state.messages:
            await asyncio.sleep(0.05)
