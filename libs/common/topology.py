"""Streams, subjects, durables and their limits: the one table. The admin step makes them, every start compares them.

Nothing is ever created on subscribe: a stream or durable that is missing or differs is an error that names it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

import nats.errors
import stamina
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError, ServiceUnavailableError

from libs.common import buckets
from libs.common.cloudevents import CloudEvent
from libs.common.contracts import CONTRACTS, heard
from libs.common.contracts.base import Event, Query
from libs.common.ids import token
from libs.common.widths import Config, differences, surplus, widened

EDGE = "/headgate/gateway"
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
ACK_WAIT_S = 60
MAX_ACK_PENDING = 5000
_GIB = 1024**3
# While a cluster chooses who leads a stream, nobody answers for it.
LEADERLESS = (nats.errors.TimeoutError, nats.errors.NoRespondersError, ServiceUnavailableError)
LEADER_WAIT_S = 30.0
T = TypeVar("T")


class TopologyError(RuntimeError):
    """The servers do not have what this version needs; the message names the stream or durable and the field."""


class Mismatch(ValueError):
    """A message's type, source, site or id does not fit the subject that it came on."""


@dataclass(frozen=True)
class Topology:
    """All names under one namespace (the first token of every subject)."""

    namespace: str = "headgate"

    def _stream(self, name: str) -> str:
        return name if self.namespace == "headgate" else f"{self.namespace.upper()}_{name}"

    @property
    def events_stream(self) -> str:
        """The stream of facts."""
        return self._stream("EVENTS")

    @property
    def commands_stream(self) -> str:
        """The work queue of orders."""
        return self._stream("COMMANDS")

    @property
    def schedules_stream(self) -> str:
        """Schedules and their ticks, apart from commands, so that a schedule can't forge one."""
        return self._stream("SCHEDULES")

    @property
    def telemetry_stream(self) -> str:
        """Latency samples: many, small, not audited."""
        return self._stream("TELEMETRY")

    @property
    def records_stream(self) -> str:
        """What became of each command, and where it came from: for the audit log alone, which takes it off."""
        return self._stream("RECORDS")

    def stream(self, name: str) -> str:
        """The stream called ``events``, ``commands``, ``schedules``, ``telemetry`` or ``records`` in code."""
        return self._stream(name.upper())

    def event_subject(self, event: Event, site: str) -> str:
        """``<ns>.event.<site>.<service>.<noun>.<verb>``."""
        return f"{self.namespace}.event.{token(site, 'site')}.{event.name}"

    def event_subject_named(self, name: str, site: str) -> str:
        """The same from a contract's name."""
        return f"{self.namespace}.event.{token(site, 'site')}.{name}"

    def event_filter(self, site: str | None = None, name: str | None = None) -> str:
        """A filter for one or all sites and one or all kinds of event."""
        return f"{self.namespace}.event.{token(site, 'site') if site else '*'}.{name or '>'}"

    def command_subject(self, name: str, command_id: str) -> str:
        """``<ns>.command.<service>.<noun>.<verb>.<command id>``."""
        return f"{self.namespace}.command.{name}.{token(command_id)}"

    def query_subject(self, query: Query) -> str:
        """``<ns>.query.<service>.<noun>.<verb>``."""
        return f"{self.namespace}.query.{query.name}"

    def outcome_subject(self, instance: str) -> str:
        """Where one gateway instance hears the outcomes of its commands."""
        return f"{self.namespace}.outcome.{token(instance, 'instance')}"

    def telemetry_subject(self, name: str) -> str:
        """``<ns>.telemetry.<service>.<noun>.<verb>``."""
        return f"{self.namespace}.telemetry.{name}"

    def record_subject(self, name: str) -> str:
        """``<ns>.record.<service>.<noun>.<verb>`` of a command, or of an event about which only the log hears more."""
        return f"{self.namespace}.record.{name}"

    def schedule_subject(self, service: str, job: str) -> str:
        """Where a job's schedule lies; the underscores of its name are dashes there."""
        return f"{self.namespace}.schedule.{service}.{token(job.replace('_', '-'), 'job')}"

    def tick_subject(self, service: str, job: str) -> str:
        """Where a job's ticks arrive; see `schedule_subject`."""
        return f"{self.namespace}.tick.{service}.{token(job.replace('_', '-'), 'job')}"

    def check(self, subject: str, event: CloudEvent) -> None:
        """Raise `Mismatch` unless the envelope fits the subject: no one can speak under another's name."""
        parts = subject.removeprefix(f"{self.namespace}.").split(".")
        kind = parts[0]
        if kind == "event" and len(parts) == 5:
            site, name = parts[1], ".".join(parts[2:])
            if event.site != site:
                raise Mismatch(f"site {event.site!r} came on a subject of site {site!r}")
            if event.source != f"/headgate/{parts[2]}":
                raise Mismatch(f"source {event.source!r} came on a subject of {parts[2]}")
        elif kind == "command" and len(parts) == 5:
            name = ".".join(parts[1:4])
            if event.id != parts[4]:
                raise Mismatch("the command's id is not the one in its subject")
        elif kind == "telemetry" and len(parts) == 4:
            name = ".".join(parts[1:])
        elif kind == "record" and len(parts) == 4:
            name = ".".join(parts[1:])
            if event.source not in (f"/headgate/{parts[1]}", EDGE):  # the edge tells what it refused before any service
                raise Mismatch(f"source {event.source!r} came on a subject of {parts[1]}")
        else:
            raise Mismatch(f"subject {subject!r} is not one of ours")
        if event.type != f"headgate.{name}.v1":
            raise Mismatch(f"type {event.type!r} came on subject {subject!r}")

    def streams(self) -> list[StreamConfig]:
        """Every stream with its limits."""
        ns, day = self.namespace, timedelta(days=1).total_seconds()
        table = [
            StreamConfig(
                name=self.events_stream,
                subjects=[f"{ns}.event.>"],
                retention=RetentionPolicy.LIMITS,
                # A full stream refuses: the outboxes keep what can't be sent, nothing is pushed out unread.
                discard=DiscardPolicy.NEW,
                max_age=30 * day,
                max_bytes=8 * _GIB,
                duplicate_window=120,
                allow_atomic=True,
            ),
            StreamConfig(
                name=self.commands_stream,
                subjects=[f"{ns}.command.>"],
                retention=RetentionPolicy.WORK_QUEUE,
                discard=DiscardPolicy.NEW,
                max_bytes=2 * _GIB,
                duplicate_window=120,
            ),
            StreamConfig(
                name=self.schedules_stream,
                subjects=[f"{ns}.schedule.>", f"{ns}.tick.>"],
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.OLD,
                max_msgs_per_subject=1,
                max_bytes=_GIB // 64,
                duplicate_window=120,
                allow_msg_schedules=True,
                allow_rollup_hdrs=True,  # the server turns it on with schedules
            ),
            StreamConfig(
                name=self.telemetry_stream,
                subjects=[f"{ns}.telemetry.>"],
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.OLD,
                max_age=day / 24,
                max_bytes=_GIB // 8,
                duplicate_window=120,
            ),
            StreamConfig(
                name=self.records_stream,
                subjects=[f"{ns}.record.>"],
                # Addresses of people: they lie here only until the audit log has them.
                retention=RetentionPolicy.WORK_QUEUE,
                discard=DiscardPolicy.NEW,
                max_bytes=2 * _GIB,
                duplicate_window=120,
                allow_atomic=True,
            ),
            *buckets.streams(ns),
        ]
        for stream in table:
            stream.storage, stream.max_msg_size, stream.allow_direct = StorageType.FILE, MAX_PAYLOAD_BYTES, True
        return table

    def durable(
        self,
        stream: str,
        durable: str,
        filters: Iterable[str],
        *,
        deliver: DeliverPolicy = DeliverPolicy.ALL,
    ) -> tuple[str, ConsumerConfig]:
        """A durable's stream and configuration. No ``backoff`` and no ``max_deliver``: the loop decides about retries.

        Never AckPolicy ALL, not even for a single writer: after a kill -9 the next process pulls new messages first,
        and acknowledging those would acknowledge the ones that died with the old process, which nobody has applied.
        A backoff list would override ack_wait and hand a message to a second replica while the first still works;
        past max_deliver a message would stay invisible for ever.
        """
        subjects = sorted(filters)
        return self.stream(stream), ConsumerConfig(
            durable_name=durable,
            name=durable,
            filter_subject=subjects[0] if len(subjects) == 1 else None,
            filter_subjects=subjects if len(subjects) > 1 else None,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_deliver=-1,
            max_ack_pending=MAX_ACK_PENDING,
            max_waiting=64,
            deliver_policy=deliver,
        )


def durables(topology: Topology) -> list[tuple[str, ConsumerConfig]]:
    """Every service's durables. What a service hears is declared in its contract package, and nowhere else."""
    ns, table = topology.namespace, []
    for service in CONTRACTS:
        table.append(topology.durable("commands", f"{service}-commands", [f"{ns}.command.{service}.>"]))
        table.append(topology.durable("schedules", f"{service}-ticks", [f"{ns}.tick.{service}.>"]))
        if names := heard(service):
            filters = [topology.event_filter(None, name) for name in names]
            table.append(topology.durable("events", f"{service}-events", filters))
        if names := heard(service, "telemetry"):
            filters = [topology.telemetry_subject(name) for name in names]
            table.append(topology.durable("telemetry", f"{service}-telemetry", filters))
        if CONTRACTS[service].hears_records:
            table.append(topology.durable("records", f"{service}-records", [topology.record_subject(">")]))
    return table


async def _led(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer of a stream's leader. To ask again does no harm: it is looked at, or made as it is already."""
    async for attempt in stamina.retry_context(on=LEADERLESS, attempts=None, timeout=LEADER_WAIT_S, wait_max=2.0):
        with attempt:
            return await ask()
    raise AssertionError("the last attempt raises")


async def apply(
    js: JetStreamContext, topology: Topology, *, replicas: int | None = None, narrow: bool = False
) -> list[str]:
    """Make or update every stream and durable (the admin step); returns what was done, a line each.

    It only widens. What hears or keeps more than this version declares is left, and said: services of another version,
    before or after this one, may need it. ``narrow`` makes all as this version declares it, once those are gone.
    ``replicas`` is how many servers hold each stream. None: one holds a new stream, and others stay as they are, so
    that an update by somebody who does not know of the cluster takes no copy away. A stream whose copies move has no
    leader for a moment: that is waited for.
    """
    done = []
    for stream in topology.streams():
        wanted = 1 if stream.persist_mode else replicas  # what is not synced is not replicated either
        try:
            have = (await _led(partial(js.stream_info, stream.name or ""))).config
        except NotFoundError:
            stream.num_replicas = wanted or 1
            await _led(partial(js.add_stream, stream))
            done.append(f"stream {stream.name} made")
            continue
        changed, lines = _planned(f"stream {stream.name}", stream, have, narrow)
        copies = wanted or have.num_replicas
        if changed is not None or copies != have.num_replicas:
            await _led(partial(js.update_stream, (changed or have).evolve(num_replicas=copies)))
            done.append(f"stream {stream.name} updated")
        done += lines
    for stream_name, config in durables(topology):
        durable = config.durable_name or ""
        made: ConsumerConfig | None
        try:
            there = (await _led(partial(js.consumer_info, stream_name, durable))).config
        except NotFoundError:
            made, lines = config, []
        else:
            made, lines = _planned(f"durable {durable}", config, there, narrow)
        if made is not None:
            await _led(partial(js.add_consumer, stream_name, made))
            done.append(f"durable {durable} on {stream_name} made")
        done += lines
    return done


def _planned(what: str, want: Config, have: Config, narrow: bool) -> tuple[Config | None, list[str]]:
    """To what something has to be changed, if at all, and what to say of that which stays wider."""
    lacking, more = differences(want, have), surplus(want, have)
    if narrow:
        return (want if lacking or more else None), []
    said = [f"{what} is wider than this version needs, and stays so ({'; '.join(more)})"] if more else []
    return (widened(want, have) if lacking else None), said


async def compare(js: JetStreamContext, topology: Topology, service: str) -> None:
    """Raise `TopologyError` unless the server has this service's durables, streams and buckets as declared, or wider.

    Wider is how a newer version leaves them, which a rollback must not stop at.
    """
    wanted = {stream.name: stream for stream in topology.streams()}
    mine = [(name, one) for name, one in durables(topology) if (one.durable_name or "").startswith(f"{service}-")]
    for stream_name in dict.fromkeys([name for name, _ in mine] + buckets.streams_of(topology.namespace, service)):
        try:
            info = await js.stream_info(stream_name)
        except NotFoundError as error:
            raise TopologyError(f"the stream {stream_name} is missing; run `headgate migrate`") from error
        if rows := differences(wanted[stream_name], info.config):
            raise TopologyError(f"stream {stream_name}: {'; '.join(rows)}; run `headgate migrate`")
    for stream_name, config in mine:
        try:
            have = (await js.consumer_info(stream_name, config.durable_name or "")).config
        except NotFoundError as error:
            raise TopologyError(
                f"{stream_name} or its durable {config.durable_name} is missing; run `headgate migrate`"
            ) from error
        if rows := differences(config, have):
            raise TopologyError(f"durable {config.durable_name}: {'; '.join(rows)}; run `headgate migrate`")


def subject_of(topology: Topology, kind: str, name: str, site: str, message_id: str) -> str:
    """The subject of a staged message."""
    if kind == "command":
        return topology.command_subject(name, message_id)
    if kind == "record":
        return topology.record_subject(name)
    return topology.event_subject_named(name, site)
