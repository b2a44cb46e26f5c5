"""The part of JSON Schema in which kinds of one's own are declared, as checks that say in words what is wrong.

Known are ``type`` (also a list with ``null``), ``enum``, ``properties``, ``required``, ``additionalProperties`` (true
or false), ``items``, ``minimum``, ``maximum``, ``minLength``, ``maxLength``, ``minItems``, ``maxItems`` and the format
``date-time``. There are no patterns and no references, so that a schema can't make a check slow or endless.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from libs.judge.checks import MAX_TEXT_CHARS, Check, flag, time
from libs.judge.report_base import MAX_COUNT

MAX_DEPTH = 8
MAX_ITEMS = 1_000
MAX_CHARS = 4_000
MAX_WORDS = 200
MAX_SAMPLES = 50
MAX_SHOWN = 10  # words of an enum in a sentence
_COMMON = frozenset({"type", "enum", "title", "description", "$schema", "$comment"})
_WORDS: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "format"}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset({"minimum", "maximum"}),
    "boolean": frozenset(),
}


class BadSchema(ValueError):
    """A schema that can't be used. The message names the place and says why."""


def check_of(schema: object, where: str, depth: int = 1) -> Check:
    """The check of a schema; ``where`` begins the message of `BadSchema`."""
    if not isinstance(schema, dict):
        raise BadSchema(f"{where} is no schema")
    if depth > MAX_DEPTH:
        raise BadSchema(f"{where} is nested deeper than {MAX_DEPTH} levels")
    kind, nullable = _type(schema, where)
    unknown = sorted(str(key) for key in schema.keys() - _COMMON - _WORDS.get(kind, frozenset()))
    if unknown:
        what = f" of type {kind}" if kind else " without a type"
        raise BadSchema(f"{where}: {unknown[0][:60]} is not known in a schema{what}")
    tests = [_MAKERS[kind](schema, where, depth)] if kind else []
    if "enum" in schema:
        tests.append(_enum(schema["enum"], where))
    if not tests:
        raise BadSchema(f"{where} needs a type or an enum")

    def test(value: object) -> str | None:
        if value is None and nullable:
            return None
        return next((problem for one in tests if (problem := one(value)) is not None), None)

    return Check(test, schema)


def _type(schema: Mapping[str, Any], where: str) -> tuple[str, bool]:
    """The one type that is not null ("" if none is given), and whether null may stand for it."""
    given = schema.get("type")
    if given is None:
        return "", False
    types = given if isinstance(given, list) else [given]
    real = [one for one in types if one != "null"]
    if len(real) != 1 or not isinstance(real[0], str) or real[0] not in _WORDS or len(types) > 2:
        raise BadSchema(f"{where}: type must be one of {', '.join(_WORDS)}, or a list of one of them and null")
    return real[0], len(types) == 2


_Test = Callable[[object], str | None]


def _enum(words: object, where: str) -> _Test:
    fine = isinstance(words, list) and 0 < len(words) <= MAX_WORDS and all(_is_plain(word) for word in words)
    if not fine or not isinstance(words, list):
        raise BadSchema(f"{where}: enum must list 1 to {MAX_WORDS} texts, numbers, true, false or null")
    shown = ", ".join(str(word)[:60] for word in words[:MAX_SHOWN]) + (", …" if len(words) > MAX_SHOWN else "")

    def test(value: object) -> str | None:
        # To Python 1 and true are equal, to JSON they are not.
        fits = any(value == word and isinstance(value, bool) == isinstance(word, bool) for word in words)
        return None if fits else f"must be one of {shown}"

    return test


def _is_plain(word: object) -> bool:
    return word is None or isinstance(word, str) or (isinstance(word, int | float) and _is_finite(word))


def _is_finite(value: float) -> bool:
    return abs(value) <= MAX_COUNT and math.isfinite(value)


def _bound(schema: Mapping[str, Any], key: str, default: float, where: str, *, whole: bool) -> float:
    value = schema.get(key, default)
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool) and _is_finite(value)
    if not fits or (whole and value < 0):
        raise BadSchema(f"{where}: {key} must be a {'whole ' if whole else ''}number")
    return float(value)


def _size(schema: Mapping[str, Any], low: str, high: str, most: int, default: int, where: str) -> tuple[int, int]:
    least, largest = (int(_bound(schema, key, of, where, whole=True)) for key, of in ((low, 0), (high, default)))
    if not least <= largest <= most:
        raise BadSchema(f"{where}: {low} and {high} must be in order and at most {most}")
    return least, largest


def _number(schema: Mapping[str, Any], where: str, _depth: int) -> _Test:
    whole = schema.get("type") == "integer" or "integer" in (schema.get("type") or ())
    low = _bound(schema, "minimum", -MAX_COUNT, where, whole=False)
    high = _bound(schema, "maximum", MAX_COUNT, where, whole=False)
    if low > high:
        raise BadSchema(f"{where}: minimum is above maximum")

    def test(value: object) -> str | None:
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        fits = fits and isinstance(value, int | float) and low <= value <= high
        return None if fits else f"must be a {'whole ' if whole else ''}number of {low:g} to {high:g}"

    return test


def _string(schema: Mapping[str, Any], where: str, _depth: int) -> _Test:
    least, most = _size(schema, "minLength", "maxLength", MAX_CHARS, MAX_TEXT_CHARS, where)
    if "format" in schema:
        if schema["format"] != "date-time":
            raise BadSchema(f"{where}: the only format that is known is date-time")
        return time.test

    def test(value: object) -> str | None:
        fits = isinstance(value, str) and least <= len(value) <= most and "\x00" not in value
        return None if fits else f"must be text of {least} to {most} letters"

    return test


def _flag(_schema: Mapping[str, Any], _where: str, _depth: int) -> _Test:
    return flag.test


def _array(schema: Mapping[str, Any], where: str, depth: int) -> _Test:
    least, most = _size(schema, "minItems", "maxItems", MAX_ITEMS, MAX_ITEMS, where)
    inner = check_of(schema.get("items"), f"{where}/items", depth + 1)

    def test(value: object) -> str | None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            return f"must be a list of {least} to {most}"
        return next((f"[{at}] {problem}" for at, one in enumerate(value) if (problem := inner(one)) is not None), None)

    return test


def _object(schema: Mapping[str, Any], where: str, depth: int) -> _Test:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    more = schema.get("additionalProperties", True)
    if not isinstance(properties, dict) or not isinstance(required, list) or not isinstance(more, bool):
        raise BadSchema(f"{where}: properties is an object, required a list, additionalProperties true or false")
    unknown = [str(key) for key in required if not isinstance(key, str) or key not in properties]
    if unknown:
        raise BadSchema(f"{where}: required names {unknown[0][:60]}, which is none of the properties")
    checks = {key: check_of(inner, f"{where}/properties/{key[:60]}", depth + 1) for key, inner in properties.items()}

    def test(value: object) -> str | None:
        if not isinstance(value, dict):
            return "must be an object"
        lacking = [key for key in required if key not in value]
        if lacking:
            return f"has no {lacking[0]}"
        odd = sorted(value.keys() - checks.keys()) if not more else []
        if odd:
            return f"holds {odd[0][:60]!r}, which the schema does not know"
        wrong = ((key, checks[key](held)) for key, held in value.items() if key in checks)
        return next((f"{key} {problem}" for key, problem in wrong if problem is not None), None)

    return test


_MAKERS: Mapping[str, Callable[[Mapping[str, Any], str, int], _Test]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": _flag,
}


def samples_of(schema: Mapping[str, Any]) -> list[object]:
    """Values that fit a schema which `check_of` took, at most `MAX_SAMPLES`: each word of an enum, true and false, the
    least and the greatest number; of objects all properties at once, and at least one item in each list.
    """
    if "enum" in schema:
        test = check_of({key: held for key, held in schema.items() if key != "enum"}, "") if "type" in schema else None
        return [word for word in schema["enum"] if test is None or test(word) is None][:MAX_SAMPLES]
    kind, _ = _type(schema, "")
    if kind == "object":
        return _objects({key: samples_of(inner) for key, inner in schema.get("properties", {}).items()})
    if kind == "array":
        return [[one] * max(1, int(schema.get("minItems", 0))) for one in samples_of(schema["items"])]
    if kind == "string":
        at = "2026-01-01T00:00:00Z"
        return [at if schema.get("format") == "date-time" else "x" * max(1, int(schema.get("minLength", 0)))]
    if kind == "boolean":
        return [True, False]
    bounds = schema.get("minimum", -MAX_COUNT), schema.get("maximum", MAX_COUNT)
    return [int(value) if kind == "integer" else float(value) for value in bounds]


def _objects(choices: Mapping[str, list[object]]) -> list[object]:
    """All first choices, all last ones, and for each other choice of one key the first ones beside it."""
    if not all(choices.values()):
        return []
    first = {key: values[0] for key, values in choices.items()}
    flipped: list[object] = [{**first, key: value} for key, values in choices.items() for value in values[1:]]
    return [first, {key: values[-1] for key, values in choices.items()}, *flipped][:MAX_SAMPLES]
