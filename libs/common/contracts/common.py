"""What every service promises in the same way: outcomes of its commands, and its dead letters."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from libs.common.contracts.base import DELETE, GET, POST, Command, Event, Json, Model, Open, Page, Query, Time
from libs.common.problems import Conflict, NotFound


class OutcomeKey(Model):
    command_id: UUID


class Outcome(Open):
    """How a command ended: ``http_status`` and ``result`` are what the caller would have got by waiting.

    ``digest`` is the SHA-256 (hex) of what was asked, as JSON with sorted keys; empty where it is not known.
    """

    command_id: UUID
    operation: str
    state: Literal["pending", "waiting", "done", "refused"]
    actor: str
    site: str
    http_status: int | None = None
    result: Any = None
    created_at: Time | None = None
    digest: str = ""


# A waiting one is of a type that only a newer version knows: that takes it up, or it is held after some hours.
LetterState = Literal["held", "replayed", "dropped", "waiting"]


class DeadLetterFilter(Model):
    state: LetterState | None = Field("held", description="Only letters in this state")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class DeadLetterKey(Model):
    letter_id: int = Field(ge=1, le=2**63 - 1, description="The dead letter's number")


class DeadLetter(Open):
    """A message that could not be applied: kept with its bytes and the reason until an operator replays or drops it."""

    letter_id: int
    consumer: str
    message_id: str
    message_type: str
    subject: str
    site: str
    reason: str
    attempts: int
    state: LetterState
    buried_at: Time
    decided_by: str | None = None
    decided_at: Time | None = None
    payload: str | None = None


class DeadLetterBuried(Open):
    letter_id: int
    consumer: str
    message_id: str
    message_type: str
    reason: str
    attempts: int


class DeadLetterDecided(Open):
    letter_id: int
    consumer: str
    message_id: str


def outcome_query(service: str) -> Query:
    """How the outcome of one of the service's commands is read (the edge serves it as ``/api/commands/…``)."""
    return Query(f"{service}.outcomes.get", params=OutcomeKey, result=Outcome, errors=(NotFound,), sited=False)


def dead_letter_queries(service: str) -> tuple[Query, Query]:
    """List and show."""
    path = f"/api/dead-letters/{service}"
    return (
        Query(
            f"{service}.deadletters.list",
            params=DeadLetterFilter,
            result=Page[DeadLetter],
            permission="deadletter:read",
            http=GET(path),
            sited=False,
            summary=f"List messages that {service} could not apply",
        ),
        Query(
            f"{service}.deadletters.show",
            params=DeadLetterKey,
            result=DeadLetter,
            permission="deadletter:read",
            http=GET(path + "/{letter_id}"),
            errors=(NotFound,),
            sited=False,
            summary="Show a dead letter with its bytes",
        ),
    )


def dead_letter_commands(service: str) -> tuple[Command, Command]:
    """Replay and drop."""
    path = f"/api/dead-letters/{service}/{{letter_id}}"
    return (
        Command(
            f"{service}.deadletter.replay",
            body=DeadLetterKey,
            result=DeadLetter,
            permission="deadletter:write",
            http=POST(path + "/replay"),
            errors=(NotFound, Conflict),
            sited=False,
            summary="Apply a dead letter now, once its cause is mended",
        ),
        Command(
            f"{service}.deadletter.drop",
            body=DeadLetterKey,
            result=DeadLetter,
            permission="deadletter:write",
            http=DELETE(path),
            errors=(NotFound, Conflict),
            sited=False,
            summary="Give a dead letter up; its record stays",
        ),
    )


class CommandRefused(Open):
    """Another service's command was refused here; whoever waits for what it would have caused need not wait on."""

    operation: str
    http_status: int
    problem: Json


def refused_event(service: str) -> Event:
    """The event that tells a service that a command which it sent was refused."""
    return Event(f"{service}.command.refused", data=CommandRefused, summary="A command of another service was refused")


def dead_letter_events(service: str) -> tuple[Event, ...]:
    """Buried, replayed, dropped; and refused, for commands that a service sent."""
    return (
        refused_event(service),
        Event(f"{service}.deadletter.buried", data=DeadLetterBuried, summary="A message could not be applied"),
        Event(f"{service}.deadletter.replayed", data=DeadLetterDecided, summary="A dead letter was applied"),
        Event(f"{service}.deadletter.dropped", data=DeadLetterDecided, summary="A dead letter was given up"),
    )
