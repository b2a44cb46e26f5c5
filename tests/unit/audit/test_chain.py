"""The chain: one entry by hand, every byte and every column protected, what an outsider can recompute."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from services.audit.domain.chain import GENESIS, Link, Row, check, check_end, entry_hash, extend, verify_entries
from services.audit.domain.content import (
    ADDED,
    COPIED,
    VERSION,
    Added,
    Copies,
    added_of,
    changes_of,
    copies_of,
    derived,
)

NOW = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)
MICROS = 1772355600123456


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
        "traceparent": f"00-{number:032x}-00f067aa0ba902b7-01",
        "outcome": "refused",
        "data": {
            "n": number,
            "reason": "too late",
            "item_id": number,
            "client_address": "192.0.2.7",
            "client_agent": "curl",
        },
    }
    return json.dumps({**document, **changed}).encode()


def chain(count: int, **changed: Any) -> list[Row]:
    payloads = [event(number, **changed) for number in range(1, count + 1)]
    links = extend(Link(0, GENESIS), [hashlib.sha256(one).digest() for one in payloads], NOW)
    previous = [GENESIS, *(link.hash for link in links)]
    return [
        Row(
            link.seq,
            NOW,
            before,
            link.hash,
            payload,
            VERSION,
            *copies_of(json.loads(payload), NOW),
            *added_of(json.loads(payload)),
        )
        for link, before, payload in zip(links, previous, payloads, strict=False)
    ]


def old_chain(count: int) -> list[Row]:
    """A chain as it was written before entries had a version."""
    rows: list[Row] = []
    last = GENESIS
    for seq, payload in enumerate((event(number) for number in range(1, count + 1)), start=1):
        digest = hashlib.sha256(payload).digest()
        link = b"headgate.audit.v1\n" + last + seq.to_bytes(8, "big") + MICROS.to_bytes(8, "big") + digest
        hashed = hashlib.sha256(link).digest()
        rows.append(Row(seq, NOW, last, hashed, payload, None, *copies_of(json.loads(payload), NOW)))
        last = hashed
    return rows


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
    by_hand = hashlib.sha256(
        b"headgate.audit.v2\n" + bytes(32) + bytes([0, 0, 0, 0, 0, 0, 0, 1])
        + MICROS.to_bytes(8, "big") + hashlib.sha256(payload).digest()
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


@pytest.mark.parametrize("column", ["recorded_at", *COPIED, *ADDED])
def test_every_column_is_protected(column: str) -> None:
    rows = chain(3)
    value = getattr(rows[1], column)
    other = value + timedelta(microseconds=1) if isinstance(value, datetime) else value + "x"
    rows[1] = changed_row(rows[1], column, other)
    fault = check(rows, Link(0, GENESIS)).fault
    assert fault is not None
    assert fault.seq == 2
    assert column in fault.problem
    if column in ("causationid", "correlationid", *ADDED):
        rows[1] = changed_row(rows[1], column, None)
        assert first_bad(rows) == 2


def test_a_log_of_before_fits_and_goes_on_with_the_new_form() -> None:
    old = old_chain(3)
    assert check(old, Link(0, GENESIS)).fault is None
    payload = event(4)
    [link] = extend(Link(3, old[-1].hash), [hashlib.sha256(payload).digest()], NOW)
    document = json.loads(payload)
    new = Row(4, NOW, old[-1].hash, link.hash, payload, VERSION, *copies_of(document, NOW), *added_of(document))
    assert check([*old, new], Link(0, GENESIS)).checked_count == 4
    # The version is hashed, so an entry can't be made an old one and lose its columns, nor an old one a new one.
    stripped = Row(**(new._asdict() | dict.fromkeys(("version", *ADDED))))
    for rows, bad in (([*old, stripped], 4), ([old[0], old[1]._replace(version=2), *old[2:]], 2)):
        fault = check(rows, Link(0, GENESIS)).fault
        assert fault is not None
        assert (fault.seq, "version" in fault.problem) == (bad, True)
    # What an old entry never said is not to be found in it.
    assert first_bad([old[0], old[1]._replace(client_address="192.0.2.1"), *old[2:]]) == 2
    assert first_bad([old[0]._replace(version=3), *old[1:]]) == 1


@pytest.mark.parametrize(
    ("type_", "more", "said"),
    [
        ("tracker.item.updated", {"data": {"item": {"id": 7}}}, Added("applied", None, "item:7", None, None, None)),
        ("x.y.z", {"data": {"issue": "OPS-12", "item_id": 7}}, Added("applied", None, "OPS-12", None, None, None)),
        ("x.y.z", {"data": {"item_id": "R-7", "reason": 5}}, Added("applied", None, None, None, None, None)),
        ("x.y.z", {"data": {"reason": "\0" + "b" * 600}}, Added("applied", "\ufffd" + "b" * 499, *(None,) * 4)),
        ("x.y.z", {"data": [1], "traceparent": "00-xyz"}, Added("applied", None, None, None, None, None)),
        ("x.y.z", {"data": {"client_address": "192.0.2.7"}}, Added("applied", None, None, None, None, None)),
        ("x.command.refused", {"data": {"problem": {"detail": "No"}}}, Added("refused", "No", *(None,) * 4)),
        ("gateway.refusals.counted", {}, Added("refused", None, None, None, None, None)),
        ("x.deadletter.buried", {"data": {"reason": "KeyError"}}, Added("failed", "KeyError", None, None, None, None)),
        ("x.y.z", {"outcome": "failed", "data": {"client_agent": "a"}}, Added("failed", None, None, None, None, "a")),
    ],
)  # fmt: skip
def test_what_an_event_says_besides(type_: str, more: dict[str, Any], said: Added) -> None:
    assert added_of({"type": f"headgate.{type_}.v1", **more}) == said


def test_what_follows_from_type_and_actor() -> None:
    assert derived("headgate.tracker.item.patch.v1", "ann") == ("tracker.item.patch", "tracker.item", "person")
    assert [derived("t", actor).actor_kind for actor in ("service:tracker", "webhook:ci", "", "a:b")] == [
        "service", "webhook", "nobody", "person"
    ]  # fmt: skip


def test_changes_that_an_event_states() -> None:
    row = {"field": "status", "before": "pending", "after": "done", "masked": False}
    assert changes_of({"data": {"changes": [row, 5, {"before": 1}, {"field": "note"}]}}) == [
        row, {"field": "note", "before": None, "after": None, "masked": False}
    ]  # fmt: skip
    nothings: tuple[Any, ...] = (None, [], {}, {"data": 1}, {"data": {"changes": "x"}})
    for nothing in nothings:
        assert changes_of(nothing) == []


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
