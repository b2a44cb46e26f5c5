"""Frozen dataclasses as plain JSON and back, so that what a verdict was made of can be written down and read again."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

MAX_SAFE_INTEGER = 2**53 - 1  # beyond it RFC 8785 has no number: it writes what an IEEE 754 double holds
T = TypeVar("T")


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
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no plain form")


def read(wanted: Any, value: Any) -> Any:
    """What `plain` wrote, as the type ``wanted``. Raises ValueError saying what does not fit."""
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        return _read_one_of(get_args(wanted), value)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{_shown(value)} is no list")
        return tuple(read(get_args(wanted)[0], held) for held in value)
    if origin is Literal:
        if value not in get_args(wanted):
            raise ValueError(f"{_shown(value)} is none of {', '.join(map(str, get_args(wanted)))}")
        return value
    if wanted is datetime or wanted is date:
        if not isinstance(value, str):
            raise ValueError(f"{_shown(value)} is no time")
        return wanted.fromisoformat(value)
    if is_dataclass(wanted):
        return _read_fields(wanted, value)
    return value


def _read_one_of(choices: tuple[Any, ...], value: Any) -> Any:
    if value is None and type(None) in choices:
        return None
    others = [choice for choice in choices if choice is not type(None)]
    return read(others[0], value) if len(others) == 1 else value


def _read_fields(wanted: Any, value: Any) -> Any:
    known = {field.name: field for field in fields(wanted)}
    # What was written before a field came has none: it reads as its default.
    needed = {name for name, field in known.items() if not _has_default(field)}
    if not isinstance(value, Mapping) or not needed <= value.keys() <= known.keys():
        raise ValueError(f"{_shown(value)} is no {wanted.__name__} with {', '.join(known)}")
    hints = _hints(wanted)
    return wanted(**{name: read(hints[name], value[name]) for name in known if name in value})


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


@cache
def _hints(wanted: Any) -> Mapping[str, Any]:
    """Looked up once: it takes longer than all the reading."""
    return get_type_hints(wanted, localns={"JSON": object})  # what a signal holds: anything, as it is


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
