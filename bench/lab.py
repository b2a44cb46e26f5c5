"""The laboratory: durable servers of its own, spaces in them, and the real service processes that are measured."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from deploy.embedded import Server, free_port, start_nats, start_postgres
from deploy.installation import NatsUser, nats_config
from libs.common import admin, migrations, topology
from libs.common.bus import BATCH_MESSAGES, Bus, Outgoing, connect
from libs.common.contracts import SERVICES
from libs.common.migrations import login_role
from libs.common.topology import Topology

ROOT = Path(__file__).resolve().parents[1]
WAIT_S = 30.0
POLL_S = 0.004
PASSWORDS = {service: f"bench-password-{service}" for service in SERVICES}


class BenchError(RuntimeError):
    """A measurement can't be made; the message says why."""


@dataclass
class Worker:
    """A process that is measured."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """End it cleanly."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)

    def check(self) -> None:
        """Raise `BenchError` with its last lines if it has ended."""
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended with exit code {self.process.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-1000:]


@dataclass(frozen=True, slots=True)
class Hold:
    """A lock that keeps one consumer waiting."""

    connection: asyncpg.Connection

    async def release(self) -> None:
        """Let it go on."""
        await self.connection.execute("ROLLBACK")
        await self.connection.close()


@dataclass
class Space:
    """A database and a stream namespace of their own, and the processes that work in them."""

    database_url: str
    nats_url: str
    topology: Topology
    bus: Bus
    database: asyncpg.Connection
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    def environment(self, service: str, **more: str) -> dict[str, str]:
        """The environment of one service in this space."""
        return {
            **os.environ,
            "HEADGATE_DATABASE_URL": admin.service_url(self.database_url, login_role(service), PASSWORDS[service]),
            "HEADGATE_NATS_URL": self.nats_url,
            "HEADGATE_NAMESPACE": self.topology.namespace,
            "HEADGATE_DATA_DIR": str(self.folder),
            "HEADGATE_HTTP_PORT": "0",
            "HEADGATE_LOG_LEVEL": "warning",
            "HEADGATE_CAPSULE_SECRET": "a-secret-of-the-bench",
            **more,
        }

    def service(self, name: str, **more: str) -> Worker:
        """Start ``python -m services.<name>``."""
        return self.start(name, ["-m", f"services.{name}"], self.environment(name, **more))

    def raw(self, module: str, arguments: dict[str, Any], python: str = sys.executable) -> Worker:
        """Start a script of the bench with its arguments as JSON."""
        command = [str(ROOT / "bench" / "workers" / f"{module}.py"), json.dumps(arguments)]
        return self.start(arguments.get("name", module), command, dict(os.environ), python)

    def start(
        self, name: str, command: Sequence[str], environment: dict[str, str], python: str = sys.executable
    ) -> Worker:
        """Start a Python process; its output goes to a file."""
        log = self.folder / f"{name}-{len(self.workers)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [python, *command], cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT
            )
        worker = Worker(name, process, log)
        self.workers.append(worker)
        return worker

    async def subscribed(self, stream: str, durable: str, count: int = 1) -> None:
        """Wait until ``count`` pull requests (or a push subscription) wait on a durable."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            for worker in self.workers:
                worker.check()
            with contextlib.suppress(Exception):
                info = await self.bus.js.consumer_info(stream, durable)
                if (info.num_waiting or 0) >= count or info.push_bound:
                    return
            await asyncio.sleep(0.05)
        raise BenchError(f"nobody listens on {durable}")

    async def hold(self, table: str) -> Hold:
        """Lock a table that a consumer writes first, so that a backlog builds up behind it."""
        connection = await asyncpg.connect(self.database_url)
        await connection.execute("BEGIN")
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        return Hold(connection)

    async def drain(self, stream: str, durable: str, hold: Hold) -> float:
        """Release a held consumer; seconds until everything on its durable is delivered and acknowledged."""
        started = time.perf_counter()
        await hold.release()
        while time.perf_counter() < started + WAIT_S:
            info = await self.bus.js.consumer_info(stream, durable)
            if not info.num_pending and not info.num_ack_pending:
                return time.perf_counter() - started
            await asyncio.sleep(POLL_S)
        said = "".join(f"\n{worker.name}: {worker.tail()}" for worker in self.workers if worker.tail())
        raise BenchError(f"{durable} was not drained in {WAIT_S:.0f} s{said}")

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Store events as atomic batches."""
        for first in range(0, len(messages), BATCH_MESSAGES):
            await self.bus.publish_batch(messages[first : first + BATCH_MESSAGES])

    async def end(self) -> None:
        """Stop the processes."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            await asyncio.to_thread(worker.stop)
        self.workers.clear()

    async def close(self, *, drop: bool = True) -> None:
        """Stop the processes, and drop the streams."""
        await self.end()
        for stream in self.topology.streams() if drop else ():
            await self.bus.js.delete_stream(stream.name or "")
        await self.bus.close()
        await self.database.close()


class Lab:
    """Starts PostgreSQL and NATS with fsync (`sync_interval: always`) on loopback, in a folder that is removed.

    With ``kept``, a name, the folder has that name and stays, and a later lab goes on with what is in it.
    """

    def __init__(self, parent: Path, kept: str = "") -> None:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.kept = kept
        self.folder = parent / (kept or f"bench-{secrets.token_hex(4)}")
        self.folder.mkdir(mode=0o700, exist_ok=bool(kept))
        self._servers: list[Server] = []
        self._template = ""
        self.database_url = self.nats_url = ""
        self.postgres_pid = self.nats_pid = 0

    async def __aenter__(self) -> Lab:
        try:
            await asyncio.to_thread(self._start)
            self._template = await self._migrated()
        except BaseException:
            self._remove()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._remove)

    def _start(self) -> None:
        postgres = start_postgres(
            self.folder / "postgres",
            port=free_port(),
            superuser_password=self._password(),
            durable=True,
            log=self.folder / "postgres.log",
        )
        self._servers.append(postgres)
        port, monitor_port = free_port(), free_port()
        config = nats_config(
            port=port,
            monitor_port=monitor_port,
            store_dir=self.folder / "nats" / "store",
            server_name=f"headgate-{self.folder.name}",
            users=[NatsUser("admin", secrets.token_urlsafe(24), publish_allow=(">",), subscribe_allow=(">",))],
            durable=True,
            max_file_store_bytes=1 << 50,  # each space reserves its streams' limits
        )
        nats = start_nats(
            self.folder / "nats", port=port, monitor_port=monitor_port, config=config, log=self.folder / "nats.log"
        )
        self._servers.append(nats)
        self.database_url, self.nats_url = postgres.url, nats.url
        self.postgres_pid, self.nats_pid = postgres.pid, nats.pid

    def _password(self) -> str:
        """Of the superuser: a kept folder's servers know the one of before."""
        file = self.folder / "superuser"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(24))
        return file.read_text()

    def _remove(self) -> None:
        for server in reversed(self._servers):
            server.stop()
        if not self.kept:
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _migrated(self) -> str:
        if not await self._exists("template_bench"):
            await self._admin("CREATE DATABASE template_bench")
        await self._migrate("template_bench")
        return "template_bench"

    async def _migrate(self, name: str) -> None:
        connection = await asyncpg.connect(self._database(name))
        try:
            await migrations.migrate(connection, PASSWORDS)
        finally:
            await connection.close()

    async def _exists(self, name: str) -> bool:
        connection = await asyncpg.connect(self.database_url)
        try:
            return bool(await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", name))
        finally:
            await connection.close()

    def _database(self, name: str) -> str:
        return f"{self.database_url.rpartition('/')[0]}/{name}"

    async def _admin(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.database_url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def space(self, services: Iterable[str] = ()) -> AsyncIterator[Space]:
        """A fresh space, or the one of a kept folder; ``services`` are started in it."""
        name = "kept" if self.kept else f"b{secrets.token_hex(5)}"
        if not await self._exists(name):
            await self._admin(f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY FILE_COPY", "CHECKPOINT")
        elif self.kept:
            await self._migrate(name)  # it may be of an older version
        names = Topology(name)
        bus = await connect(self.nats_url, names, "gateway", name="bench")
        await topology.apply(bus.js, names)
        url = self._database(name)
        made = Space(url, self.nats_url, names, bus, await asyncpg.connect(url), self.folder)
        try:
            for service in services:
                made.service(service)
            yield made
        finally:
            await made.close(drop=not self.kept)
            if not self.kept:
                await self._admin(f"DROP DATABASE {name} WITH (FORCE)")
