"""What an entry says beside its event's bytes: read out of the bytes, so that anybody can read it again and compare.

Pure and on the standard library only. Rules: docs/audit-log.md, "What an entry holds".
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

VERSION = 2
"""Of what is written now. Entries of before have none, and what `Added` holds is absent there."""

MAX_REASON = 500
MAX_ISSUE = 220
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # as we write it: needs no conversion
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_REFUSED = (".command.refused.v1", ".refusals.counted.v1")
_FAILED = ".deadletter.buried.v1"


class Copies(NamedTuple):
    """What the log repeats of an event beside its bytes. Ids are lower-case UUID texts; None: absent or no UUID."""

    time: datetime
    event_id: str
    type: str
    source: str
    site: str
    actor: str
    subject: str
    causationid: str | None
    correlationid: str | None


class Added(NamedTuple):
    """What entries of version 2 repeat besides. None: the event does not say it."""

    outcome: str | None
    reason: str | None
    issue: str | None
    trace_id: str | None
    client_address: str | None
    client_agent: str | None


COPIED = Copies._fields
ADDED = Added._fields
NOTHING_ADDED = Added(None, None, None, None, None, None)


class Derived(NamedTuple):
    """What is shown of entries of version 2 and follows from their type and their actor."""

    action: str
    resource_type: str
    actor_kind: str


def copies_of(document: Mapping[str, Any], recorded_at: datetime) -> Copies:
    """The copied columns of a CloudEvent in JSON form. An event without a time gets ``recorded_at``.

    Raises ValueError when the document is not an event with a UUID as its id.
    """
    try:
        time = document.get("time")
        return Copies(
            _moment(time) if time else recorded_at,
            _uuid(document["id"]),
            _text(document["type"]),
            _text(document["source"]),
            _text(document.get("site", "global")),
            _text(document.get("actor", "")),
            _text(document.get("subject", "")),
            _uuid_or_none(document.get("causationid")),
            _uuid_or_none(document.get("correlationid")),
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"not an event that the log can index: {error!r}") from error


def added_of(document: Mapping[str, Any]) -> Added:
    """The columns that version 2 added, of a document that `copies_of` takes.

    A record of a command is known by its attribute ``outcome``; only there does the client stand.
    """
    data = document.get("data")
    if not isinstance(data, dict):
        data = {}
    said = document.get("traceparent")
    trace = _TRACE.fullmatch(said) if isinstance(said, str) else None
    trace_id = trace[1] if trace else None
    if outcome := _word(document.get("outcome"), 40):
        address, agent = _word(data.get("client_address"), 200), _word(data.get("client_agent"), 200)
        return Added(outcome, _word(data.get("reason"), MAX_REASON), _issue(data), trace_id, address, agent)
    kind: str = document["type"]
    outcome, reason = "applied", _word(data.get("reason"), MAX_REASON)
    if kind.endswith(_REFUSED):
        outcome, problem = "refused", data.get("problem")
        reason = _word(problem.get("detail"), MAX_REASON) if isinstance(problem, dict) else reason
    elif kind.endswith(_FAILED):
        outcome = "failed"
    return Added(outcome, reason, _issue(data), trace_id, None, None)


@lru_cache(maxsize=4096)
def derived(type_: str, actor: str) -> Derived:
    """The action, what kind of thing it was done to, and what kind of actor did it."""
    action = type_.removeprefix("headgate.").removesuffix(".v1")
    kind, colon, _ = actor.partition(":")
    known = kind if colon and kind in ("service", "webhook", "account") else "person" if actor else "nobody"
    return Derived(action, ".".join(action.split(".")[:2]), known)


def changes_of(document: Any) -> list[dict[str, Any]]:
    """The member ``changes`` of an event's data: what was changed, from what to what. None of another form."""
    data = document.get("data") if isinstance(document, dict) else None
    found = data.get("changes") if isinstance(data, dict) else None
    rows = found if isinstance(found, list) else []
    return [
        {name: row.get(name) for name in ("field", "before", "after")} | {"masked": row.get("masked") is True}
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("field"), str)
    ]


def changes_left_out(document: Any) -> int:
    """How many changes more than it states an event says that there are."""
    data = document.get("data") if isinstance(document, dict) else None
    found = data.get("changes_left_out") if isinstance(data, dict) else None
    return found if type(found) is int and found > 0 else 0


def _issue(data: Mapping[str, Any]) -> str | None:
    if issue := _word(data.get("issue"), MAX_ISSUE):
        return issue
    item = data.get("item_id")
    if item is None and isinstance(whole := data.get("item"), dict):
        item = whole.get("id")
    return f"item:{item}" if type(item) is int else None


def _word(value: Any, limit: int) -> str | None:
    return _text(value)[:limit] if isinstance(value, str) and value else None


def _moment(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError("time has no zone")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def _uuid(text: Any) -> str:
    return text if _UUID.fullmatch(text) else str(uuid.UUID(text))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text wanted, not {type(value).__name__}")
    return value.replace("\0", "\ufffd")  # Postgres keeps no NUL in a text; the payload still has it


def _uuid_or_none(value: Any) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    try:
        return _uuid(value)
    except ValueError:
        return None
