"""The hash chain of the audit log: how a link is made, and how anybody checks it. Format: docs/audit-log.md.

Pure and on the standard library only, so that an auditor can run this folder alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

from services.audit.domain.content import ADDED, COPIED, NOTHING_ADDED, VERSION, added_of, copies_of

DOMAINS: dict[int | None, bytes] = {None: b"headgate.audit.v1\n", VERSION: b"headgate.audit.v2\n"}
"""What a link begins with, by the version of what its entry says; entries of before there were versions have none."""

GENESIS = bytes(32)
"""The ``prev_hash`` of entry 1."""

Parse = Callable[[bytes], Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_sha256 = hashlib.sha256
_plain = itemgetter("id", "type", "source", "site", "actor", "subject", "causationid", "correlationid")


class Row(NamedTuple):
    """A stored entry as read for checking; the fields from ``time`` on are its `Copies`, then its `Added`."""

    seq: int
    recorded_at: datetime
    prev_hash: bytes
    hash: bytes
    payload: bytes
    version: int | None
    time: datetime
    event_id: str
    type: str
    source: str
    site: str
    actor: str
    subject: str
    causationid: str | None
    correlationid: str | None
    outcome: str | None = None
    reason: str | None = None
    issue: str | None = None
    trace_id: str | None = None
    client_address: str | None = None
    client_agent: str | None = None


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


def entry_hash(
    prev_hash: bytes, seq: int, recorded_at: datetime, payload_hash: bytes, version: int | None = VERSION
) -> bytes:
    """SHA-256 over the version's word, prev_hash (32 bytes), seq and recorded_at in microseconds (8 bytes each,
    big-endian) and the SHA-256 of the payload (32 bytes).

    Every part has a fixed length, so no two different entries give the same 98 bytes. A version that there is not
    gives a hash that fits nothing.
    """
    begin = DOMAINS.get(version, b"")
    return _sha256(begin + prev_hash + seq.to_bytes(8, "big") + _micros_bytes(recorded_at) + payload_hash).digest()


def _micros_bytes(value: datetime) -> bytes:
    try:
        return micros(value).to_bytes(8, "big", signed=True)
    except TypeError:  # a stored 'infinity' has no zone: no entry was ever written so, and no hash will fit
        return b""


def extend(head: Link, payload_hashes: Sequence[bytes], recorded_at: datetime) -> list[Link]:
    """The links that entries with these SHA-256 of their payloads add behind ``head``, in order."""
    links: list[Link] = []
    seq, last = head
    begin, moment = DOMAINS[VERSION], _micros_bytes(recorded_at)  # once: this runs for every entry that there is
    for payload_hash in payload_hashes:
        seq += 1
        last = _sha256(begin + last + seq.to_bytes(8, "big") + moment + payload_hash).digest()
        links.append(Link(seq, last))
    return links


def check(rows: Iterable[Iterable[Any]], start: Link, parse: Parse = json.loads) -> Walk:
    """Recompute the chain over ``rows`` (the fields of `Row`), which must come in order of seq right behind ``start``.

    Looks at: no gap in seq, each prev_hash is the hash before it, each hash recomputed, each copied column read out
    of the payload again. ``parse`` turns the payload into a mapping (a faster JSON reader may be handed in).
    """
    seq, last = start
    count = 0
    known_time, time_bytes = _EPOCH, bytes(8)
    for row in rows:
        stored_seq, recorded_at, prev_hash, stored_hash, payload, version, time, *plain = row
        seq += 1
        if recorded_at != known_time:  # the entries of a batch share one time
            known_time, time_bytes = recorded_at, _micros_bytes(recorded_at)
        link = DOMAINS.get(version, b"") + last + seq.to_bytes(8, "big") + time_bytes + _sha256(payload).digest()
        if stored_seq != seq or prev_hash != last or _sha256(link).digest() != stored_hash:
            return Walk(Link(seq - 1, last), count, _broken(seq, last, stored_seq, prev_hash))
        try:
            document = parse(payload)
            # An event spelled as we write it ourselves needs no conversion of ids: that is most of the time saved.
            added = added_of(document) if version else NOTHING_ADDED
            same = [*_plain(document), *added] == plain and datetime.fromisoformat(document["time"]) == time
        except (ValueError, TypeError, LookupError, AttributeError):
            same = False  # another spelling, or no event: told apart below
        if not same and (column := _differing(payload, recorded_at, version, (time, *plain), parse)) is not None:
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
    return Fault(
        seq, f"entry {seq} was changed: its hash is not that of its version, seq, recorded_at, prev_hash and payload"
    )


def _differing(
    payload: bytes, recorded_at: datetime, version: int | None, stored: Sequence[Any], parse: Parse
) -> str | None:
    """The first copied column that the payload contradicts, or ``payload`` when it is no event."""
    try:
        document = parse(payload)
        copies = copies_of(document, recorded_at)
        wanted = (*copies, *(added_of(document) if version else NOTHING_ADDED))
    except ValueError:
        return "payload"
    names = (*COPIED, *ADDED)
    return next((name for name, a, b in zip(names, wanted, stored, strict=True) if a != b), None)


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
        step = check((row,), start) if payload_hash is None else check_link(row, payload_hash, start)
        walk = Walk(step.end, walk.checked_count + step.checked_count, step.fault)
        if walk.fault is not None:
            return walk
    if head is not None and (fault := check_end(walk.end, head)) is not None:
        return Walk(walk.end, walk.checked_count, fault)
    return walk


def check_link(row: Row, payload_hash: bytes, start: Link) -> Walk:
    """Check an entry whose payload is not at hand, by the hash of that: its copies are not looked at."""
    seq = start.seq + 1
    if (row.seq, row.prev_hash) == (seq, start.hash):
        link = entry_hash(start.hash, seq, row.recorded_at, payload_hash, row.version)
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
        None if entry.get("version") is None else int(entry["version"]),
        datetime.fromisoformat(entry["time"]),
        *(entry[name] for name in COPIED[1:]),
        *(entry.get(name) for name in ADDED),
    )
    return row, bytes.fromhex(entry["payload_sha256"]) if payload is None else None
