"""Frozen dataclasses as plain JSON and back, so that what a verdict was made of can be written down and read again."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

MAX_SAFE_INTEGER = 2**53 - 1  # beyond it RFC 8785 has no number: it writes what an IEEE 754 double holds
_Reader = Callable[[Any], Any]
# Metadata of a field that came later: where it has its default it is not written, so that what was written before it
# came is still written in the same way, byte for byte.
LATER: Mapping[str, bool] = {"later": True}


def plain(value: Any) -> Any:
    """``value`` as JSON that RFC 8785 can write: times in UTC as text, numbers that a double can't hold as text.

    Raises ValueError for a time without a zone, TypeError for what has no such form.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone")
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= MAX_SAFE_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [plain(held) for held in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value) if _is_written(field, value)}
    raise TypeError(f"{type(value).__name__} has no plain form")


def _is_written(field: Field[Any], value: Any) -> bool:
    return not field.metadata.get("later") or getattr(value, field.name) != field.default


def read(wanted: Any, value: Any) -> Any:
    """What `plain` wrote, as the type ``wanted``. Raises ValueError saying what does not fit."""
    return _reader(wanted)(value)


@cache
def _reader(wanted: Any) -> _Reader:
    """What reads a type, made once: looking at the type takes longer than all the reading."""
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        return _reader_of_one(get_args(wanted))
    if origin is tuple:
        return _reader_of_list(_reader(get_args(wanted)[0]))
    if origin is Literal:
        return _reader_of_words(get_args(wanted))
    if wanted is datetime or wanted is date:
        return _reader_of_time(wanted)
    if is_dataclass(wanted):
        return _reader_of_fields(wanted)
    return _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _reader_of_one(choices: tuple[Any, ...]) -> _Reader:
    others = [choice for choice in choices if choice is not type(None)]
    inner = _reader(others[0]) if len(others) == 1 else _as_it_is
    if len(others) == len(choices):
        return inner
    return lambda value: None if value is None else inner(value)


def _reader_of_list(inner: _Reader) -> _Reader:
    def read_list(value: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError(f"{_shown(value)} is no list")
        return tuple([inner(held) for held in value])

    return read_list


def _reader_of_words(words: tuple[Any, ...]) -> _Reader:
    def read_word(value: Any) -> Any:
        if value not in words:
            raise ValueError(f"{_shown(value)} is none of {', '.join(map(str, words))}")
        return value

    return read_word


def _reader_of_time(wanted: Any) -> _Reader:
    def read_time(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"{_shown(value)} is no time")
        return wanted.fromisoformat(value)

    return read_time


def _reader_of_fields(wanted: Any) -> _Reader:
    known = {field.name: field for field in fields(wanted)}
    # What was written before a field came has none: it reads as its default.
    needed = {name for name, field in known.items() if not _has_default(field)}
    hints = get_type_hints(wanted, localns={"JSON": object})  # what a signal holds: anything, as it is
    readers = {name: _reader(hints[name]) for name in known}

    def read_fields(value: Any) -> Any:
        if not isinstance(value, Mapping) or not needed <= value.keys() <= known.keys():
            raise ValueError(f"{_shown(value)} is no {wanted.__name__} with {', '.join(known)}")
        return wanted(**{name: readers[name](held) for name, held in value.items()})

    return read_fields


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _shown(value: Any) -> str:
    return repr(value)[:80]


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """Where two plain values differ, each as a JSON pointer with both values; 1 and 1.0 are written alike."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key in sorted({*before, *after}):
            place = f"{path}/{key}"
            if key not in before or key not in after:
                found.append(f"{place} is only in {'one' if key in before else 'the other'}")
            else:
                found += differences(before[key], after[key], place)
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            line
            for number, pair in enumerate(zip(before, after, strict=True))
            for line in differences(*pair, f"{path}/{number}")
        ]
    same = before == after and isinstance(before, bool) == isinstance(after, bool)
    return [] if same else [f"{path or '/'} is {_shown(before)} and {_shown(after)}"]
