"""An independent check of the audit log: recomputes the hash chain from exported entries.

Written from docs/audit-log.md alone and not from the service's code, so that one mistake can't hide in both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

PREFIX = b"headgate.audit.v1\n"
START = "00" * 32
COPIED_TEXTS = {"type": None, "source": None, "site": "global", "actor": "", "subject": ""}
"""Copied attributes and what stands in for one that the event does not have; None: every event has it."""

MAX_LISTED_BYTES = 1024 * 1024  # an entry with a larger payload is listed without it

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NotAnEntry(ValueError):
    """Something in the export is no entry; the message says where."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A link known from elsewhere, such as ``head_seq`` and ``head_hash`` of a verification noted before."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Report:
    """How a check went. ``first_seq`` to ``last_seq`` fit; ``bad_seq`` and ``problem`` tell the first that does not.

    ``unread_count`` entries were too large to be listed with their bytes: their links fit, their copies are unchecked.
    """

    checked_count: int
    first_seq: int
    last_seq: int
    last_hash: str
    unread_count: int = 0
    bad_seq: int | None = None
    problem: str | None = None
    anchored: bool = False

    @property
    def valid(self) -> bool:
        """Whether at least one entry was checked and all fit."""
        return self.problem is None and self.checked_count > 0


def verify(
    entries: Iterable[Mapping[str, Any]],
    *,
    anchor: Anchor | None = None,
    whole: bool = True,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Check entries that come without a gap, all oldest first or all newest first.

    ``whole``: the log must begin at entry 1. ``anchor``: the entry with this seq must be there with this hash.
    ``progress`` is called with the number checked so far. Raises `NotAnEntry` for what can't be read.
    """
    first: Mapping[str, Any] | None = None
    before: Mapping[str, Any] | None = None
    step, count, unread, anchored = 0, 0, 0, False
    for entry in entries:
        seq = _seq(entry)
        problem = _problem_alone(entry)
        if problem is None and before is not None:
            step = step or (1 if seq > _seq(before) else -1)
            problem = _problem_between(before, entry, step)
        if problem is None and anchor is not None and seq == anchor.seq:
            anchored = entry["hash"] == anchor.hash.lower()
            problem = None if anchored else f"entry {seq} has another hash than the one noted for it"
        if problem is not None:
            return _report(first, before, count, unread, seq, problem)
        first, before, count = first or entry, entry, count + 1
        unread += entry.get("payload") is None
        progress(count)
    return _ended(_report(first, before, count, unread, anchored=anchored), anchor, whole)


def _ended(report: Report, anchor: Anchor | None, whole: bool) -> Report:
    """What can only be said at the end: that the beginning and the noted entry are there."""
    if not report.valid:
        return report
    missing = None
    if whole and report.first_seq != 1:
        missing = report.first_seq - 1
    elif anchor is not None and not report.anchored:
        missing = anchor.seq
    if missing is None:
        return report
    return Report(
        report.checked_count,
        report.first_seq,
        report.last_seq,
        report.last_hash,
        report.unread_count,
        missing,
        f"entry {missing} is missing",
    )


def _report(
    first: Mapping[str, Any] | None,
    last: Mapping[str, Any] | None,
    count: int,
    unread: int,
    bad_seq: int | None = None,
    problem: str | None = None,
    *,
    anchored: bool = False,
) -> Report:
    if first is None or last is None:
        return Report(0, 0, 0, START, 0, bad_seq, problem)
    low, high = sorted((first, last), key=_seq)
    return Report(count, _seq(low), _seq(high), str(high["hash"]), unread, bad_seq, problem, anchored)


def _seq(entry: Mapping[str, Any]) -> int:
    try:
        seq = entry["seq"]
    except (KeyError, TypeError):
        raise NotAnEntry("an entry without seq is no entry of the audit log") from None
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 < seq < 2**63:
        raise NotAnEntry(f"{str(seq)[:40]!r} is no seq of the audit log")
    return seq


def _problem_between(before: Mapping[str, Any], entry: Mapping[str, Any], step: int) -> str | None:
    """Whether two neighbours of the export are neighbours in the chain; ``step`` is the direction of the export."""
    wanted, seq = _seq(before) + step, _seq(entry)
    if seq != wanted:
        return f"entry {wanted} is missing: the export goes on with entry {seq}"
    older, newer = (before, entry) if step > 0 else (entry, before)
    if newer["prev_hash"] != older["hash"]:
        return f"entry {_seq(newer)} does not link to the one before it"
    return None


def _problem_alone(entry: Mapping[str, Any]) -> str | None:
    """Recompute one entry's hash and compare its copies with its event."""
    seq = _seq(entry)
    try:
        payload, prev_hash = entry["payload"], bytes.fromhex(entry["prev_hash"])
        digest = (
            bytes.fromhex(entry["payload_sha256"]) if payload is None else hashlib.sha256(payload.encode()).digest()
        )
        micros = (_moment(entry["recorded_at"]) - _EPOCH) // timedelta(microseconds=1)
        link = PREFIX + prev_hash + seq.to_bytes(8, "big") + micros.to_bytes(8, "big", signed=True) + digest
        stored = str(entry["hash"])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise NotAnEntry(f"entry {seq} can't be read: {error!r}") from error
    if len(prev_hash) != 32 or len(digest) != 32 or hashlib.sha256(link).hexdigest() != stored:
        return f"entry {seq} was changed: its hash is not that of its content"
    if seq == 1 and entry["prev_hash"] != START:
        return "entry 1 links to something before it"
    if payload is None and not int(entry.get("payload_bytes") or 0) > MAX_LISTED_BYTES:
        return f"entry {seq} has no payload, though it is small enough to be listed with one"
    if payload is not None and (column := _differing(entry, payload)) is not None:
        return f"entry {seq} was changed: its {column} is not what its event says"
    return None


def _differing(entry: Mapping[str, Any], payload: str) -> str | None:
    """The first copy that the event contradicts; ``payload`` if that is no event."""
    try:
        event = json.loads(payload)
        for name, stand_in in COPIED_TEXTS.items():
            said = event[name] if stand_in is None else event.get(name, stand_in)
            if entry[name] != said.replace("\0", "\ufffd"):  # the database keeps no NUL in a text
                return name
        if UUID(entry["event_id"]) != UUID(event["id"]):
            return "event_id"
        if _moment(entry["time"]) != _moment(event.get("time") or entry["recorded_at"]):
            return "time"
        for name in ("causationid", "correlationid"):
            if entry[name] != _uuid_text(event.get(name)):
                return name
    except (KeyError, TypeError, AttributeError, ValueError):
        return "payload"
    return None


def _uuid_text(value: Any) -> str | None:
    try:
        return str(UUID(value))
    except (ValueError, TypeError, AttributeError):
        return None


def _moment(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError(f"{text[:40]!r} has no zone")
    return value
