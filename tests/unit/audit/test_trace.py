"""A trace as a tree, and what somebody did as sessions."""

from datetime import UTC, datetime, timedelta
from typing import Any

from services.audit.domain.sessions import sessions
from services.audit.domain.trace import tree

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
PATCH, UPDATED = "headgate.tracker.item.patch.v1", "headgate.tracker.item.updated.v1"


def row(seq: int, id_: str, cause: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "seq": seq, "event_id": id_, "causationid": cause, "correlationid": "r1", "type": UPDATED, "site": "north",
        "actor": "ann", "subject": "7", "time": START + timedelta(minutes=seq), "outcome": "applied", "reason": None,
        "issue": None, "client_address": None, "client_agent": None, "action": "x", **more,
    }  # fmt: skip


def shape(rows: list[dict[str, Any]], told: list[dict[str, Any]] | None = None) -> list[tuple[int, str, str]]:
    nodes = tree(rows, frozenset({PATCH}), told or [])
    parents = {node["node_id"] for node in nodes} | {None}
    assert all(node["parent_id"] in parents for node in nodes)
    return [(node["depth"], node["kind"], node["node_id"]) for node in nodes]


def test_everything_stands_under_what_set_it_off() -> None:
    rows = [
        row(1, "e1", "c1"),  # an event may come before the record of its command
        row(2, "c1", None, type=PATCH, client_address="192.0.2.7", client_agent="curl"),
        row(3, "e2", "e1"),
        row(4, "e3", "c1"),
        row(5, "e4", "gone"),
        row(6, "e5", None, correlationid="r2"),
    ]
    told = [
        {"delivery_id": 5, "event_id": "e2", "purpose": "subscription", "state": "dead", "site": "north",
         "created_at": START},
        {"delivery_id": 6, "event_id": "unseen", "purpose": "subscription", "state": "dead", "site": "north",
         "created_at": START},
    ]  # fmt: skip
    assert shape(rows, told) == [
        (0, "request", "r1"),
        (1, "command", "c1"),
        (2, "event", "e1"),
        (3, "event", "e2"),
        (4, "notification", "delivery:5"),
        (2, "event", "e3"),
        (1, "event", "e4"),
        (0, "request", "r2"),
        (1, "event", "e5"),
    ]
    [request, *_] = tree(rows, frozenset({PATCH}), told)
    assert (request["client_address"], request["client_agent"], request["actor"]) == ("192.0.2.7", "curl", "ann")


def test_a_circle_of_causes_leaves_nothing_out() -> None:
    rows = [row(1, "a", "b"), row(2, "b", "a"), row(3, "c", "c"), row(4, "d", "a")]
    assert sorted(id_ for _, kind, id_ in shape(rows) if kind == "event") == ["a", "b", "c", "d"]
    assert len([1 for _, kind, _ in shape(rows) if kind == "request"]) == 1


def test_a_long_chain_of_causes_is_no_recursion() -> None:
    rows = [row(number, f"e{number}", f"e{number - 1}") for number in range(1, 3000)]
    assert shape(rows)[-1] == (2999, "event", "e2999")


def test_sessions_end_with_a_gap_and_are_of_one_address_and_program() -> None:
    home, train = {"client_address": "192.0.2.1", "client_agent": "a"}, {"client_address": "192.0.2.2"}
    newest_first = [
        row(200, "6", **home),
        row(105, "5", **train),
        row(104, "4", outcome="refused", **home),
        row(103, "3", action="y", site="south", **home),
        row(72, "2", **home),
        row(1, "1", **home),
    ]
    found = sessions(newest_first, timedelta(minutes=31))
    assert [(one["last_seq"], one["first_seq"], one["client_address"]) for one in found] == [
        (200, 200, "192.0.2.1"), (105, 105, "192.0.2.2"), (104, 72, "192.0.2.1"), (1, 1, "192.0.2.1")
    ]  # fmt: skip
    assert (found[2]["command_count"], found[2]["refused_count"]) == (3, 1)
    assert (found[2]["sites"], found[2]["actions"]) == (["north", "south"], ["x", "y"])
    assert found[2]["started_at"] == START + timedelta(minutes=72)
    assert len(sessions(newest_first, timedelta(minutes=30))) == 5
    assert sessions([], timedelta(minutes=30)) == []
