"""From a field of a contract's model to a parameter of a command: its type, limits, choices, default and help."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import orjson
import typer
from pydantic import BaseModel

from libs.client import completion
from libs.client.errors import UsageProblem
from libs.client.moments import HINT, moment


@dataclass(frozen=True, slots=True)
class Field:
    """One field as JSON Schema has it, without ``null``."""

    name: str
    schema: Mapping[str, Any]
    required: bool
    default: Any

    @property
    def flag(self) -> str:
        """The option's usual spelling."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def is_json(self) -> bool:
        """Whether it is written as JSON: objects, lists of other things than text, and whatever has no type."""
        kind = self.schema.get("type")
        if kind == "array":
            return not self._is_text_list
        return kind not in ("string", "integer", "number", "boolean") and not self.choices

    @property
    def is_time(self) -> bool:
        """Whether it is a moment."""
        return self.schema.get("format") == "date-time"

    @property
    def _is_text_list(self) -> bool:
        return self.schema.get("type") == "array" and self.schema.get("items", {}).get("type") == "string"

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it may be; empty if it is no enumeration."""
        words = self.schema.get("enum") or ([self.schema["const"]] if "const" in self.schema else [])
        return tuple(words) if all(isinstance(word, str) for word in words) else ()

    @property
    def type(self) -> Any:
        """The type of the parameter, for typer."""
        if self.choices:
            return StrEnum(self.name, {word: word for word in self.choices})
        if self._is_text_list:
            return list[str]
        return {"integer": int, "number": float, "boolean": bool}.get(str(self.schema.get("type")), str)

    @property
    def limits(self) -> dict[str, Any]:
        """``min`` and ``max`` of a number."""
        if self.type not in (int, float):
            return {}
        found = {"min": self.schema.get("minimum"), "max": self.schema.get("maximum")}
        return {name: value for name, value in found.items() if value is not None and abs(value) < 2**62}

    def sent(self, value: Any) -> Any:
        """The value as it goes into the request. Raises `UsageProblem` for text that should be JSON, or a time."""
        if isinstance(value, StrEnum):
            return value.value
        if self.is_time and isinstance(value, str):
            try:
                return moment(value, datetime.now(UTC))
            except UsageProblem as problem:
                raise UsageProblem(f"{self.flag}: {problem}") from problem
        if not self.is_json or not isinstance(value, str):
            return value
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise UsageProblem(f"{self.name}: {value[:100]!r} is not JSON ({error}).") from error


def fields_of(model: type[BaseModel]) -> Iterator[Field]:
    """The model's fields in their order."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    required = set(schema.get("required", ()))
    for name, one in schema.get("properties", {}).items():
        yield Field(name, _plain(one, definitions), name in required, one.get("default"))


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without ``null`` and references; of several shapes nothing but the description is kept."""
    outer = {name: value for name, value in schema.items() if name in ("description", "default")}
    if "$ref" in schema:
        return {**_plain(definitions[str(schema["$ref"]).rpartition("/")[2]], definitions), **outer}
    if "anyOf" in schema:
        shapes = [one for one in schema["anyOf"] if one.get("type") != "null"]
        return {**(_plain(shapes[0], definitions) if len(shapes) == 1 else {}), **outer}
    return dict(schema)


def _written(field: Field) -> str:
    """How it is written, where that is not plain."""
    return " As JSON." if field.is_json else f" {HINT}" if field.is_time else ""


def parameter(
    field: Field, *, flag: str, positional: bool, help_text: str, default: Any, needed: bool, hint: str
) -> inspect.Parameter:
    """A keyword parameter for typer. ``needed``: the parser asks for it; ``hint`` is a last word of its help."""
    kind = field.type
    said = str(help_text or field.schema.get("description", "")).rstrip(".")
    text = f"{said}{'.' if said else ''}{_written(field)}{hint}".strip()
    info: Any
    if positional:
        metavar = field.name.upper() if needed else f"[{field.name.upper()}]"
        info = typer.Argument(
            metavar=metavar, help=text, autocompletion=completion.of_field(field.name), **field.limits
        )
    else:
        info = typer.Option(flag, help=text, autocompletion=completion.of_field(field.name), **field.limits)
    if field.choices and default is not None:
        default = kind(default)
    if field.is_json and default is not None:
        default = None
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if needed else default,
        annotation=Annotated[kind if needed else kind | None, info],
    )
