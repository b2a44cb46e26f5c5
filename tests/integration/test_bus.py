"""The connection to a NATS server that stands still for a while: a server of the test's own."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.embedded import Server, free_port, start_nats
from deploy.installation import NatsUser, nats_config
from libs.common.bus import connect
from libs.common.topology import Topology

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A NATS server that the test may stop."""
    port, monitor_port = free_port(), free_port()
    config = nats_config(
        port=port,
        monitor_port=monitor_port,
        store_dir=tmp_path / "store",
        server_name=f"headgate-pause-{secrets.token_hex(4)}",
        users=[NatsUser("admin", secrets.token_urlsafe(24), publish_allow=(">",), subscribe_allow=(">",))],
        durable=False,
        max_file_store_bytes=1 << 30,
    )
    made = start_nats(tmp_path, port=port, monitor_port=monitor_port, config=config, log=tmp_path / "nats.log")
    yield made
    os.kill(made.pid, signal.SIGCONT)
    made.stop()


async def test_a_late_answer_to_a_ping_does_not_make_the_client_deaf(server: Server) -> None:
    bus = await connect(server.url, Topology("paused"), "gateway", name="test")
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(message: object) -> None:
        await heard.put(b"")

    await bus.nats.subscribe("paused.event.>", cb=hear)
    await bus.ping(5)
    os.kill(server.pid, signal.SIGSTOP)
    await until_stopped(server)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await bus.ping(0.3)
    os.kill(server.pid, signal.SIGCONT)
    await bus.ping(20)
    await bus.nats.publish("paused.event.global.x.y.z", b"")
    await asyncio.wait_for(heard.get(), 20)
    assert bus.nats.stats["reconnects"] == 0, "it was deaf until its own pings failed"
    await bus.close()


async def until_stopped(server: Server) -> None:
    """The signal is only under way when `kill` returns: a busy server may still answer."""
    async with asyncio.timeout(10):
        while psutil.Process(server.pid).status() != psutil.STATUS_STOPPED:
            await asyncio.sleep(0.01)
