"""The client's own check of the audit log: what holds, and every way to break it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from libs.client.verify import PROGRESS_EACH, START, Anchor, NotAnEntry, verify
from services.audit.domain import chain as server
from tests.unit.client.samples import entries

Chain = list[dict[str, Any]]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_whole_chain_holds_in_both_directions(newest_first: bool) -> None:
    made = entries(6)
    report = verify(made[::-1] if newest_first else made, anchor=Anchor(6, made[-1]["hash"].upper()))
    assert report.valid
    assert report.anchored
    assert (report.checked_count, report.first_seq, report.last_seq) == (6, 1, 6)
    assert report.last_hash == made[-1]["hash"]


def test_the_server_and_the_client_agree() -> None:
    lines = [json.dumps(entry) for entry in entries(5)]
    walk = server.verify_entries(lines)
    report = verify(json.loads(line) for line in lines)
    assert walk.fault is None
    assert report.valid
    assert (walk.end.seq, walk.end.hash.hex()) == (report.last_seq, report.last_hash)


def change(index: int, **fields: Any) -> Callable[[Chain], Chain]:
    def tamper(chain: Chain) -> Chain:
        return [entry | fields if at == index else entry for at, entry in enumerate(chain)]

    return tamper


def rewrite(chain: Chain) -> Chain:
    """Another payload with a fresh hash of its own, but the next entry still links to the old one."""
    forged = entries(2, payload_of=lambda event: json.dumps(event | {"data": "forged"}))[1]
    return [chain[0], forged | {"prev_hash": chain[0]["hash"]}, *chain[2:]]


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (change(2, payload="{}"), "entry 3 was changed"),
        (change(2, event={"data": "forged"}), "entry 3 was changed: its event is not what its payload says"),
        (change(2, event=entries(4)[3]["event"]), "entry 3 was changed: its event"),
        (change(2, event=entries(3)[2]["event"] | {"data": {"n": True}}), "entry 3 was changed: its event"),
        (change(0, event=entries(1)[0]["event"] | {"data": {"n": True}}), "entry 1 was changed: its event"),
        (change(0, event=entries(1)[0]["event"] | {"data": {"n": 1.0}}), "entry 1 was changed: its event"),
        (change(1, payload=None, payload_bytes=2**21), "entry 2 was changed: its event"),
        (change(1, erased_at="2026-03-02T00:00:00Z"), "entry 2 has its body, though it is shown as removed"),
        (change(2, actor="mallory"), "entry 3 was changed: its actor"),
        (change(2, time="2026-03-01T08:59:58Z"), "entry 3 was changed: its time"),
        (change(2, causationid=None), "entry 3 was changed: its causationid"),
        (change(2, recorded_at="2026-03-01T09:00:03.000124Z"), "entry 3 was changed: its hash"),
        (change(2, hash="00" * 32), "entry 3 was changed: its hash"),
        (change(2, prev_hash="00" * 32), "entry 3 was changed: its hash"),
        (change(0, prev_hash="11" * 32), "entry 1 was changed"),
        (lambda chain: chain[:2] + chain[3:], "entry 3 is missing"),
        (lambda chain: chain[1:], "entry 1 is missing"),
        (lambda chain: [chain[1], chain[0], *chain[2:]], "is missing"),
        (lambda chain: [*chain[:3], chain[2], *chain[3:]], "entry 4 is missing"),
        (rewrite, "entry 2 was changed"),
        (
            lambda chain: chain[:4],
            "entry 5 is missing: what is here ends at 4, so it is a copy of before that head, or its end",
        ),
    ],
)
def test_whatever_is_changed_is_found(tamper: Callable[[Chain], Chain], says: str) -> None:
    made = entries(5)
    report = verify(tamper(made), anchor=Anchor(5, made[-1]["hash"]))
    assert not report.valid
    assert says in (report.problem or "")


def test_a_noted_hash_tells_a_rewritten_log() -> None:
    rewritten = entries(5, payload_of=lambda event: json.dumps(event | {"data": "forged"}))
    assert verify(rewritten).valid  # it holds in itself
    report = verify(rewritten, anchor=Anchor(3, entries(3)[-1]["hash"]))
    assert report.problem == "entry 3 has another hash than the one noted for it"


def test_an_export_that_begins_later_holds_if_that_is_allowed() -> None:
    assert verify(entries(5)[2:], whole=False).valid
    assert not verify(entries(5)[2:]).valid


def test_a_payload_too_large_to_list_is_checked_by_its_hash() -> None:
    hidden = verify(change(1, payload=None, event=None, payload_bytes=1636)(entries(3)))
    assert (hidden.valid, hidden.bad_seq) == (False, 2)  # small enough to be listed: somebody took it away
    made = change(1, payload=None, event=None, payload_bytes=2 * 1024 * 1024)(entries(3))
    report = verify(made)
    assert report.valid
    assert report.unread_count == 1
    assert not verify(change(1, payload_sha256="00" * 32)(made)).valid


def test_an_event_with_numbers_beyond_64_bits_is_what_its_payload_says() -> None:
    def payload_of(event: dict[str, Any]) -> str:
        event["data"] = {"n": 2**70, "x": 1.5, "s": "\u2028é"}
        return json.dumps(event)

    chain = entries(3, payload_of)
    assert verify(chain).valid
    assert not verify(change(1, event=chain[1]["event"] | {"data": {"n": 2**70}})(chain)).valid


def test_no_entries_prove_nothing() -> None:
    report = verify([])
    assert not report.valid
    assert report.last_hash == START


@pytest.mark.parametrize("bad", [{}, {"seq": 0}, {"seq": True}, {"seq": 1}, "text", {"seq": 1, "payload": 5}])
def test_what_is_no_entry_is_named(bad: Any) -> None:
    with pytest.raises(NotAnEntry):
        verify([bad])


def test_progress_counts() -> None:
    seen: list[int] = []
    verify(entries(2 * PROGRESS_EACH + 3), progress=seen.append)
    assert seen == [PROGRESS_EACH, 2 * PROGRESS_EACH]
