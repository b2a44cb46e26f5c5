"""From a decoded message to its handler, inside an open transaction. Used by the loop and by dead-letter replay."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from opentelemetry.trace import SpanKind
from pydantic import ValidationError

from libs.common import contracts, outcomes, series
from libs.common.asking import Asker
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Command, Event, encode_result
from libs.common.contracts.common import CommandRefused, refused_event
from libs.common.outcomes import Ended, Waiting
from libs.common.problems import Invalid, Refusal, TooLarge, Unavailable
from libs.common.service import MAX_STAGED_BYTES, Closing, Connection, Deferred, Refused, Service, Staged, Tx
from libs.common.telemetry import messaging, span, trace_id


class Unknown(ValueError):
    """No handler of this service answers the message: it can never be applied here."""


class NotYet(Unavailable):
    """This version does not know the order of somebody who waits for the answer. The same one may come again."""


@dataclass(slots=True)
class Applied:
    """What applying messages yields: rows for the outbox, outcomes to store and tell, and a closing change.

    ``alone``: there is one message in the transaction, so its closing change may wait until the rest is stored.
    """

    staged: list[Staged] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    closing: tuple[Closing, tuple[Any, ...]] | None = None
    alone: bool = False

    async def close(self, tx: Tx) -> None:
        """Take over what a handler left: its messages, and its closing change, made now if others may read it."""
        self.staged += tx.staged
        if self.alone:
            self.closing = tx.closing
        else:
            await tx.close()


def refused(command: CloudEvent, refusal: Refusal) -> Ended:
    """The outcome of a refused command."""
    return Ended(command, refusal.status, refusal.body(trace_id(command.traceparent)), isinstance(refusal, NotYet))


def refusal_event(service: str, command: CloudEvent, ended: Ended, now: datetime) -> list[Staged]:
    """The event that tells another service of its refused command: services listen to events, not to outcomes."""
    if not command.actor.startswith("service:"):
        return []
    data = CommandRefused(operation=command.name, http_status=ended.http_status, problem=orjson.loads(ended.body))
    tx = Tx(service, None, command, now)
    tx.emit(refused_event(service), data, subject=command.id)
    return tx.staged


def problems_of(error: ValidationError) -> list[dict[str, Any]]:
    """A pydantic error as field and message pairs, without the input (it may be secret or huge)."""
    rows = error.errors(include_url=False, include_context=False, include_input=False)
    return [{"field": ".".join(map(str, row["loc"])), "message": row["msg"]} for row in rows[:20]]


class Dispatcher:
    """Applies messages with a service's handlers."""

    def __init__(self, service: Service, asker: Asker | None = None) -> None:
        self.service, self._asker = service, asker
        self._commands = {command.type: (command, handler) for command, handler in service.commands.items()}
        self._events = {event.type: (event, handler) for event, handler in service.events.items()}
        series.begin_commands(service.name, (command.name for command in service.commands))
        self._resumes = {command.type: (command, handler) for command, handler in service.resumes.items()}

    @property
    def command_types(self) -> frozenset[str]:
        """Of all commands that the service answers."""
        return frozenset(self._commands)

    @property
    def event_types(self) -> frozenset[str]:
        """Of all events that may come: those that have a handler, and refusals of what was sent."""
        return frozenset(self._events) | {refused_event(name).type for name in contracts.SERVICES}

    async def command(self, connection: Connection, message: CloudEvent, now: datetime, into: Applied) -> None:
        """Apply one command; raises `Refusal` (roll back, then store the refusal) or whatever the handler raises."""
        if message.type not in self._commands:
            raise NotYet(
                f"Nothing was done: this {self.service.name} does not know {message.name} yet. Ask again when all of "
                "the installation is of one version."
            )
        declared, handler = self._commands[message.type]
        body = _body(declared, message)
        with self._span(message) as message.traceparent:
            tx = Tx(self.service.name, connection, message, now, self._asker)
            result = await handler(tx, body)
        if isinstance(result, Deferred):
            await outcomes.defer(connection, message, result, now)
        else:
            into.ended.append(self._ended(declared, message, result))
        await into.close(tx)
        if isinstance(result, Refused):
            into.staged += refusal_event(self.service.name, message, into.ended[-1], now)

    @staticmethod
    def _ended(declared: Command, message: CloudEvent, result: Any) -> Ended:
        if isinstance(result, Refused):
            return refused(message, result.refusal)
        return _success(declared, message, result)

    async def event(
        self, connection: Connection, message: CloudEvent, now: datetime, into: Applied, waiting: Sequence[Waiting] = ()
    ) -> None:
        """Apply one event, then finish the commands that waited for it."""
        found = self._events.get(message.type)
        declared = found[0] if found else contracts.find(message.name)
        if not isinstance(declared, Event) or message.type not in self.event_types:
            raise Unknown(f"{self.service.name} has no handler for {message.name}")
        data = declared.data.model_validate(message.data)
        with self._span(message) as message.traceparent:
            tx = Tx(self.service.name, connection, message, now, self._asker)
            if found:
                await found[1](tx, data)
            into.alone = into.alone and not waiting  # what waits reads what the handler has changed
            await into.close(tx)
            for one in waiting:
                into.ended.append(await self._resume(connection, one, message, data, now, into))
        series.EVENTS_HANDLED.labels(self.service.name, message.name).inc()

    def _span(self, message: CloudEvent) -> AbstractContextManager[str]:
        return span(
            self.service.name,
            f"process {message.name}",
            message.traceparent,
            SpanKind.CONSUMER,
            messaging("process", message.name, message.id, self.service.name),
            request_id=message.correlationid,
        )

    async def _resume(
        self, connection: Connection, one: Waiting, event: CloudEvent, data: Any, now: datetime, into: Applied
    ) -> Ended:
        if isinstance(data, CommandRefused):
            return Ended(one.command, data.http_status, orjson.dumps(data.problem))
        declared, handler = self._resumes[one.command.type]
        # What the resumed command emits is caused by the command, in its own trace and under its actor.
        tx = Tx(self.service.name, connection, one.command, now, self._asker)
        try:
            async with connection.transaction():  # a refusal undoes only what the resume did
                result = await handler(tx, one.command, _body(declared, one.command), one.state, data)
        except Refusal as refusal:
            return refused(one.command, refusal)
        await into.close(tx)
        return self._ended(declared, one.command, result)


def _body(declared: Command, message: CloudEvent) -> Any:
    try:
        return declared.body.model_validate(message.data)
    except ValidationError as error:
        raise Invalid("The command's content does not fit its contract.", errors=problems_of(error)) from error


def _success(declared: Command, message: CloudEvent, result: Any) -> Ended:
    status = declared.http.status if declared.http else 200
    body = encode_result(declared.result, result)
    if len(body) > MAX_STAGED_BYTES:
        raise TooLarge(f"The result would have {len(body)} bytes, at most {MAX_STAGED_BYTES}; ask for less at a time.")
    return Ended(message, status, body)
