"""Records: what became of each command and where it came from, told to the audit log and to nobody else.

An event says what is so now; it goes to many. Who asked for it from which address with which program, and how a refused
command was refused, goes from the service that applied the command to the audit log, on a stream that only the log
reads. It leaves through the outbox, so it is there if and only if the outcome is. Form: docs/audit-log.md, "Commands".
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel

from libs.common.cloudevents import CloudEvent, format_time
from libs.common.contracts.base import Event
from libs.common.ids import uuid7
from libs.common.resources import resource_id
from libs.common.service import Staged

MAX_REASON = 500
_FAILED = uuid.UUID("6f0b6b5e-52a5-5d1b-9c1e-4a6a1f3f7d10")  # the namespace of the ids of records of failure
Result = Literal["applied", "refused", "failed"]


def result_of(http_status: int) -> Result:
    """How a command ended: refused is an answer to the caller (4xx), failed a fault of ours or of something asked."""
    return "applied" if http_status < 400 else "refused" if http_status < 500 else "failed"


def record(
    command: CloudEvent, http_status: int, body: bytes, now: datetime, *, at_edge: bool = False, not_yet: bool = False
) -> Staged:
    """The record of a command that has ended. ``body`` is its result or a problem document.

    Its id is the command's, so that what the command caused finds it by its causationid. A command that was buried
    (500), or that is ``not_yet`` known, may be applied later after all: that record has an id of its own, and the
    command as its cause. What was refused ``at_edge`` never was a command: the gateway says so, and nobody has read its
    body.
    """
    asked = command.data if isinstance(command.data, dict) else {}
    passing = not_yet or http_status == 500
    name = f"{command.id} not yet" if not_yet else command.id
    id_ = uuid.uuid5(_FAILED, name) if passing else uuid.UUID(command.id)
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(id_),
        "source": command.source if at_edge else f"/headgate/{command.name.partition('.')[0]}",
        "type": command.type,
        "time": format_time(now),
        "datacontenttype": "application/json",
        "subject": resource_id(command, http_status, body, read=not at_edge),
        "site": command.site,
        "actor": command.actor,
        "correlationid": command.correlationid or command.id,
        "causationid": command.id if passing else command.causationid,
        "traceparent": command.traceparent,
        "digest": command.digest,
        "outcome": result_of(http_status),
        "data": {
            "http_status": http_status,
            "requested_at": format_time(command.time),
            "reason": _reason(http_status, body, asked),
            "issue": asked.get("issue"),
            "item_id": asked.get("item_id"),
            "client_address": command.clientaddress,
            "client_agent": command.clientagent,
            "at_edge": at_edge or None,
        },
    }
    kept = {name: value for name, value in envelope.items() if value != ""}
    kept["data"] = {name: value for name, value in envelope["data"].items() if value not in ("", None)}
    return Staged(id_, "record", command.name, command.site, orjson.dumps(kept))


def denial(tried: CloudEvent, body: bytes, now: datetime) -> Staged:
    """The record of an order that the edge refused with 403. ``tried`` holds what the route names; ``body`` is the
    problem document.
    """
    return record(tried, 403, body, now, at_edge=True)


def told(event: Event, data: BaseModel, *, subject: str, outcome: Result, now: datetime) -> Staged:
    """What only the audit log may hear of an event, such as addresses: a record of the event's name beside it."""
    id_ = uuid7()
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(id_),
        "source": f"/headgate/{event.service}",
        "type": event.type,
        "time": format_time(now),
        "datacontenttype": "application/json",
        "subject": subject,
        "site": "global",
        "actor": f"service:{event.service}",
        "correlationid": str(id_),
        "outcome": outcome,
        "data": data.model_dump(mode="json"),
    }
    return Staged(id_, "record", event.name, "global", orjson.dumps(envelope))


def _reason(http_status: int, body: bytes, asked: Mapping[str, Any]) -> str:
    """Why it was refused, in the words that the caller got; of an applied command the reason that the caller gave."""
    said: Any = asked.get("reason")
    if http_status >= 400:
        problem = orjson.loads(body)
        said = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
    return said[:MAX_REASON] if isinstance(said, str) else ""
