"""Declared lists: their statements, their values, and cursors that nobody can forge anything with."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from libs.common.columns import copied, listed, names_of, placed
from libs.common.listing import Filter, Key, Listing, newest
from libs.common.problems import Invalid

LETTERS = Listing(
    table="letter",
    columns="letter_id, state",
    scope={"site": "text"},
    filters={"kind": "text", "state": "text", "open_only": Filter("boolean", "(open OR NOT {})")},
    readings=(("kind",),),
    order=newest("letter_id"),
)
MIXED = Listing(
    table="item",
    columns="*",
    order=(Key("open", "boolean", descending=True), Key("due_at", "timestamptz"), Key("name", "text"), Key("id")),
)
ROW: dict[str, Any] = {"open": True, "due_at": datetime(2026, 3, 1, 9, tzinfo=UTC), "name": "a", "id": 7}


def test_a_reading_has_a_statement_of_its_own() -> None:
    assert list(LETTERS.statements) == [(("kind",), False), (("kind",), True), ((), False), ((), True)]
    assert LETTERS.statements[("kind",), True] == (
        "SELECT letter_id, state FROM letter\n"
        "WHERE site = $1\n"
        "    AND kind = $2\n"
        "    AND ($3::text IS NULL OR state = $3)\n"
        "    AND ($4::boolean IS NULL OR (open OR NOT $4))\n"
        "    AND letter_id < $6::bigint\n"
        "ORDER BY letter_id DESC LIMIT $5"
    )


def test_what_is_given_chooses_the_reading() -> None:
    sql, values = LETTERS.query({"site": "north", "kind": "a", "state": None}, limit=5)
    assert (sql, values) == (LETTERS.statements[("kind",), False], ("north", "a", None, None, 5))
    sql, values = LETTERS.query({"site": "north", "state": "held"}, limit=5, cursor="17")
    assert (sql, values) == (LETTERS.statements[(), True], ("north", None, "held", None, 5, 17))


def test_no_value_ever_enters_the_statement() -> None:
    for sql, values in (LETTERS.query({"site": "x'; DROP", "kind": "y'; DROP"}, limit=5),):
        assert "DROP" not in sql
        assert values[:2] == ("x'; DROP", "y'; DROP")


def test_what_is_not_declared_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="letter has no filter colour"):
        LETTERS.query({"site": "north", "colour": "red"}, limit=5)
    with pytest.raises(KeyError):
        LETTERS.query({}, limit=5)
    for limit in (0, 502):
        with pytest.raises(ValueError, match="limit"):
            LETTERS.query({"site": "north"}, limit=limit)
    with pytest.raises(ValueError, match="needs open_only as a filter by equality"):
        Listing(table="x", columns="*", order=newest("id"), filters={"open_only": Filter("boolean", "{}")},
                readings=(("open_only",),))  # fmt: skip


def test_a_cursor_is_read_back_as_it_was_given() -> None:
    assert LETTERS.cursor({"letter_id": 12}) == "12"
    cursor = MIXED.cursor(ROW)
    assert MIXED.query({}, limit=5, cursor=cursor)[1] == (5, True, ROW["due_at"], "a", 7)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "٣", "9" * 19, "9" * 4000, "1 OR 1=1", "\x00"])
def test_a_number_that_no_page_gave_is_invalid(cursor: str) -> None:
    with pytest.raises(Invalid, match="cursor is not one that a page gave"):
        LETTERS.query({"site": "north"}, limit=5, cursor=cursor)


def _packed(*keys: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(list(keys))).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "7",
        "!!!!",
        _packed(),
        _packed(True, "2026-03-01T09:00:00Z", "a"),
        _packed(1, "2026-03-01T09:00:00Z", "a", 7),
        _packed(True, "2026-03-01T09:00:00", "a", 7),
        _packed(True, "soon", "a", 7),
        _packed(True, "2026-03-01T09:00:00Z", "a\x00", 7),
        _packed(True, "2026-03-01T09:00:00Z", "a", True),
        _packed(True, "2026-03-01T09:00:00Z", "a", 2**63),
        _packed(True, "2026-03-01T09:00:00Z", "a" * 2_000, 7),
        base64.urlsafe_b64encode(b'{"open": true}').decode(),
    ],
)
def test_keys_that_no_page_gave_are_invalid(cursor: str) -> None:
    with pytest.raises(Invalid, match="cursor is not one that a page gave"):
        MIXED.query({}, limit=5, cursor=cursor)


def test_columns_come_from_the_class() -> None:
    @dataclass
    class Row:
        id: int
        note: str

    class Model(BaseModel):
        id: int
        payload: str = ""

    assert (names_of(Row), names_of(Model, without=("payload",))) == (("id", "note"), ("id",))
    assert (listed(names_of(Row)), copied(names_of(Row)), placed(("note",), 2)) == (
        "id, note",
        "id = new.id, note = new.note",
        "note = $2",
    )
    with pytest.raises(ValueError, match="Row has no colour"):
        names_of(Row, without=("colour",))
    with pytest.raises(ValueError, match="no column's name"):
        listed(["id; DROP"])
