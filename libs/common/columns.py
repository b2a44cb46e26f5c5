"""Column lists of SQL, derived from the class that holds a row: a new field then stands in one place.

Only names of fields of our own classes go in, so what comes out is a constant, known when the module is imported.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def names_of(kind: Any, *, without: Iterable[str] = ()) -> tuple[str, ...]:
    """The fields of a dataclass or model, in their order; `ValueError` if it lacks one of ``without``."""
    if issubclass(kind, BaseModel):
        found = tuple(kind.model_fields)
    else:
        found = tuple(one.name for one in dataclasses.fields(kind))
    left_out = set(without)
    if unknown := left_out - set(found):
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    return tuple(name for name in found if name not in left_out)


def listed(names: Iterable[str]) -> str:
    """``a, b, c``: for SELECT and INSERT."""
    return ", ".join(_checked(names))


def copied(names: Iterable[str], source: str = "new") -> str:
    """``a = new.a, b = new.b``: for an UPDATE from another row."""
    return ", ".join(f"{name} = {source}.{name}" for name in _checked(names))


def placed(names: Iterable[str], first: int = 1) -> str:
    """``a = $1, b = $2``: for an UPDATE from parameters, the first of which is ``$<first>``."""
    return ", ".join(f"{name} = ${place}" for place, name in enumerate(_checked(names), first))


def _checked(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no column's name")
        yield name
