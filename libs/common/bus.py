"""The connection to NATS: publish a command, ask a question, send atomic batches, see if a command still waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import uuid4

import nats
import nats.errors
import nats.js.errors
import orjson
from nats.aio.client import Client
from nats.js.client import JetStreamContext

from libs.common.cloudevents import CONTENT_TYPE, CloudEvent
from libs.common.contracts.base import Command, Query
from libs.common.permissions import inbox_prefix
from libs.common.problems import TimedOut, Unavailable
from libs.common.telemetry import log
from libs.common.topology import Topology

BATCH_MESSAGES = 500  # the server takes 1,000 at the most
BATCH_BYTES = 4 * 1024 * 1024
DUPLICATE_IN_BATCH = 10201
STALL_COUNTS_S = 30.0
STALL_AFTER_S = 4.0  # a cluster that elects a leader stores nothing for a moment, and then goes on by itself
PUBLISH_S = 10.0
FLUSH_S = 60
_HEADERS = {"Content-Type": CONTENT_TYPE}

NATS_ERRORS: tuple[type[BaseException], ...] = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Reply:
    """A service's answer: ``body`` is the result as JSON, or a problem document if ``status`` is not 2xx."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event that is ready to be published."""

    message_id: str
    subject: str
    payload: bytes


class BatchRefused(RuntimeError):
    """The server stored nothing of an atomic batch; ``code`` is its error code."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code


class Bus:
    """One process's connection. Reconnects for ever; ``connected`` says whether it is up now."""

    def __init__(self, client: Client, topology: Topology) -> None:
        self.nats = client
        self.js: JetStreamContext = client.jetstream(timeout=5)
        self.topology = topology
        self.on_reconnect: list[Callable[[], None]] = []
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._ping: asyncio.Task[None] | None = None
        self._pinged = 0  # the number of the connection that `_ping` went over

    @property
    def stalled(self) -> bool:
        """Whether the server answers but does not store: publishes time out since 4 s or longer, none succeeded since,
        and the last try was in the last 30 s.

        That is all that a publisher sees of a full disk: the stream stays frozen until the server is restarted.
        """
        if self._failing_since is None or self._failed_at - self._failing_since < STALL_AFTER_S:
            return False
        return time.monotonic() - self._failed_at < STALL_COUNTS_S

    @asynccontextmanager
    async def storing(self) -> AsyncIterator[None]:
        """Around each publish that must be stored. A time-out over a connection that broke meanwhile says nothing."""
        before, began = self.nats.stats["reconnects"], time.monotonic()
        try:
            yield
        except (nats.errors.TimeoutError, TimeoutError):
            if self.connected and self.nats.stats["reconnects"] == before:
                self._failed_at = time.monotonic()
                if self._failing_since is None:
                    self._failing_since = began
            raise
        self._failing_since = None

    @property
    def connected(self) -> bool:
        """Whether the connection is up."""
        return self.nats.is_connected

    async def ping(self, timeout_s: float) -> None:
        """Return when the server has answered. Raises TimeoutError, or what the client raises without a connection.

        A `flush` of nats-py (2.16) must never be given up: an answer that comes after that ends the client's reading
        (`InvalidStateError` in its `_process_pong`), and it stays deaf until its own pings fail, for 5 to 15 s. So one
        flush is left to run, and whoever asks waits for it as long as they like.
        """
        connection = self.nats.stats["reconnects"]
        if self._ping is None or self._ping.done() or self._pinged != connection:
            self._ping, self._pinged = asyncio.create_task(self._flush()), connection
            self._ping.add_done_callback(lambda done: done.cancelled() or done.exception())  # perhaps nobody waits
        await asyncio.wait_for(asyncio.shield(self._ping), timeout_s)

    async def _flush(self) -> None:
        with suppress(nats.errors.FlushTimeoutError):  # by then the client has left that connection
            await self.nats.flush(FLUSH_S)

    async def settle(self) -> None:
        """Return when the server has taken all that was sent on this connection, subscriptions above all.

        Raises `nats.errors.FlushTimeoutError`: then the client has left that connection.
        """
        await self.nats.flush(FLUSH_S)

    async def publish_command(self, command: Command, envelope: CloudEvent, body: bytes) -> None:
        """Store a command on the work queue; returns once it is on disk. Raises `Unavailable`.

        No Nats-Msg-Id: the server would swallow a repeat with another body without a word; the inbox decides.
        """
        subject = self.topology.command_subject(command.name, envelope.id)
        if not self.connected:
            # The client would keep it in memory and send it later: an order that its caller believes refused.
            raise Unavailable("The message bus can't be reached; try again in a few seconds.")
        try:
            async with self.storing():
                await self.js.publish(subject, envelope.encode(body), timeout=5, headers=dict(_HEADERS))
        except NATS_ERRORS as error:
            log.warning("command not stored", subject=subject, error=repr(error))
            raise Unavailable("The message bus can't store the request now; try again in a few seconds.") from error

    async def ask(self, query: Query, envelope: CloudEvent, params: bytes, *, timeout_s: float = 5.0) -> Reply:
        """Ask one replica of a service. Raises `Unavailable` if none is there, `TimedOut` if none answers in time."""
        subject = self.topology.query_subject(query)
        try:
            answer = await self.nats.request(
                subject, envelope.encode(params), timeout=timeout_s, headers=dict(_HEADERS)
            )
        except nats.errors.NoRespondersError as error:
            raise Unavailable(f"The {query.service} service is not running; try again when it is back.") from error
        except (nats.errors.TimeoutError, TimeoutError) as error:
            raise TimedOut(f"The {query.service} service did not answer within {timeout_s:g} s.") from error
        except NATS_ERRORS as error:
            raise Unavailable("The message bus can't be reached; try again in a few seconds.") from error
        return Reply(int((answer.headers or {}).get("Status", "200")[:3]), answer.data)

    async def is_pending(self, name: str, command_id: str) -> bool | None:
        """Whether a command still lies on the work queue; None if NATS can't say. ``name`` may be ``<service>.*.*``."""
        try:
            await self.js.get_msg(
                self.topology.commands_stream,
                subject=f"{self.topology.namespace}.command.{name}.{command_id}",
                next=True,
                seq=1,
            )
        except nats.js.errors.NotFoundError:
            return False
        except NATS_ERRORS:
            return None
        return True

    async def publish_batch(self, messages: Sequence[Outgoing], timeout_s: float = PUBLISH_S) -> None:
        """Store all of them or none (JetStream atomic batch), with one fsync. Raises `BatchRefused` or NATS errors."""
        batch_id, last = uuid4().hex, len(messages)
        for number, message in enumerate(messages, 1):
            headers = {
                **_HEADERS,
                "Nats-Msg-Id": message.message_id,
                "Nats-Batch-Id": batch_id,
                "Nats-Batch-Sequence": str(number),
            }
            if number < last:
                await self.nats.publish(message.subject, message.payload, headers=headers)
                continue
            headers["Nats-Batch-Commit"] = "1"
            async with self.storing():
                answer = await self.nats.request(message.subject, message.payload, timeout=timeout_s, headers=headers)
            _check_batch(answer.data)

    async def publish_each(self, messages: Sequence[Outgoing], timeout_s: float = PUBLISH_S) -> None:
        """Store them one by one, pipelined; a repeat within the duplicate window counts as stored."""
        async with self.storing():
            await asyncio.gather(
                *(
                    self.js.publish(
                        message.subject,
                        message.payload,
                        timeout=timeout_s,
                        headers={**_HEADERS, **({"Nats-Msg-Id": message.message_id} if message.message_id else {})},
                    )
                    for message in messages
                )
            )

    async def close(self) -> None:
        """Flush and close."""
        if not self.nats.is_closed:
            await self.nats.close()


def _check_batch(answer: bytes) -> None:
    document: dict[str, Any] = orjson.loads(answer)
    if error := document.get("error"):
        raise BatchRefused(int(error.get("err_code", 0)), str(error.get("description", "batch refused")))


def servers_of(url: str) -> list[str]:
    """One address per host of ``nats://user:password@host:4222,host:4223,…``: any of a cluster's servers will do."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=f"{login}{at}{host.strip()}")) for host in hosts.split(",")]


def login_of(url: str) -> dict[str, str]:
    """The user and password of an address, for `nats.connect`: a server that another one of the cluster names comes
    without them, and after a failover the client would be refused there for ever."""
    parts = urlsplit(url)
    if parts.username is None or parts.password is None:
        return {}
    return {"user": unquote(parts.username), "password": unquote(parts.password)}


async def connect(url: str, topology: Topology, service: str, *, name: str) -> Bus:
    """Connect as one service's user. Raises `Unavailable` with a sentence if the server can't be reached."""

    async def report(error: Exception) -> None:
        log.warning("nats", error=repr(error))

    async def reconnected() -> None:
        log.info("nats reconnected")
        for tell in bus.on_reconnect:
            tell()

    try:
        client = await nats.connect(
            servers_of(url),
            **login_of(url),
            name=name,
            error_cb=report,
            reconnected_cb=reconnected,
            inbox_prefix=inbox_prefix(service),
            connect_timeout=5,
            reconnect_time_wait=0.25,
            max_reconnect_attempts=-1,
            ping_interval=5,
            max_outstanding_pings=2,
            pending_size=32 * 1024 * 1024,
        )
    except NATS_ERRORS as error:
        raise Unavailable(f"NATS can't be reached: {error!r}") from error
    bus = Bus(client, topology)
    return bus
