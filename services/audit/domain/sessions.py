"""Cuts what somebody did into sessions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

Row = Mapping[str, Any]
MAX_NAMED = 20  # sites, and actions, that a session names


def sessions(rows: Sequence[Row], gap: timedelta) -> list[dict[str, Any]]:
    """Sessions in order of their newest entry, the newest first. ``rows`` come newest first.

    Rows of one address and program belong together as long as no two neighbours are further apart than ``gap``.
    """
    found: list[dict[str, Any]] = []
    open_: dict[tuple[Any, Any], dict[str, Any]] = {}
    for row in rows:
        key = row["client_address"], row["client_agent"]
        one = open_.get(key)
        if one is None or one["started_at"] - row["time"] > gap:
            one = open_[key] = _new(row)
            found.append(one)
        _add(one, row)
    return found


def _new(row: Row) -> dict[str, Any]:
    at: datetime = row["time"]
    return {
        "started_at": at,
        "ended_at": at,
        "client_address": row["client_address"],
        "client_agent": row["client_agent"],
        "command_count": 0,
        "refused_count": 0,
        "sites": [],
        "actions": [],
        "first_seq": row["seq"],
        "last_seq": row["seq"],
    }


def _add(one: dict[str, Any], row: Row) -> None:
    one["started_at"] = min(one["started_at"], row["time"])
    one["ended_at"] = max(one["ended_at"], row["time"])
    one["first_seq"] = row["seq"]
    one["command_count"] += 1
    one["refused_count"] += row["outcome"] == "refused"
    for name, value in (("sites", row["site"]), ("actions", row["action"])):
        if value not in one[name] and len(one[name]) < MAX_NAMED:
            one[name].append(value)
