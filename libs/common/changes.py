"""From what to what an UPDATE changed a row: one statement reads, locks and returns what was there before.

    UPDATE channel SET name = $2 FROM {was("channel", ("name", "status"), "channel_id", "channel_id = $1")}
    RETURNING name, status, was.*

PostgreSQL returns old values by itself from version 18 on; this also runs on those before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from libs.common.contracts.changes import FieldChange, stated

PREFIX = "was_"


def was(table: str, names: Collection[str], key: str, where: str) -> str:
    """What follows FROM, with its WHERE: the row as it is now, locked, its columns as ``was_<name>``.

    ``key`` is the column that tells rows apart, ``where`` which row is meant: both are written for ``table`` alone.
    All are words of our own, never what somebody sent.
    """
    columns = ", ".join(f"{name} AS {PREFIX}{name}" for name in names)
    row = f"SELECT {columns}, {key} AS the_{key} FROM {table} WHERE {where} FOR UPDATE"  # noqa: S608 - words of ours
    return f"({row}) AS was WHERE {key} = the_{key}"


def changes_in(row: Any, masked: Mapping[str, str] | None = None) -> list[FieldChange]:
    """What differs between the columns of a row and those of the same names before it was changed.

    ``masked`` names columns whose values are never told, and how each is called in the event.
    """
    hidden = masked or {}
    before = {name: row[PREFIX + name] for name in _pairs(row)}
    changes = stated(before, {name: row[name] for name in before}, masked=hidden)
    return [FieldChange(field=hidden[one.field], masked=True) if one.masked else one for one in changes]


def _pairs(row: Any) -> Iterator[str]:
    return (name.removeprefix(PREFIX) for name in row.keys() if name.startswith(PREFIX))  # noqa: SIM118 - a Record
