"""Strict JSON: whatever bytes come, the answer is a value that every reader takes alike, or a refusal."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.contracts.governance.runs import GateTarget
from libs.common.problems import Invalid, Refusal
from services.gateway.bodies import MAX_DEPTH, canonical, merge, strict_json, validate

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00")),
    lambda children: st.lists(children) | st.dictionaries(st.text("abc", min_size=1), children),
)  # fmt: skip


@given(VALUES)
def test_what_is_json_is_read_as_it_is(value: Any) -> None:
    assert strict_json(json.dumps(value).encode()) == value
    assert strict_json(orjson.dumps(value)) == value


@given(st.binary(max_size=300) | st.text('{}[]",:0123456789eE.-+\\untrfals \t', max_size=80).map(str.encode))
def test_any_bytes_are_a_value_or_a_refusal(body: bytes) -> None:
    try:
        value = strict_json(body)
    except Refusal as raised:
        refusal: Refusal | None = raised
    else:
        refusal = None
        orjson.dumps(value)  # what was let in can be written again
    assert refusal is None or (refusal.status in (400, 422) and refusal.detail)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xef\xbb\xbf{}", 400),
        (b"\xff", 400),
        (b"{} {}", 400),
        (b"NaN", 422),
        (b"[-Infinity]", 422),
        (b"1e999", 422),
        (b"18446744073709551616", 422),
        (b"-9223372036854775809", 422),
        (b"1" * 100_000, 422),
        (b'"\\ud800"', 422),
        (b'"\\u0000"', 422),
        (b'{"\\u0000": 1}', 422),
        (b'{"a": 1, "a": 1}', 422),
        (b'[{"b": {"a": 1, "a": 2}}]', 422),
        (b"[" * 101 + b"]" * 101, 422),
        (b"[" * 500_000, 422),
        (b'{"a":' * 100_000, 422),
    ],
)
def test_what_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(Refusal) as raised:
        strict_json(body)
    assert raised.value.status == status


def test_the_edge_of_what_is_allowed() -> None:
    assert strict_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert strict_json(b"18446744073709551615") == 2**64 - 1
    assert strict_json(b'"\\\\u0000 \\ud83d\\ude00"') == "\\u0000 \U0001f600"


def test_many_names_cost_no_more_than_their_number() -> None:
    names = ",".join(f'"{number}":1' for number in range(300_000))
    with pytest.raises(Invalid, match="'299999' stands twice"):
        strict_json(f'{{{names},"299999":1}}'.encode())  # a search per name would take minutes


def test_a_field_may_stand_in_one_place_only() -> None:
    assert merge({"a": 1}, {}, {"b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(Invalid, match="a was given twice"):
        merge({"a": 1}, {"a": 1})


def test_what_does_not_fit_the_model_is_told_by_field() -> None:
    with pytest.raises(Invalid) as raised:
        validate(GateTarget, {"gate": "a.>", "surprise": 1})
    assert raised.value.extra["errors"][0]["field"] == "gate"
    assert {row["field"] for row in raised.value.extra["errors"]} == {"gate", "surprise"}
    assert "(and 1 more)" in raised.value.detail


def test_the_order_of_names_does_not_change_the_digested_form() -> None:
    assert canonical(b'{"b":{"d":1,"c":2},"a":1}') == canonical(b'{"a":1,"b":{"c":2,"d":1}}')
