"""Lists: filtered, sorted, read page by page. One way to write them, and one that has an index for each.

A `Listing` is declared once, beside the function that reads it. It makes its statements when it is declared: one for
each *reading*, which is a set of filters that another index serves, twice: for the first page and for those behind it.
So every statement is a constant that the tests prepare and explain (tests/contract/test_sql.py, test_lists.py).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import asyncpg
import orjson

from libs.common.problems import Invalid

MAX_PAGE = 500
MAX_CURSOR = 2_000  # characters: two names of 200 signs and a line, packed
MAX_INTEGER = 2**63 - 1
# What asyncpg reads and writes for infinity. Its own word in a cursor, since it has no zone as other times have.
FOREVER, _INFINITY = datetime.max, "infinity"  # noqa: DTZ901 - it has no zone there
# What a cursor holds for a column of a type, and how it is read.
_IN_CURSOR: dict[str, type] = {"bigint": int, "text": str, "timestamptz": str, "boolean": bool}


class Source(Protocol):
    """A pool or a connection."""

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]: ...


@dataclass(frozen=True, slots=True)
class Key:
    """A column of the order. No row may hold NULL there, and all keys together are unique."""

    name: str
    type: str = "bigint"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a value that may be given; ``{}`` stands for it. ``None`` is: not given."""

    type: str
    condition: str


@dataclass(frozen=True, slots=True)
class Rows:
    """A page's rows, and where the next page begins; None at the end."""

    rows: list[asyncpg.Record]
    next_cursor: str | None


def newest(name: str) -> tuple[Key, ...]:
    """The order of most lists: by a counting id, newest first."""
    return (Key(name, descending=True),)


@dataclass(frozen=True)
class Listing:
    """A list of ``table``'s rows.

    ``scope`` is always given: column to type. ``filters`` may be given: name to type (then the column of that name must
    be equal) or to a `Filter`. ``readings`` name the filters that lead an index, best first; the first whose filters
    are all given is taken, else the list is read in its order within the scope. ``order``: see `Key`.
    """

    table: str
    columns: str
    order: tuple[Key, ...]
    scope: Mapping[str, str] = field(default_factory=dict)
    filters: Mapping[str, str | Filter] = field(default_factory=dict)
    readings: tuple[tuple[str, ...], ...] = ()
    statements: dict[tuple[tuple[str, ...], bool], str] = field(init=False, default_factory=dict)
    _known: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._known.update(self.scope, self.filters)
        for reading in (*self.readings, ()):
            for name in reading:
                if not isinstance(self.filters.get(name), str):
                    raise ValueError(f"{self.table}: the reading {reading} needs {name} as a filter by equality")
            for follows in (False, True):
                self.statements[reading, follows] = self._statement(reading, follows)

    def _statement(self, reading: tuple[str, ...], follows: bool) -> str:
        """The places: scope, filters, limit, and the cursor's keys behind a first page."""
        parts = [f"{name} = ${place}" for place, name in enumerate(self.scope, 1)]
        for place, (name, one) in enumerate(self.filters.items(), len(self.scope) + 1):
            found = one if isinstance(one, Filter) else Filter(one, f"{name} = {{}}")
            condition = found.condition.format(f"${place}")
            if name in reading:
                parts.append(condition)
            else:
                parts.append(f"(${place}::{found.type} IS NULL OR {condition})")
        limit = len(self.scope) + len(self.filters) + 1
        if follows:
            parts.append(_behind(self.order, limit + 1))
        order = ", ".join(f"{key.name} DESC" if key.descending else key.name for key in self.order)
        where = "\n    AND ".join(parts) or "true"
        return f"SELECT {self.columns} FROM {self.table}\nWHERE {where}\nORDER BY {order} LIMIT ${limit}"  # noqa: S608

    def query(self, given: Mapping[str, Any], *, limit: int, cursor: str | None = None) -> tuple[str, tuple[Any, ...]]:
        """The statement and its values. Raises `Invalid` for a cursor that no page gave."""
        if not self._known.issuperset(given):
            unknown = sorted(given.keys() - self._known)
            raise ValueError(f"{self.table} has no filter {', '.join(unknown)}")
        if not 1 <= limit <= MAX_PAGE + 1:
            raise ValueError(f"limit must be 1 to {MAX_PAGE + 1}")
        reading = next((one for one in self.readings if all(given.get(name) is not None for name in one)), ())
        values = [*(given[name] for name in self.scope), *(given.get(name) for name in self.filters), limit]
        if cursor is not None:
            values += self._read(cursor)
        return self.statements[reading, cursor is not None], tuple(values)

    async def page(self, source: Source, given: Mapping[str, Any], *, limit: int, cursor: str | None = None) -> Rows:
        """At most ``limit`` rows from the cursor on. Raises `Invalid` for a cursor that no page gave."""
        sql, values = self.query(given, limit=limit + 1, cursor=cursor)
        rows = await source.fetch(sql, *values)
        more = len(rows) > limit
        shown = rows[:limit]
        return Rows(shown, self.cursor(shown[-1]) if more else None)

    def cursor(self, row: Any) -> str:
        """Where the page behind this row begins: the id itself where the order is by one id, else packed JSON."""
        if self._counts:
            return str(row[self.order[0].name])
        values = (row[key.name] for key in self.order)
        keys = orjson.dumps([_INFINITY if value == FOREVER else value for value in values], option=orjson.OPT_UTC_Z)
        return base64.urlsafe_b64encode(keys).decode().rstrip("=")

    @property
    def _counts(self) -> bool:
        return len(self.order) == 1 and self.order[0].type == "bigint"

    def _read(self, cursor: str) -> list[Any]:
        try:
            if len(cursor) > MAX_CURSOR or not cursor.isascii():
                raise ValueError
            if self._counts:
                keys: Sequence[Any] = [int(cursor) if cursor.isdigit() else None]
            else:
                keys = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
            if not isinstance(keys, list) or len(keys) != len(self.order):
                raise ValueError
            return [_key(key, value) for key, value in zip(self.order, keys, strict=True)]
        except (ValueError, TypeError, OverflowError, binascii.Error):
            raise Invalid("cursor is not one that a page gave; leave it out to begin at the beginning.") from None


def _key(key: Key, value: Any) -> Any:
    """A cursor's value as its column has it; raises `ValueError` or `TypeError`."""
    if type(value) is not _IN_CURSOR[key.type]:
        raise TypeError(key.name)
    read: Any = value
    if key.type == "timestamptz":
        if read == _INFINITY:
            return FOREVER
        read = datetime.fromisoformat(read)
        if read.tzinfo is None:
            raise ValueError(key.name)
    elif (key.type == "bigint" and abs(read) > MAX_INTEGER) or (key.type == "text" and "\x00" in read):
        raise ValueError(key.name)
    return read


def _behind(order: tuple[Key, ...], first: int) -> str:
    """What comes after the cursor's row. Rows compare as a whole where all keys run in one direction."""
    places = {key.name: f"${place}::{key.type}" for place, key in enumerate(order, first)}
    if len({key.descending for key in order}) == 1:
        sign = "<" if order[0].descending else ">"
        if len(order) == 1:
            return f"{order[0].name} {sign} {places[order[0].name]}"
        return f"({', '.join(places)}) {sign} ({', '.join(places.values())})"
    steps = []
    for place, key in enumerate(order):
        equal = [f"{one.name} = {places[one.name]}" for one in order[:place]]
        steps.append(" AND ".join([*equal, f"{key.name} {'<' if key.descending else '>'} {places[key.name]}"]))
    head = order[0]
    bound = f"{head.name} {'<=' if head.descending else '>='} {places[head.name]}"  # lets an index begin there
    return f"{bound} AND ({' OR '.join(f'({step})' for step in steps)})"
