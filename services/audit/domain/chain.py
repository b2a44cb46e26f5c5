"""The hash chain of the audit log: how a link is made, and how anybody checks it. Format: docs/audit-log.md.

Pure and on the standard library only, so that an auditor can run this file alone.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

DOMAIN = b"headgate.audit.v1\n"
GENESIS = bytes(32)
"""The ``prev_hash`` of entry 1."""

COPIED = ("time", "event_id", "type", "source", "site", "actor", "subject", "causationid", "correlationid")
"""The columns that are copies out of the payload, in the order of `Copies` and at the end of `Row`."""

Parse = Callable[[bytes], Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_sha256 = hashlib.sha256
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # as we write it: needs no conversion
_plain = itemgetter("id", "type", "source", "site", "actor", "subject", "causationid", "correlationid")


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


class Row(NamedTuple):
    """A stored entry as read for checking; the fields from ``time`` on are its `Copies`."""

    seq: int
    recorded_at: datetime
    prev_hash: bytes
    hash: bytes
    payload: bytes
    time: datetime
    event_id: str
    type: str
    source: str
    site: str
    actor: str
    subject: str
    causationid: str | None
    correlationid: str | None


class Link(NamedTuple):
    """Where a chain stands: the last ``seq`` and its hash."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """The first entry that does not fit, and a sentence that says why."""

    seq: int
    problem: str


@dataclass(frozen=True, slots=True)
class Walk:
    """How a check went: the last link that fits, how many fit, and the fault that ended it, if any."""

    end: Link
    checked_count: int
    fault: Fault | None = None


def micros(value: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z, exactly (floats would round)."""
    return (value - _EPOCH) // _MICROSECOND


def entry_hash(prev_hash: bytes, seq: int, recorded_at: datetime, payload_hash: bytes) -> bytes:
    """SHA-256 over DOMAIN, prev_hash (32 bytes), seq and recorded_at in microseconds (8 bytes each, big-endian)
    and the SHA-256 of the payload (32 bytes).

    Every part has a fixed length, so no two different entries give the same 98 bytes.
    """
    return _sha256(DOMAIN + prev_hash + seq.to_bytes(8, "big") + _micros_bytes(recorded_at) + payload_hash).digest()


def _micros_bytes(value: datetime) -> bytes:
    try:
        return micros(value).to_bytes(8, "big", signed=True)
    except TypeError:  # a stored 'infinity' has no zone: no entry was ever written so, and no hash will fit
        return b""


def extend(head: Link, payload_hashes: Sequence[bytes], recorded_at: datetime) -> list[Link]:
    """The links that entries with these SHA-256 of their payloads add behind ``head``, in order."""
    links: list[Link] = []
    seq, last = head
    for payload_hash in payload_hashes:
        seq += 1
        last = entry_hash(last, seq, recorded_at, payload_hash)
        links.append(Link(seq, last))
    return links


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


def check(rows: Iterable[Iterable[Any]], start: Link, parse: Parse = json.loads) -> Walk:
    """Recompute the chain over ``rows`` (the fields of `Row`), which must come in order of seq right behind ``start``.

    Looks at: no gap in seq, each prev_hash is the hash before it, each hash recomputed, each copied column read out
    of the payload again. ``parse`` turns the payload into a mapping (a faster JSON reader may be handed in).
    """
    seq, last = start
    count = 0
    known_time, time_bytes = _EPOCH, bytes(8)
    for row in rows:
        stored_seq, recorded_at, prev_hash, stored_hash, payload, time, *plain = row
        seq += 1
        if recorded_at != known_time:  # the entries of a batch share one time
            known_time, time_bytes = recorded_at, _micros_bytes(recorded_at)
        link = DOMAIN + last + seq.to_bytes(8, "big") + time_bytes + _sha256(payload).digest()
        if stored_seq != seq or prev_hash != last or _sha256(link).digest() != stored_hash:
            return Walk(Link(seq - 1, last), count, _broken(seq, last, stored_seq, prev_hash))
        try:
            document = parse(payload)
            # An event spelled as we write it ourselves needs no conversion of ids: that is most of the time saved.
            same = [*_plain(document)] == plain and datetime.fromisoformat(document["time"]) == time
        except (ValueError, TypeError, LookupError):
            same = False  # another spelling, or no event: told apart below
        if not same and (column := _differing(payload, recorded_at, (time, *plain), parse)) is not None:
            problem = f"entry {seq} was changed: the column {column} is not what its event says"
            return Walk(Link(seq - 1, last), count, Fault(seq, problem))
        last = stored_hash
        count += 1
    return Walk(Link(seq, last), count)


def _broken(seq: int, last: bytes, stored_seq: int, prev_hash: bytes) -> Fault:
    if stored_seq != seq:
        return Fault(seq, f"entry {seq} is missing: the next one stored is {stored_seq}")
    if prev_hash != last:
        return Fault(seq, f"entry {seq} does not link to the one before it: its prev_hash is another hash")
    return Fault(seq, f"entry {seq} was changed: its hash is not that of its seq, recorded_at, prev_hash and payload")


def _differing(payload: bytes, recorded_at: datetime, stored: Sequence[Any], parse: Parse) -> str | None:
    """The first copied column that the payload contradicts, or ``payload`` when it is no event."""
    try:
        wanted = copies_of(parse(payload), recorded_at)
    except ValueError:
        return "payload"
    return next((name for name, a, b in zip(COPIED, wanted, stored, strict=True) if a != b), None)


def check_end(last: Link, head: Link) -> Fault | None:
    """Whether the last entry is the one that the head names: a tail that was cut off, or one added, shows here."""
    if last.seq < head.seq:
        return Fault(last.seq + 1, f"entry {last.seq + 1} is missing: the head says that the log ends at {head.seq}")
    if last.seq > head.seq:
        return Fault(head.seq + 1, f"entry {head.seq + 1} is forged: the head says that the log ends at {head.seq}")
    if last.hash != head.hash:
        return Fault(max(head.seq, 1), f"the head holds another hash than the last entry, {head.seq}")
    return None


def verify_entries(lines: Iterable[str | bytes], head: Link | None = None) -> Walk:
    """Check exported entries (``GET /api/audit/entries``): one JSON object a line, in order of seq, without a gap.

    Begins at entry 1, or behind the first line's own prev_hash when the export begins later. ``head`` is a seq and
    hash noted elsewhere before (for example from ``GET /api/audit/verify``): the export must end exactly there.
    An entry too large to be listed with its payload is checked by its ``payload_sha256``, its copies are not.
    Raises ValueError naming the line that is no entry.
    """
    walk = Walk(Link(0, GENESIS), 0)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row, payload_hash = _read(json.loads(line))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"line {number} is not an entry of the audit log: {error!r}") from error
        start = walk.end
        if walk.checked_count == 0 and row.seq > 1:
            start = Link(row.seq - 1, row.prev_hash)
        step = check((row,), start) if payload_hash is None else _check_link(row, payload_hash, start)
        walk = Walk(step.end, walk.checked_count + step.checked_count, step.fault)
        if walk.fault is not None:
            return walk
    if head is not None and (fault := check_end(walk.end, head)) is not None:
        return Walk(walk.end, walk.checked_count, fault)
    return walk


def _check_link(row: Row, payload_hash: bytes, start: Link) -> Walk:
    seq = start.seq + 1
    if (row.seq, row.prev_hash) == (seq, start.hash):
        link = entry_hash(start.hash, seq, row.recorded_at, payload_hash)
        if link == row.hash:
            return Walk(Link(seq, link), 1)
    return Walk(start, 0, _broken(seq, start.hash, row.seq, row.prev_hash))


def _read(entry: Mapping[str, Any]) -> tuple[Row, bytes | None]:
    """The row of an exported entry, and its payload's hash where the payload itself was left out."""
    payload = entry["payload"]
    row = Row(
        int(entry["seq"]),
        datetime.fromisoformat(entry["recorded_at"]),
        bytes.fromhex(entry["prev_hash"]),
        bytes.fromhex(entry["hash"]),
        b"" if payload is None else payload.encode(),
        datetime.fromisoformat(entry["time"]),
        *(entry[name] for name in COPIED[1:]),
    )
    return row, bytes.fromhex(entry["payload_sha256"]) if payload is None else None
