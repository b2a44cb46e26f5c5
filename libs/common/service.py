"""What a service is: a table of contents. `libs.common.loop` feeds it; `libs.common.runtime` runs it.

A handler gets a `Tx` (inside one transaction, may change rows and emit) or a `Read` (a question, changes nothing).
Time is an input: handlers read ``tx.now``, never the wall clock.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

import asyncpg
from pydantic import BaseModel

from libs.common.asking import ASK_TIMEOUT_S, Asker
from libs.common.cloudevents import CloudEvent
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Command, Contract, Event, Query
from libs.common.contracts.jobs import JobStatus
from libs.common.ids import uuid7
from libs.common.problems import Forbidden, Refusal, TooLarge
from libs.common.schedules import Schedule

if TYPE_CHECKING:
    from libs.common.workers import Bound, Gauges, WorkerMaker

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy  # both sides of a pool
Clock = Callable[[], datetime]
Keys = tuple[tuple[str, tuple[str, ...]], ...]  # what each is for, and the settings of which one must be there
MAX_STAGED_BYTES = 4 * 1024 * 1024  # half of what NATS takes


def wall_clock() -> datetime:
    """The clock of production."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Staged:
    """A message that the transaction will put into the outbox."""

    message_id: uuid.UUID
    kind: str
    name: str
    site: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Closing:
    """The last change of a handler, which nothing in its transaction reads again.

    ``steps`` is a WITH list of changing statements, such as ``patched AS (UPDATE …)``. Where the message is alone in
    its transaction they travel with its outcome and its events, in one round trip.
    """

    steps: str

    @property
    def alone(self) -> str:
        """The statement that makes the change by itself."""
        return f"WITH {self.steps} SELECT 1"


@dataclass(frozen=True, slots=True)
class Deferred:
    """A command's answer that comes later: when ``on``, caused by one of the ``causes``, has been handled here.

    ``state`` is JSON kept for the resume handler. After ``timeout_s`` the outcome is a 504.
    """

    on: Event
    causes: tuple[uuid.UUID, ...]
    state: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Refused:
    """A command's answer that refuses it and yet keeps what the handler did: its rows and events are committed.

    For what must be remembered although the sender is told no, such as a report that can't be read. A handler that
    raises the refusal instead leaves nothing behind.
    """

    refusal: Refusal


class Tx:
    """One message inside one transaction.

    ``connection`` is the transaction's own; whatever is emitted or sent leaves only if it commits.
    """

    __slots__ = ("_asker", "_connection", "closing", "message", "now", "service", "staged")

    def __init__(
        self,
        service: str,
        connection: Connection | None,
        message: CloudEvent,
        now: datetime,
        asker: Asker | None = None,
    ) -> None:
        self.service = service
        self._asker = asker
        self._connection = connection
        self.message = message
        self.now = now
        self.staged: list[Staged] = []
        self.closing: tuple[Closing, tuple[Any, ...]] | None = None

    @property
    def connection(self) -> Connection:
        """The transaction's connection; a `Tx` made only to stage messages has none."""
        if self._connection is None:
            raise RuntimeError("this transaction only stages messages")
        return self._connection

    @property
    def site(self) -> str:
        """The site that the message concerns."""
        return self.message.site

    @property
    def actor(self) -> str:
        """Who asked for it: a user's name, or ``service:<name>``."""
        return self.message.actor

    @property
    def message_id(self) -> uuid.UUID:
        """The id of the command or event being applied."""
        return uuid.UUID(self.message.id)

    def close_with(self, closing: Closing, *values: Any) -> None:
        """Make a change when the handler has returned, together with what else is stored then. Once a message."""
        if self.closing is not None:
            raise RuntimeError("a handler may leave one closing change")
        self.closing = closing, values

    async def close(self) -> None:
        """Make the closing change now, if the handler left one."""
        if self.closing is not None:
            closing, values = self.closing
            await self.connection.execute(closing.alone, *values)

    def emit(self, event: Event, data: BaseModel, *, subject: str, site: str | None = None) -> uuid.UUID:
        """Stage an event about the entity ``subject``; returns its id. Its causationid is this message."""
        if event.service != self.service:
            raise ValueError(f"{self.service} may not emit {event.name}")
        return self._stage("event", event.name, event.type, data, subject, site, self.actor)

    def send(self, command: Command, body: BaseModel, *, site: str | None = None) -> uuid.UUID:
        """Stage a command to another service, declared in the contract's ``sends``; returns its id."""
        if not CONTRACTS[self.service].may_send(command):
            raise ValueError(f"{self.service} may not send {command.name}; its contract package says what it sends")
        return self._stage("command", command.name, command.type, body, "", site, f"service:{self.service}")

    async def ask(
        self, query: Query, params: BaseModel, *, site: str | None = None, timeout_s: float = ASK_TIMEOUT_S
    ) -> Any:
        """Ask another service about a site; see `Asker.ask` for what is answered and raised.

        The transaction stays open meanwhile: ask before anything is locked. While the other service is away an event
        waits, without counting as failed; a command is refused with 503 or 504.
        """
        if self._asker is None:
            raise RuntimeError("this transaction only stages messages")
        where = site or self.site
        return await self._asker.ask(
            query,
            params,
            about=self.message,
            actor=f"service:{self.service}",
            site=where,
            sites=(where,),
            timeout_s=timeout_s,
        )

    def _stage(
        self, kind: str, name: str, type_: str, data: BaseModel, subject: str, site: str | None, actor: str
    ) -> uuid.UUID:
        message_id = uuid7()
        envelope = CloudEvent(
            id=str(message_id),
            source=f"/headgate/{self.service}",
            type=type_,
            subject=subject,
            time=self.now,
            site=site or self.site,
            actor=actor,
            correlationid=self.message.correlationid or self.message.id,
            causationid=self.message.id,
            traceparent=self.message.traceparent,
        )
        payload = envelope.encode(data.model_dump_json().encode())
        if len(payload) > MAX_STAGED_BYTES:
            # Once in the outbox it could never leave, and everything behind it would wait for ever.
            raise TooLarge(f"What this would tell ({name}) has {len(payload)} bytes, at most {MAX_STAGED_BYTES}.")
        self.staged.append(Staged(message_id, kind, name, envelope.site, payload))
        return message_id


@dataclass(frozen=True, slots=True)
class Read:
    """The context of a question: a pool to read from, and who asks about which site.

    ``sites`` is what the asker may see (``*`` for all); ``permissions`` what the asker's role allows. ``role`` is the
    asker's own, "" where a service asks.
    """

    pool: asyncpg.Pool
    site: str
    actor: str
    now: datetime
    sites: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()
    message: CloudEvent | None = None
    asker: Asker | None = None
    role: str = ""

    def sites_of(self, only_site: str | None) -> list[str] | None:
        """The sites to look at: that one, else all that the asker may see; None: every site. Raises `Forbidden`."""
        every = "*" in self.sites
        if only_site is None:
            return None if every else sorted(set(self.sites))
        if not every and only_site not in self.sites:
            raise Forbidden(f"Your scope does not hold the site {only_site}; leave only_site away.")
        return [only_site]

    async def ask(self, query: Query, params: BaseModel, *, timeout_s: float = ASK_TIMEOUT_S) -> Any:
        """Ask another service in the name of who asks here, with the same site, scope and permissions.

        See `Asker.ask` for what is answered and raised.
        """
        if self.asker is None or self.message is None:
            raise RuntimeError("this question came without a bus to ask on")
        return await self.asker.ask(
            query,
            params,
            about=self.message,
            actor=self.actor,
            site=self.site,
            sites=self.sites,
            permissions=self.permissions,
            timeout_s=timeout_s,
        )


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message for a batch handler: its envelope and the very bytes that arrived."""

    event: CloudEvent
    payload: bytes


class CommandHandler(Protocol):
    """Applies a command: returns the result, `Deferred` or `Refused`; raises `Refusal` to refuse it without effect."""

    def __call__(self, tx: Tx, body: Any, /) -> Awaitable[Any]: ...


class EventHandler(Protocol):
    """Applies an event; a repeat never reaches it."""

    def __call__(self, tx: Tx, data: Any, /) -> Awaitable[None]: ...


class ResumeHandler(Protocol):
    """Finishes a deferred command: (tx of the event, the command's envelope, its body, deferred state, event data)."""

    def __call__(
        self, tx: Tx, command: CloudEvent, body: Any, state: Mapping[str, Any], data: Any, /
    ) -> Awaitable[Any]: ...


class QueryHandler(Protocol):
    """Answers a question with the declared result, or its JSON bytes; raises `Refusal`."""

    def __call__(self, read: Read, params: Any, /) -> Awaitable[Any]: ...


class BatchHandler(Protocol):
    """Applies many new messages at once: (connection, messages, now) -> staged messages."""

    def __call__(
        self, connection: Connection, messages: Sequence[Delivered], now: datetime, /
    ) -> Awaitable[Sequence[Staged]]: ...


@dataclass(frozen=True, slots=True)
class JobDone:
    """What a run of a job did: how it ended, and what there is to say of it."""

    status: JobStatus = "success"
    detail: Mapping[str, Any] = field(default_factory=dict)
    policy_version: str | None = None


class JobHandler(Protocol):
    """Runs a scheduled job for ``tx.site`` in one transaction; None: there was nothing to do."""

    def __call__(self, tx: Tx, /) -> Awaitable[JobDone | None]: ...


class Sites(Protocol):
    """The sites that a job runs in, one run each, sorted."""

    def __call__(self, connection: Connection, /) -> Awaitable[Sequence[str]]: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """A consumer of each of ``streams`` that works on sets of what its service hears there."""

    handler: BatchHandler
    streams: tuple[Literal["events", "telemetry", "records"], ...] = ("events",)


@dataclass(frozen=True, slots=True)
class Job:
    """A scheduled job. Without ``sites`` it runs once a tick, in the site ``global``.

    ``keeps_record``: its handler stores the run itself, such as a gate run, and tells it. ``looks``: it looks for what
    is to be done, so that running it again does no harm; it also runs in instants that come again because the clock was
    set back.
    """

    name: str
    schedule: Schedule
    handler: JobHandler
    sites: Sites | None = None
    keeps_record: bool = False
    looks: bool = False


@dataclass(frozen=True)
class Table:
    """What one module answers: its part of the service's table of contents, at the end of the module.

    ``buckets`` are those that its handlers hold, and whatever else speaks to NATS; they are bound to the service's
    connection before the first message.
    ``workers`` run beside the messages.
    """

    commands: Mapping[Command, CommandHandler] = field(default_factory=dict)
    queries: Mapping[Query, QueryHandler] = field(default_factory=dict)
    events: Mapping[Event, EventHandler] = field(default_factory=dict)
    resumes: Mapping[Command, ResumeHandler] = field(default_factory=dict)
    batch: Batch | None = None
    jobs: tuple[Job, ...] = ()
    buckets: tuple[Bound, ...] = ()
    workers: tuple[WorkerMaker, ...] = ()


@dataclass(frozen=True)
class Service:
    """A service's table of contents, put together of its modules' with `of`. Its preflight asks for ``keys``."""

    contract: Contract
    commands: Mapping[Command, CommandHandler] = field(default_factory=dict)
    queries: Mapping[Query, QueryHandler] = field(default_factory=dict)
    events: Mapping[Event, EventHandler] = field(default_factory=dict)
    resumes: Mapping[Command, ResumeHandler] = field(default_factory=dict)
    batch: Batch | None = None
    jobs: tuple[Job, ...] = ()
    buckets: tuple[Bound, ...] = ()
    workers: tuple[WorkerMaker, ...] = ()
    gauges: Gauges | None = None
    keys: Keys = ()

    @property
    def name(self) -> str:
        """The service's name, which is also its Postgres schema."""
        return self.contract.service

    @classmethod
    def of(cls, contract: Contract, *tables: Table, gauges: Gauges | None = None, keys: Keys = ()) -> Service:
        """The service whose modules answer what ``tables`` say. Raises `ValueError` if two answer the same."""
        parts: dict[str, Any] = {"commands": {}, "queries": {}, "events": {}, "resumes": {}}
        for kind, into in parts.items():
            for table in tables:
                for declared, handler in getattr(table, kind).items():
                    if declared in into:
                        raise ValueError(f"{contract.service} answers {declared.name} in two modules")
                    into[declared] = handler
        if len(batches := [table.batch for table in tables if table.batch]) > 1:
            raise ValueError(f"{contract.service} has two batch handlers")
        jobs = tuple(job for table in tables for job in table.jobs)
        if len({job.name for job in jobs}) < len(jobs):
            raise ValueError(f"{contract.service} has two jobs of one name")
        buckets = tuple({id(bucket): bucket for table in tables for bucket in table.buckets}.values())
        parts["workers"] = tuple(worker for table in tables for worker in table.workers)
        batch = batches[0] if batches else None
        return cls(contract, **parts, batch=batch, jobs=jobs, buckets=buckets, gauges=gauges, keys=keys)
