"""The chain: one entry by hand, every byte and every column protected, what an outsider can recompute."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from services.audit.domain.chain import (
    COPIED,
    GENESIS,
    Copies,
    Link,
    Row,
    check,
    check_end,
    copies_of,
    entry_hash,
    extend,
    verify_entries,
)

NOW = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)


def event(number: int, **changed: Any) -> bytes:
    document = {
        "specversion": "1.0",
        "id": str(UUID(int=number)),
        "source": "/headgate/tracker",
        "type": "headgate.tracker.item.changed.v1",
        "time": "2026-03-01T08:59:59.5Z",
        "site": "north",
        "actor": "ann",
        "subject": str(number),
        "causationid": str(UUID(int=1000 + number)),
        "correlationid": str(UUID(int=2000 + number)),
        "data": {"n": number},
    }
    return json.dumps({**document, **changed}).encode()


def chain(count: int, **changed: Any) -> list[Row]:
    payloads = [event(number, **changed) for number in range(1, count + 1)]
    links = extend(Link(0, GENESIS), [hashlib.sha256(one).digest() for one in payloads], NOW)
    previous = [GENESIS, *(link.hash for link in links)]
    return [
        Row(link.seq, NOW, before, link.hash, payload, *copies_of(json.loads(payload), NOW))
        for link, before, payload in zip(links, previous, payloads, strict=False)
    ]


def exported(row: Row, *, with_payload: bool = True) -> str:
    entry = row._asdict() | {"prev_hash": row.prev_hash.hex(), "hash": row.hash.hex()}
    entry["payload"] = row.payload.decode() if with_payload else None
    entry["payload_sha256"] = hashlib.sha256(row.payload).hexdigest()
    return json.dumps(entry, default=lambda value: value.isoformat())


def changed_row(row: Row, column: str, value: Any) -> Row:
    return Row(**(row._asdict() | {column: value}))


def first_bad(rows: list[Row]) -> int | None:
    fault = check(rows, Link(0, GENESIS)).fault
    return fault.seq if fault else None


def test_hash_by_hand() -> None:
    payload = b'{"id": 1}'
    micros = 1772355600123456
    by_hand = hashlib.sha256(
        b"headgate.audit.v1\n" + bytes(32) + bytes([0, 0, 0, 0, 0, 0, 0, 1])
        + micros.to_bytes(8, "big") + hashlib.sha256(payload).digest()
    ).digest()  # fmt: skip
    assert entry_hash(GENESIS, 1, NOW, hashlib.sha256(payload).digest()) == by_hand
    assert extend(Link(0, GENESIS), [hashlib.sha256(payload).digest()], NOW) == [Link(1, by_hand)]


def test_whole_chain_fits() -> None:
    rows = chain(5)
    walk = check(rows, Link(0, GENESIS))
    assert (walk.fault, walk.checked_count, walk.end) == (None, 5, Link(5, rows[-1].hash))
    assert check(rows[2:], Link(2, rows[1].hash)).end.seq == 5


def test_every_byte_is_protected() -> None:
    rows = chain(3)
    for name in ("prev_hash", "hash", "payload"):
        value: bytes = getattr(rows[1], name)
        for place in range(len(value)):
            flipped = value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
            bad = changed_row(rows[1], name, flipped)
            assert first_bad([rows[0], bad, rows[2]]) == 2, (name, place)


@pytest.mark.parametrize("column", ["recorded_at", *COPIED])
def test_every_column_is_protected(column: str) -> None:
    rows = chain(3)
    value = getattr(rows[1], column)
    other = value + timedelta(microseconds=1) if isinstance(value, datetime) else value + "x"
    rows[1] = changed_row(rows[1], column, other)
    fault = check(rows, Link(0, GENESIS)).fault
    assert fault is not None
    assert fault.seq == 2
    assert column in fault.problem
    if column in ("causationid", "correlationid"):
        rows[1] = changed_row(rows[1], column, None)
        assert first_bad(rows) == 2


def test_infinite_time_is_a_fault_not_a_crash() -> None:
    rows = chain(2)
    rows[0] = rows[0]._replace(recorded_at=datetime.max)  # noqa: DTZ901 - what asyncpg makes of 'infinity'
    assert first_bad(rows) == 1


def test_gaps_swaps_and_forgeries() -> None:
    rows = chain(5)
    assert first_bad(rows[:2] + rows[3:]) == 3
    swapped = [*rows]
    swapped[1], swapped[3] = rows[3]._replace(seq=2), rows[1]._replace(seq=4)
    assert first_bad(swapped) == 2
    assert first_bad([rows[0], rows[0], *rows[1:]]) == 2
    head = Link(5, rows[-1].hash)
    assert check_end(head, head) is None
    cut = check_end(Link(4, rows[3].hash), head)
    assert cut is not None
    assert (cut.seq, cut.problem) == (5, "entry 5 is missing: the head says that the log ends at 5")
    forged = check_end(Link(6, b"x" * 32), head)
    assert forged is not None
    assert forged.seq == 6
    other = check_end(Link(5, b"x" * 32), head)
    assert other is not None
    assert other.seq == 5


def test_copies_of_an_unusual_event() -> None:
    document = {"id": "00000000000000000000000000000ABC", "type": "t", "source": "s", "causationid": "not a uuid"}
    assert copies_of(document | {"actor": "a\0b"}, NOW) == Copies(
        NOW, "00000000-0000-0000-0000-000000000abc", "t", "s", "global", "a\ufffdb", "", None, None
    )
    korea = copies_of(document | {"time": "2026-03-01T18:00:00+09:00"}, NOW)
    assert korea.time == datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert korea.time.tzinfo is UTC


@pytest.mark.parametrize(
    "document",
    [{}, [], {"id": 5, "type": "t", "source": "s"}, {"id": "x", "type": "t", "source": "s"},
     {"id": str(UUID(int=1)), "type": 1, "source": "s"},
     {"id": str(UUID(int=1)), "type": "t", "source": "s", "time": "2026-03-01T09:00:00"}],
)  # fmt: skip
def test_what_is_no_event_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="not an event"):
        copies_of(document, NOW)


def test_unusual_events_fit_too() -> None:
    for changed in ({"causationid": "free text"}, {"time": "2026-03-01T18:00:00+09:00"}, {"actor": "a\0b"}):
        assert first_bad(chain(2, **changed)) is None
    rows = chain(1)
    junk = b"not json"
    rows[0] = rows[0]._replace(payload=junk, hash=entry_hash(GENESIS, 1, NOW, hashlib.sha256(junk).digest()))
    fault = check(rows, Link(0, GENESIS)).fault
    assert fault is not None
    assert "payload" in fault.problem


def test_exported_entries() -> None:
    rows = chain(4)
    lines = [exported(row) for row in rows]
    head = Link(4, rows[-1].hash)
    walk = verify_entries(["", *lines], head)
    assert (walk.fault, walk.checked_count) == (None, 4)
    assert verify_entries(lines[2:], head).checked_count == 2
    without = [*lines[:1], exported(rows[1], with_payload=False), *lines[2:]]
    assert verify_entries(without, head).checked_count == 4
    lost = verify_entries(lines[:3], head).fault
    assert lost is not None
    assert lost.seq == 4
    gap = verify_entries([lines[0], lines[2]]).fault
    assert gap is not None
    assert gap.seq == 2
    wrong = json.loads(without[1])
    wrong["payload_sha256"] = "00" * 32
    fault = verify_entries([lines[0], json.dumps(wrong)]).fault
    assert fault is not None
    assert fault.seq == 2


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"seq": 1}'])
def test_broken_export_names_the_line(line: str) -> None:
    with pytest.raises(ValueError, match=r"line 2 is not an entry"):
        verify_entries([exported(chain(1)[0]), line])


def test_another_zone_is_the_same_time() -> None:
    row = chain(1)[0]
    korea = timezone(timedelta(hours=9))
    shifted = row._replace(recorded_at=row.recorded_at.astimezone(korea), time=row.time.astimezone(korea))
    assert first_bad([shifted]) is None
