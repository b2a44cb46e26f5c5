"""Services in this process against real servers: a fresh database and a fresh stream namespace for each test."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
from nats.aio.msg import Msg
from pydantic import BaseModel, SecretStr

from libs.common import admin, migrations, topology
from libs.common.bus import Bus, connect
from libs.common.cloudevents import CloudEvent, decode
from libs.common.contracts import SERVICES
from libs.common.contracts.base import Command, Event, Query
from libs.common.ids import uuid7
from libs.common.migrations import login_role
from libs.common.permissions import SYSTEM_USER
from libs.common.running import Running
from libs.common.runtime import start
from libs.common.service import Service
from libs.common.settings import Settings
from libs.common.topology import Topology
from libs.common.user_jwt import account_seed
from tests.same_things import misnamed

BUS_SECRET = "the secret of a bus for tests"
PASSWORDS = {service: f"test-password-{service}" for service in SERVICES}
WAIT_S = 15.0


class FakeClock:
    """A clock that moves only when told to; starts at the real time, so that certificates and tokens make sense."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **parts: float) -> None:
        """Move on by a timedelta's parts, such as ``hours=5``."""
        self.now += timedelta(**parts)


class Answer:
    """How a command or question ended."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.raw = body
        self.json: Any = orjson.loads(body) if body else None

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.raw[:500]!r})"


class Stack:
    """What a test holds: `start` services, send `command`s, ask `query`s, await events with `heard`."""

    def __init__(self, database_url: str, nats_url: str, namespace: str, clock: FakeClock) -> None:
        self.database_url, self.nats_url, self.clock = database_url, nats_url, clock
        self.topology = Topology(namespace)
        self.running: dict[str, Running] = {}
        self.events: list[CloudEvent] = []
        self.bus: Bus
        self._changed = asyncio.Condition()
        self._answers: dict[tuple[str, str], asyncio.Future[Answer]] = {}
        self._instants = 0
        self._instance = f"test-{secrets.token_hex(3)}"

    async def open(self) -> None:
        """Connect as the gateway would, and listen to all events and to outcomes."""
        self.bus = await connect(self.nats_url, self.topology, "gateway", name="test")
        await self.bus.nats.subscribe(self.topology.event_filter(), cb=self._event)
        await self.bus.nats.subscribe(self.topology.outcome_subject(self._instance), cb=self._outcome)
        await self.bus.nats.flush()

    async def close(self) -> None:
        """Stop all services, drop the streams of this test. Fails where a record is about another thing than its
        events.
        """
        wrong = [one for running in self.running.values() for one in await misnamed(running)]
        for running in self.running.values():
            await running.stop()
        for stream in self.topology.streams():
            await self.bus.js.delete_stream(stream.name or "")
        await self.bus.close()
        assert not wrong, f"say it with about= in the contract: {wrong}"

    def settings(self, service: str, **changed: Any) -> Settings:
        """The settings of one service in this test."""
        url = admin.service_url(self.database_url, login_role(service), PASSWORDS[service])
        values: dict[str, Any] = {
            "database_url": SecretStr(url),
            "nats_url": SecretStr(self.nats_url),
            "namespace": self.topology.namespace,
            "http_port": 0,
            "pool_size": 4,
            "bus_account_seed": SecretStr(account_seed(BUS_SECRET)),
            "bus_system_password": SecretStr(admin.derived_password(BUS_SECRET, "nats", SYSTEM_USER)),
            "schedules": {f"{service}.*": "off"},  # a job runs when a test says so, not when the real clock does
            **changed,
        }
        return Settings(**values)

    async def start(self, *services: Service, **changed: Any) -> Running:
        """Start services; returns the last one."""
        for service in services:
            settings = self.settings(service.name, **changed)
            self.running[service.name] = await start(service, settings, clock=self.clock)
        return self.running[services[-1].name]

    async def run_job(self, service: str, name: str, site: str = "global") -> bool:
        """Run a job as if an instant of its schedule had come; returns whether it ran and went well."""
        running = self.running[service]
        assert running.jobs is not None
        job = next(job for job in running.service.jobs if job.name == name)
        self._instants += 1
        return await running.jobs.run_job(job, self.clock() + timedelta(microseconds=self._instants), site)

    async def stop(self, name: str) -> None:
        """Stop one service cleanly."""
        await self.running.pop(name).stop()

    async def superuser(self) -> asyncpg.Connection:
        """A superuser's connection to this test's database; the caller closes it."""
        return await asyncpg.connect(self.database_url)

    def envelope(self, declared: Command | Query, site: str, actor: str, message_id: str = "") -> CloudEvent:
        """An envelope as the gateway makes it."""
        return CloudEvent(
            id=message_id or str(uuid7()),
            source="/headgate/gateway",
            type=declared.type,
            time=self.clock(),
            site=site,
            actor=actor,
            replyto=self.topology.outcome_subject(self._instance),
        )

    async def post(
        self, command: Command, body: BaseModel | dict[str, Any], *, site: str = "global", actor: str = "ann",
        message_id: str = "", digest: str = "same",
    ) -> str:  # fmt: skip
        """Publish a command without waiting; returns its id."""
        envelope = self.envelope(command, site, actor, message_id)
        envelope.digest = digest
        self._answers.setdefault((envelope.id, digest), asyncio.get_running_loop().create_future())
        data = body.model_dump_json().encode() if isinstance(body, BaseModel) else orjson.dumps(body)
        await self.bus.publish_command(command, envelope, data)
        return envelope.id

    def answered(self, command_id: str, digest: str = "same") -> bool:
        """Whether a command's outcome is there."""
        return self._answers[(command_id, digest)].done()

    async def outcome(self, command_id: str, digest: str = "same") -> Answer:
        """Await a command's outcome."""
        answer = await asyncio.wait_for(self._answers[(command_id, digest)], WAIT_S)
        del self._answers[(command_id, digest)]
        return answer

    async def command(self, command: Command, body: BaseModel | dict[str, Any], **options: Any) -> Answer:
        """Publish a command and await its outcome."""
        command_id = await self.post(command, body, **options)
        return await self.outcome(command_id, options.get("digest", "same"))

    async def query(
        self, query: Query, params: BaseModel | dict[str, Any] | None = None, *, site: str = "global",
        actor: str = "ann", sites: tuple[str, ...] = ("*",), permissions: tuple[str, ...] = (),
        role: str = "",
    ) -> Answer:  # fmt: skip
        """Ask a question."""
        values = params.model_dump(mode="json", exclude_unset=True) if isinstance(params, BaseModel) else params or {}
        data = orjson.dumps({"params": values, "sites": sites, "permissions": permissions, "role": role})
        reply = await self.bus.ask(query, self.envelope(query, site, actor), data)
        return Answer(reply.status, reply.body)

    async def publish(
        self, event: Event, data: BaseModel, *, site: str = "global", causationid: str = "", message_id: str = ""
    ) -> str:
        """Publish an event as its service would; returns its id. For tests of one consumer."""
        envelope = CloudEvent(
            id=message_id or str(uuid7()),
            source=f"/headgate/{event.service}",
            type=event.type,
            subject="test",
            time=self.clock(),
            site=site,
            actor="ann",
            causationid=causationid or str(uuid.uuid4()),
        )
        payload = envelope.encode(data.model_dump_json().encode())
        await self.bus.js.publish(self.topology.event_subject(event, site), payload)
        return envelope.id

    async def heard(self, event: Event, where: Callable[[CloudEvent], bool] = lambda _: True) -> CloudEvent:
        """Await an event (also one that came before the call)."""

        def found() -> CloudEvent | None:
            return next((e for e in self.events if e.type == event.type and where(e)), None)

        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(lambda: found() is not None), WAIT_S)
        one = found()
        assert one is not None
        return one

    async def idle(self, name: str) -> None:
        """Await that a service has acknowledged all that lies on its durables, and sent its outbox.

        Looked at until a whole pass finds nothing: what leaves the outbox can come back to the service itself, as
        the audit log's own events do.
        """
        async with asyncio.timeout(2 * WAIT_S):
            while await self._busy(self.running[name]):
                await asyncio.sleep(0.02)

    async def _busy(self, running: Running) -> bool:
        """Whether something waits: the outbox first, since what leaves it may arrive on a durable."""
        if await running.pool.fetchval("SELECT count(*) FROM outbox WHERE sent_at IS NULL"):
            return True
        for consumer in running.consumers:
            info = await self.bus.js.consumer_info(consumer.puller.stream, consumer.durable)
            if info.num_pending or info.num_ack_pending:
                return True
        # A message that was acknowledged between the two looks may have filled the outbox.
        return bool(await running.pool.fetchval("SELECT count(*) FROM outbox WHERE sent_at IS NULL"))

    async def _event(self, message: Msg) -> None:
        async with self._changed:
            self.events.append(decode(message.data))
            self._changed.notify_all()

    async def _outcome(self, message: Msg) -> None:
        headers = message.headers or {}
        future = self._answers.get((headers["Command-Id"], headers["Digest"]))
        if future is not None and not future.done():
            future.set_result(Answer(int(headers["Status"]), message.data))


async def make_template(admin_url: str) -> str:
    """Migrate a template database once per run; returns its name."""
    name = f"template_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    connection = await asyncpg.connect(_database(admin_url, name))
    try:
        await migrations.migrate(connection, PASSWORDS)
    finally:
        await connection.close()
    return name


async def make_stack(admin_url: str, template: str, nats_url: str) -> Stack:
    """A fresh database and namespace, connected."""
    name = f"t{secrets.token_hex(5)}"
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    finally:
        await connection.close()
    stack = Stack(_database(admin_url, name), nats_url, name, FakeClock())
    client = await connect(nats_url, stack.topology, "gateway", name="admin")
    try:
        await topology.apply(client.js, stack.topology)
    finally:
        await client.close()
    await stack.open()
    return stack


async def drop_database(admin_url: str, database_url: str) -> None:
    """Drop a test's database."""
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(f"DROP DATABASE {database_url.rpartition('/')[2]} WITH (FORCE)")
    finally:
        await connection.close()


def _database(admin_url: str, name: str) -> str:
    return f"{admin_url.rpartition('/')[0]}/{name}"
