"""Answers without a view of their own: lists as tables, objects as names and values."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Union, get_args, get_origin
from uuid import UUID

import orjson
from pydantic import BaseModel
from rich.console import RenderableType
from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, facts, plain, table
from libs.common.contracts.base import Page

MAX_COLUMNS = 9
_PLAIN = (str, int, float, bool, datetime, UUID)


def words(name: str) -> str:
    """A field's name as people read it."""
    return name.replace("_", " ")


def failed(session: Session, answer: Any) -> bool:
    """Whether the answer is a run that failed as a whole; then its reason is shown."""
    if answer.get("status") != "failed":
        return False
    reason = f"  run {answer.get('run_id')}: {clean(answer.get('reason'))}"
    session.emit(answer, Text.assemble(plain("fail"), reason))
    return True


def of(shape: Any) -> Callable[[Session, Any, Mapping[str, Any]], None]:
    """The view of answers of this shape."""

    def view(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
        session.emit(answer, *shown(read_as(shape, answer)))

    return view


def shown(value: Any) -> list[RenderableType]:
    """The value as tables and lines."""
    if isinstance(value, Page):
        return shown(value.items)
    if isinstance(value, list):
        return [_rows(value)] if value else [Text("None.")]
    if not isinstance(value, BaseModel):
        return [Text(clean(value))]
    parts: list[RenderableType] = [facts(_pairs(value))]
    for name, inner in value:
        if isinstance(inner, list) and inner and isinstance(inner[0], BaseModel):
            parts += [Text(), Text(clean(name), style="bold"), _rows(inner)]
    return parts


def _pairs(model: BaseModel, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in model:
        title = f"{before}{name}"
        if isinstance(value, BaseModel):
            yield from _pairs(value, f"{title}.")
        elif not (isinstance(value, list) and value and isinstance(value[0], BaseModel)):
            yield title, _cell(value)


def _cell(value: Any) -> Any:
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict | list) for one in value)):
        return orjson.dumps(value, default=str).decode()
    return value


def _rows(values: list[Any]) -> RenderableType:
    first = values[0]
    if not isinstance(first, BaseModel):
        return table(("",), [(_cell(value),) for value in values])
    names = columns_of(type(first))
    return table([words(name) for name in names], [[_cell(getattr(one, name)) for name in names] for one in values])


def columns_of(model: type[BaseModel]) -> list[str]:
    """The fields that fit a cell, in their order, at most nine."""
    fitting = [name for name, one in model.model_fields.items() if _fits(one.annotation)]
    return fitting[:MAX_COLUMNS]


def _fits(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is None:
        return isinstance(annotation, type) and issubclass(annotation, _PLAIN)
    if origin in (Union, types.UnionType):
        return all(_fits(one) for one in get_args(annotation) if one is not type(None))
    if origin is list:
        return all(_fits(one) for one in get_args(annotation))
    return all(isinstance(one, _PLAIN) for one in get_args(annotation))  # a Literal
