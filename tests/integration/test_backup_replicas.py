"""Streams that several servers held, restored where there is but one: in a rehearsal, and in another installation."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from deploy.backup import streams
from deploy.backup.create import Told, create
from deploy.backup.files import Pace
from deploy.backup.manifest import BackupError, Manifest
from deploy.backup.rehearse import rehearse
from deploy.backup.restore import restore
from deploy.backup.store import Store
from deploy.embedded import Server, free_ports, start_nats
from deploy.installation import rehearsal_bus, rehearsal_user
from libs.common import migrations
from libs.common.bus import connect
from libs.common.topology import Topology
from tests.faults.cluster import Cluster
from tests.integration.backup_desk import NO_KEYS, source_of
from tests.stack import PASSWORDS, Stack
from tests.unit.deploy.backups import folder_of

pytestmark = [pytest.mark.integration, pytest.mark.whole]


def _of_three(manifest: Manifest) -> Manifest:
    copies = {
        name: copy.model_copy(update={"config": copy.config | {"num_replicas": 3}})
        for name, copy in manifest.streams.items()
    }
    return manifest.model_copy(update={"streams": copies})


async def test_a_backup_of_a_cluster_is_rehearsed_and_restored_on_one_server(stack: Stack, tmp_path: Path) -> None:
    store, source = Store(tmp_path), source_of(stack)
    made = await create(source, store, NO_KEYS, datetime.now(UTC), Told(), Pace())
    assert made.manifest is not None
    (folder_of(made) / "manifest.json").unlink()
    partial = tmp_path / f".partial-{made.backup_id}"
    folder_of(made).rename(partial)
    store.finish(partial, _of_three(made.manifest), NO_KEYS)
    found = store.look(made.backup_id)
    done = await rehearse(source, store, NO_KEYS, Told(), found=found, bus_url=None, pace=Pace())
    assert (done.problems, done.restore_valid) == ([], True)
    try:
        restored = await restore(found, source, NO_KEYS, Told(), replace=True)
    finally:  # the roles belong to the whole server, which all tests share: a restore gives them other passwords
        connection = await asyncpg.connect(stack.database_url)
        await migrations.make_roles(connection, PASSWORDS)
        await connection.close()
    assert "several servers" in restored.notes[0]
    info = await stack.bus.js.stream_info(stack.topology.events_stream)
    assert info.config.num_replicas == 1


def _one_server(folder: Path) -> Server:
    port = free_ports(2)
    user = rehearsal_user(secrets.token_urlsafe(24))
    config = rehearsal_bus(user, port=port, monitor_port=port + 1, store_dir=folder / "store")
    return start_nats(folder, port=port, monitor_port=port + 1, config=config, log=folder / "nats.log")


async def test_what_three_servers_held_one_server_takes(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    async with Cluster(tmp_path / "three", secrets.token_urlsafe(32)) as nodes, asyncio.timeout(240):
        bus = await connect(nodes.url, Topology(), "gateway", name="test")
        for number in range(5):
            await bus.js.publish(f"headgate.event.global.tracker.item.told{number}", b"x" * 1000)
        await bus.close()
        client = await streams.connect(nodes.url)
        assert streams.clustered(client)
        taken = await streams.take(client, "EVENTS", pieces.append)
        assert taken is not None
        assert (taken.config["num_replicas"], taken.messages) == (3, 5)
        await streams.delete(client, "EVENTS")
        again = await streams.put(client, "EVENTS", taken.config, iter(pieces))
        assert (again.config["num_replicas"], again.messages, again.consumers) == (3, 5, taken.consumers)
        await client.close()
    (tmp_path / "one").mkdir(mode=0o700)
    server = await asyncio.to_thread(_one_server, tmp_path / "one")
    try:
        client = await streams.connect(server.url)
        assert not streams.clustered(client)
        with pytest.raises(BackupError, match="replicas > 1 not supported"):
            await streams.put(client, "EVENTS", taken.config, iter(pieces))
        made = await streams.put(client, "EVENTS", taken.config | {"num_replicas": 1}, iter(pieces))
        assert (made.messages, made.last_seq, made.consumers) == (5, taken.last_seq, taken.consumers)
        await client.close()
    finally:
        await asyncio.to_thread(server.stop)
