"""The JSON Schemas of the kinds say what their checks say."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from libs.common.contracts.governance.reports import FORMATS
from libs.judge.checks import MAX_TEXT_CHARS
from libs.judge.kinds import KINDS, check_data, schema_of
from services.governance.domain.readers.reports import TABLE
from tests.unit.governance.samples import (
    GOOD_INTEGRITY,
    GOOD_OPERATIONS,
    GOOD_SLOS,
    coverage_data,
    finding,
    junit_data,
    scan_data,
)

GOOD: Mapping[str, dict[str, Any]] = {
    **GOOD_OPERATIONS,
    "ops.slo": GOOD_SLOS,
    "ops.integrity": dict(GOOD_INTEGRITY),
    "test.junit": {**junit_data("a", failed=("b",)), "flaky": 0, "host": "", "tests_packed": ""},
    "coverage.cobertura": {**coverage_data(9, 10), "summary": "", "notes": ["odd"], "incomplete": []},
    "scan.sarif": scan_data(finding("x")),
}
ODD: tuple[Any, ...] = (
    None,
    True,
    3,
    -1,
    2.5,
    10**20,
    "",
    " ",
    "word",
    "x" * (MAX_TEXT_CHARS + 1),
    "a\x00",
    [],
    [3],
    [""],
    {},
    {"a": 1},
)


def fits(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a value is of a schema: the few words of JSON Schema that the kinds use."""
    if "anyOf" in schema:
        return any(fits(one, value) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    held = schema["type"]
    if held == "null":
        return value is None
    if held == "boolean":
        return isinstance(value, bool)
    if held in ("integer", "number"):
        kinds = int if held == "integer" else (int, float)
        right = isinstance(value, kinds) and not isinstance(value, bool)
        return right and schema["minimum"] <= value <= schema["maximum"]
    if held == "string":
        return (
            isinstance(value, str)
            and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9)
            and re.search(schema.get("pattern", ""), value) is not None
        )
    if held == "array":
        right = isinstance(value, list)
        return right and all(fits(schema["items"], one) for one in value)
    assert held == "object", held
    return (
        isinstance(value, dict)
        and all(key in value for key in schema["required"])
        and all(fits(inner, value[key]) for key, inner in schema["properties"].items() if key in value)
    )


def changed(data: dict[str, Any], keys: list[str]) -> Iterator[tuple[str, object, dict[str, Any]]]:
    for key in keys:
        for odd in ODD:
            yield key, odd, {**copy.deepcopy(data), key: odd}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_schema_takes_what_the_check_takes_and_hardly_more(name: str) -> None:
    kind, data = KINDS[name], GOOD[name]
    schema = schema_of(kind)
    assert check_data(name, data) == []
    assert fits(schema, data)
    for key, odd, other in changed(data, [*kind.keys, *kind.optional]):
        check = kind.keys.get(key) or kind.optional[key]
        if check(odd) is None:
            assert fits(schema, other), (key, odd)
        # A text of spaces alone, and what is no time or no fingerprints, only the check tells.
        elif not isinstance(odd, str) and odd != [""]:
            assert not fits(schema, other), (key, odd)
    for key in kind.keys:
        assert not fits(schema, {one: held for one, held in data.items() if one != key})


def test_every_kind_has_a_schema_and_every_format_a_kind() -> None:
    for kind in KINDS.values():
        schema = schema_of(kind)
        assert schema["required"] == sorted(kind.keys)
        assert set(schema["properties"]) == {*kind.keys, *kind.optional}
    assert tuple(TABLE) == FORMATS
    assert {row.kind for row in TABLE.values()} <= KINDS.keys()
