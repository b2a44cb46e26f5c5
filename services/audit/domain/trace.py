"""Puts the entries of a trace together to a tree: each under what set it off. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def tree(rows: Sequence[Row], commands: frozenset[str], told: Iterable[Row]) -> list[dict[str, Any]]:
    """The nodes of `libs.common.contracts.audit.traces`, in the order of the tree.

    ``rows`` are entries in order of ``seq``; those whose ``type`` is in ``commands`` are records of commands. ``told``
    are deliveries, each under its ``event_id``. What was set off by nothing that is here hangs under its request; a
    circle of causes, which no honest log holds, is cut open: nothing is left out.
    """
    nodes = {str(row["event_id"]): _entry(row, commands) for row in rows}
    requests: dict[str, dict[str, Any]] = {}
    below: dict[str, list[str]] = defaultdict(list)
    homes: dict[str, str] = {}
    for id_, row in zip(list(nodes), rows, strict=True):
        cause = str(row["causationid"]) if row["causationid"] else ""
        homes[id_] = f"request {row['correlationid']}"
        parent = cause if cause in nodes and cause != id_ else homes[id_]
        if parent == homes[id_]:
            _request(requests, parent, row)
        below[parent].append(id_)
    for delivery in told:
        id_ = f"delivery {delivery['delivery_id']}"
        parent = str(delivery["event_id"])
        if parent in nodes:
            nodes[id_] = _notification(delivery, id_)
            below[parent].append(id_)
    seen: set[str] = set()
    found = list(_walk(nodes | requests, below, [(None, 0, id_) for id_ in reversed(requests)], seen))
    for id_, row in zip(homes, rows, strict=True):
        if id_ not in seen:
            _request(requests, homes[id_], row)
            begin = [(None, 0, homes[id_])] if homes[id_] not in seen else []
            found += _walk(nodes | requests, below, [(homes[id_], 1, id_), *begin], seen)
    return found


def _walk(
    nodes: Mapping[str, dict[str, Any]],
    below: Mapping[str, list[str]],
    waiting: list[tuple[str | None, int, str]],
    seen: set[str],
) -> Iterator[dict[str, Any]]:
    """Depth first, without recursion: a chain of causes may be long."""
    while waiting:
        parent, depth, id_ = waiting.pop()
        if id_ not in seen:
            seen.add(id_)
            yield nodes[id_] | {"parent_id": nodes[parent]["node_id"] if parent is not None else None, "depth": depth}
            waiting += [(id_, depth + 1, child) for child in reversed(below.get(id_, ()))]


def _request(requests: dict[str, dict[str, Any]], key: str, row: Row) -> None:
    """The request that an entry belongs to; the first of its records says from where it came."""
    said = requests.setdefault(
        key,
        {
            "node_id": str(row["correlationid"] or row["event_id"]),
            "kind": "request",
            "action": "request",
            "at": row["time"],
            "actor": row["actor"],
            "client_address": None,
            "client_agent": None,
        },
    )
    if said["client_address"] is None and row["client_address"] is not None:
        said |= {name: row[name] for name in ("actor", "client_address", "client_agent")}


def _entry(row: Row, commands: frozenset[str]) -> dict[str, Any]:
    names = ("seq", "site", "actor", "subject", "outcome", "reason", "issue", "client_address", "client_agent")
    return {
        "node_id": str(row["event_id"]),
        "kind": "command" if row["type"] in commands else "event",
        "action": row["type"].removeprefix("headgate.").removesuffix(".v1"),
        "at": row["time"],
        **{name: row[name] for name in names},
    }


def _notification(row: Row, id_: str) -> dict[str, Any]:
    return {
        "node_id": id_.replace(" ", ":"),
        "kind": "notification",
        "action": row["purpose"],
        "at": row["created_at"],
        "site": row["site"],
        "outcome": row["state"],
    }
