"""Checks of single values in the data of facts. Each says in words what is wrong, and as JSON Schema what it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from libs.judge.report_base import JSON, MAX_COUNT
from libs.judge.test_ids import PRINT_CHARS

MAX_LIST = 50_000
MAX_TEXT_CHARS = 500
MAX_PACKED_CHARS = 500_000 * PRINT_CHARS


@dataclass(frozen=True, slots=True)
class Check:
    """``test`` says what is wrong with a value, None: nothing. ``schema`` never forbids what the test takes."""

    test: Callable[[object], str | None]
    schema: Mapping[str, JSON]

    def __call__(self, value: object) -> str | None:
        """What is wrong with the value."""
        return self.test(value)


def _takes(schema: Mapping[str, JSON]) -> Callable[[Callable[[object], str | None]], Check]:
    return lambda test: Check(test, schema)


def parse_time(value: object) -> datetime | None:
    """An RFC 3339 time with a zone, else None."""
    if not isinstance(value, str) or len(value) < 20 or len(value) > 40 or value[10] not in "Tt":
        return None
    try:
        time = datetime.fromisoformat(value.upper())
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


@_takes({"type": "integer", "minimum": 0, "maximum": MAX_COUNT})
def count(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        return "must be a whole number of at least 0"
    return None


@_takes({"type": "boolean"})
def flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "must be true or false (not text, not a number)"


@_takes({"type": "string", "maxLength": MAX_TEXT_CHARS, "pattern": "^[^\\u0000]*$"})
def string(value: object) -> str | None:
    """Text that may be empty."""
    if not isinstance(value, str):
        return "must be text"
    fits = len(value) <= MAX_TEXT_CHARS and "\x00" not in value
    return None if fits else f"must be text of at most {MAX_TEXT_CHARS} letters, without NUL"


@_takes({"type": "string", "minLength": 1, "maxLength": MAX_TEXT_CHARS, "pattern": "^[^\\u0000]*$"})
def text(value: object) -> str | None:
    if not isinstance(value, str):
        return "must be text"
    fits = value.strip() and string(value) is None
    return None if fits else f"must be text of 1 to {MAX_TEXT_CHARS} letters"


@_takes({"type": "string", "maxLength": MAX_PACKED_CHARS})
def packed(value: object) -> str | None:
    fits = isinstance(value, str) and len(value) <= MAX_PACKED_CHARS and len(value) % PRINT_CHARS == 0
    return None if fits else f"must be fingerprints of {PRINT_CHARS} letters each, at most {MAX_PACKED_CHARS} in all"


@_takes({"type": "string", "format": "date-time"})
def time(value: object) -> str | None:
    return None if parse_time(value) else 'must be an RFC 3339 time with a zone, such as "2026-03-01T06:00:00Z"'


def number(low: float, high: float) -> Check:
    def check(value: object) -> str | None:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return None if fits and math.isfinite(float(str(value))) else f"must be a number of {low:g} to {high:g}"

    return Check(check, {"type": "number", "minimum": low, "maximum": high})


def one_of(*words: str) -> Check:
    def check(value: object) -> str | None:
        return None if isinstance(value, str) and value in words else f"must be one of {', '.join(words)}"

    return Check(check, {"enum": list(words)})


def or_null(check: Check) -> Check:
    def or_none(value: object) -> str | None:
        return None if value is None else check(value)

    return Check(or_none, {"anyOf": [dict(check.schema), {"type": "null"}]})


def list_of(check: Check) -> Check:
    def check_list(value: object) -> str | None:
        if not isinstance(value, list):
            return "must be a list"
        if len(value) > MAX_LIST:
            return f"must be a list of at most {MAX_LIST}"
        for index, item in enumerate(value):
            problem = check(item)
            if problem:
                return f"[{index}] {problem}"
        return None

    return Check(check_list, {"type": "array", "items": dict(check.schema), "maxItems": MAX_LIST})


def object_of(keys: Mapping[str, Check], optional: Mapping[str, Check] = MappingProxyType({})) -> Check:
    def check(value: object) -> str | None:
        if not isinstance(value, dict):
            return "must be an object"
        for key, inner in keys.items():
            if key not in value:
                return f"has no {key}"
            problem = inner(value[key])
            if problem:
                return f"{key} {problem}"
        for key, inner in optional.items():
            problem = inner(value.get(key))
            if problem:
                return f"{key} {problem}"
        return None

    return Check(check, object_schema(keys, optional))


def object_schema(keys: Mapping[str, Check], optional: Mapping[str, Check]) -> dict[str, JSON]:
    """JSON Schema of an object that must hold ``keys`` and may hold ``optional``, and others that nobody reads."""
    return {
        "type": "object",
        "required": sorted(keys),
        "properties": {name: dict(check.schema) for name, check in {**keys, **optional}.items()},
    }
