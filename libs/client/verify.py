"""An independent check of the audit log: recomputes the hash chain from exported entries.

Written from docs/audit-log.md alone and not from the service's code, so that one mistake can't hide in both.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from libs.client.erasures import Erasures, moment
from libs.tlog.digests import unhashed_problem

PREFIXES = {None: b"headgate.audit.v1\n", 2: b"headgate.audit.v2\n"}
"""What is hashed first, by the entry's version."""

START = "00" * 32
COPIED_TEXTS = {"type": None, "source": None, "site": "global", "actor": "", "subject": ""}
"""Copied attributes and what stands in for one that the event does not have; None: every event has it."""

ADDED = (
    "outcome", "reason", "issue", "trace_id", "client_address", "client_agent", "action", "resource_type", "actor_kind",
)  # fmt: skip
"""What entries of version 2 hold besides."""

MAX_LISTED_BYTES = 1024 * 1024  # an entry with a larger payload is listed without it

PROGRESS_EACH = 250

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # as the log writes it: needs no conversion
_TRACE = re.compile("[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


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
    ``erased_count`` lost their bytes when their time was over: a signed tree vouches for their copies. Of
    ``unproven_count`` of them, from ``unproven_seq`` on, what says so may lie behind the last entry: not proven here.
    """

    checked_count: int
    first_seq: int
    last_seq: int
    last_hash: str
    unread_count: int = 0
    bad_seq: int | None = None
    problem: str | None = None
    anchored: bool = False
    erased_count: int = 0
    unproven_count: int = 0
    unproven_seq: int | None = None

    @property
    def sound(self) -> bool:
        """Whether at least one entry was checked, and nothing contradicts another."""
        return self.problem is None and self.checked_count > 0

    @property
    def valid(self) -> bool:
        """The same, and nothing is left to be proven."""
        return self.sound and not self.unproven_count


def verify(
    entries: Iterable[Mapping[str, Any]],
    *,
    anchor: Anchor | None = None,
    whole: bool = True,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Check entries that come without a gap, all oldest first or all newest first; the oldest that is wrong is named.

    ``whole``: the log must begin at entry 1. ``anchor``: the entry with this seq must be there with this hash.
    ``progress`` is called now and then with the number checked so far. Raises `NotAnEntry` for what can't be read.
    """
    walk = _Walk(anchor)
    for count, entry in enumerate(entries, 1):
        try:
            walk.take(entry)
        except NotAnEntry:
            if walk.bad is None:
                raise
            break  # what was found says enough
        if walk.bad is not None and walk.step > 0:
            break
        if count % PROGRESS_EACH == 0:
            progress(count)
    return _told(_ended(walk.report(), anchor, whole), walk.erased)


@dataclass(slots=True)
class _Walk:
    """A check in progress. ``step`` is the direction of the export, 0 while that is unknown.

    Newest first it goes on behind an entry that does not fit, since one before it may be to blame.
    """

    anchor: Anchor | None
    step: int = 0
    before: Mapping[str, Any] | None = None
    first: Mapping[str, Any] | None = None  # of those that fit since the last that did not
    last: Mapping[str, Any] | None = None
    count: int = 0
    unread: int = 0
    anchored: bool = False
    bad: tuple[int, str] | None = None
    erased: Erasures = field(default_factory=Erasures)

    def take(self, entry: Mapping[str, Any]) -> None:
        seq = _seq(entry)
        if self.before is not None and self.step == 0:
            self.step = 1 if seq > _seq(self.before) else -1
            if self.step > 0 and self.bad is not None:
                return
        found = self._problem(entry, seq)
        self.before = entry
        if found is not None:
            self.bad = found
            self.first = self.last = None
            self.count = self.unread = 0
            return
        self.first, self.last, self.count = self.first or entry, entry, self.count + 1
        if entry.get("payload") is None and not entry.get("erased_at"):
            self.unread += 1
        _note(self.erased, entry)

    def _problem(self, entry: Mapping[str, Any], seq: int) -> tuple[int, str] | None:
        if (problem := _problem_alone(entry)) is not None:
            return seq, problem
        if self.before is not None and (found := _problem_between(self.before, entry, self.step)) is not None:
            return found
        if self.anchor is not None and seq == self.anchor.seq:
            self.anchored = entry["hash"] == self.anchor.hash.lower()
            if not self.anchored:
                return seq, f"entry {seq} has another hash than the one noted for it"
        return None

    def report(self) -> Report:
        bad_seq, problem = self.bad or (None, None)
        made = _report(self.first, self.last, self.count, self.unread, bad_seq, problem, anchored=self.anchored)
        return made if problem else replace(made, erased_count=len(self.erased.seqs))


def _note(erased: Erasures, entry: Mapping[str, Any]) -> None:
    try:
        erased.note(entry)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise NotAnEntry(f"entry {_seq(entry)} can't be read: {error!r}") from error


def _told(report: Report, erased: Erasures) -> Report:
    """What else can only be said at the end: that the log itself says of each body that is gone that it was removed."""
    if report.problem is not None or (untold := erased.untold()) is None:
        return report
    if untold.beyond:
        return replace(report, unproven_count=untold.count, unproven_seq=untold.seq)
    problem = f"entry {untold.seq} has no body, and no later entry says that it was removed"
    return replace(report, bad_seq=untold.seq, problem=problem)


def _ended(report: Report, anchor: Anchor | None, whole: bool) -> Report:
    """What can only be said at the end: that the beginning and the noted entry are there."""
    if not report.sound:
        return report
    missing, more = None, ""
    if whole and report.first_seq != 1:
        missing = report.first_seq - 1
    elif anchor is not None and not report.anchored:
        missing = anchor.seq
        if missing > report.last_seq:
            more = (
                f": what is here ends at {report.last_seq}, so it is a copy of before that head, or its end was cut off"
            )
    if missing is None:
        return report
    return replace(report, bad_seq=missing, problem=f"entry {missing} is missing{more}", anchored=False)


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


def _problem_between(before: Mapping[str, Any], entry: Mapping[str, Any], step: int) -> tuple[int, str] | None:
    """Whether two neighbours of the export are neighbours in the chain; ``step`` is the direction of the export."""
    wanted, seq = _seq(before) + step, _seq(entry)
    if seq != wanted:
        return wanted, f"entry {wanted} is missing: the export goes on with entry {seq}"
    older, newer = (before, entry) if step > 0 else (entry, before)
    if newer.get("prev_hash") != older.get("hash"):
        return _seq(newer), f"entry {_seq(newer)} does not link to the one before it"
    return None


def _problem_alone(entry: Mapping[str, Any]) -> str | None:
    """Recompute one entry's hash and compare its copies with its event."""
    seq = _seq(entry)
    try:
        payload, prev_hash = entry["payload"], bytes.fromhex(entry["prev_hash"])
        digest = (
            bytes.fromhex(entry["payload_sha256"]) if payload is None else hashlib.sha256(payload.encode()).digest()
        )
        micros = (moment(entry["recorded_at"]) - _EPOCH) // _MICROSECOND
        link = (
            PREFIXES.get(entry.get("version"), b"")
            + prev_hash
            + seq.to_bytes(8, "big")
            + micros.to_bytes(8, "big", signed=True)
            + digest
        )
        stored = str(entry["hash"])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise NotAnEntry(f"entry {seq} can't be read: {error!r}") from error
    if len(prev_hash) != 32 or len(digest) != 32 or hashlib.sha256(link).hexdigest() != stored:
        return f"entry {seq} was changed: its hash is not that of its content"
    if seq == 1 and entry["prev_hash"] != START:
        return "entry 1 links to something before it"
    if entry.get("masked"):
        raise NotAnEntry(masked(seq))
    if payload is None and not entry.get("erased_at") and not int(entry.get("payload_bytes") or 0) > MAX_LISTED_BYTES:
        return f"entry {seq} has no payload, though it is small enough to be listed with one"
    if payload is not None and (column := _differing(entry, payload)) is not None:
        return f"entry {seq} was changed: its {column} is not what its event says"
    return unhashed_problem(entry)


def masked(seq: int) -> str:
    """What it means that an entry is shown without what is personal in it."""
    return (
        f"entry {seq} is shown without what is personal in it, so it can't be verified; that takes the permission "
        "personal:read, which owners and auditors hold"
    )


def _differing(entry: Mapping[str, Any], payload: str) -> str | None:
    """The first copy that the event contradicts; ``payload`` if that is no event."""
    try:
        event = _parsed(payload)
        for name, stand_in in COPIED_TEXTS.items():
            said = event[name] if stand_in is None else event.get(name, stand_in)
            if entry[name] != said.replace("\0", "\ufffd"):  # the database keeps no NUL in a text
                return name
        if _uuid(entry["event_id"]) != _uuid(event["id"]):
            return "event_id"
        if moment(entry["time"]) != moment(event.get("time") or entry["recorded_at"]):
            return "time"
        for name in ("causationid", "correlationid"):
            if entry[name] != _uuid_text(event.get(name)):
                return name
        added = _added(event) if entry.get("version") else {}
        for name in ADDED:
            if entry.get(name) != added.get(name):
                return name
    except (KeyError, TypeError, AttributeError, ValueError):
        return "payload"
    return None


def _added(event: Mapping[str, Any]) -> dict[str, str | None]:
    """What an entry of version 2 says besides, by the rules of docs/audit-log.md."""
    data = event["data"] if isinstance(event.get("data"), dict) else {}
    type_, actor = event["type"], event.get("actor", "")
    words = type_.removeprefix("headgate.").removesuffix(".v1").split(".")
    trace = _TRACE.fullmatch(str(event.get("traceparent")))
    whole = data["item"] if isinstance(data.get("item"), dict) else {}
    item = whole.get("id") if data.get("item_id") is None else data["item_id"]
    told = {
        "outcome": _cut(event.get("outcome"), 40),
        "reason": _cut(data.get("reason"), 500),
        "issue": _cut(data.get("issue"), 220) or (f"item:{item}" if type(item) is int else None),
        "trace_id": trace[1] if trace else None,
        "action": ".".join(words),
        "resource_type": ".".join(words[:2]),
        "actor_kind": next(
            (kind for kind in ("service", "webhook", "account") if actor.startswith(f"{kind}:")),
            "person" if actor else "nobody",
        ),
    }
    if told["outcome"]:
        return told | {name: _cut(data.get(name), 200) for name in ("client_address", "client_agent")}
    if type_.endswith((".command.refused.v1", ".refusals.counted.v1")):
        problem = data.get("problem")
        refused = _cut(problem.get("detail"), 500) if isinstance(problem, dict) else told["reason"]
        return told | {"outcome": "refused", "reason": refused}
    return told | {"outcome": "failed" if type_.endswith(".deadletter.buried.v1") else "applied"}


def _cut(value: Any, signs: int) -> str | None:
    return value.replace("\0", "\ufffd")[:signs] if isinstance(value, str) and value else None


def _parsed(payload: str) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:  # what the other one reads besides, such as NaN
        return json.loads(payload)


def _uuid(value: Any) -> str:
    """Any spelling of a UUID as the log writes it. Raises what UUID raises."""
    return value if type(value) is str and _UUID.fullmatch(value) else str(UUID(value))


def _uuid_text(value: Any) -> str | None:
    try:
        return _uuid(value)
    except (ValueError, TypeError, AttributeError):
        return None
