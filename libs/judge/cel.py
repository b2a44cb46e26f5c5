"""Conditions in CEL, the Common Expression Language (https://cel.dev), on Google's engine.

The one place that touches the engine. It hands back evaluation errors as ordinary values, and such a value is a
non-empty text, which is true in an ``if``. So a condition passes only when the value's type is BOOL and it is true;
everything else fails with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cel_expr_python import cel  # type: ignore[import-untyped]  # it ships types but no py.typed

MAX_EXPRESSION_CHARS = 4_000
MAX_REASON_CHARS = 300

_TYPES: Mapping[str, cel.Type] = {
    "bool": cel.Type.BOOL,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "string": cel.Type.STRING,
    "dyn": cel.Type.DYN,
    "map": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "list": cel.Type.List(cel.Type.DYN),
    "list_of_maps": cel.Type.List(cel.Type.Map(cel.Type.STRING, cel.Type.DYN)),
}
_PLACE = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")
_CODE = re.compile(r"^[A-Z_]+: ")


class BadExpression(ValueError):
    """An expression that can't be compiled. ``line`` and ``column`` count from 1 (0: the engine gave no place)."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Outcome:
    """``passed`` only for a true BOOL. ``reason`` says what else came back; it is "" for a plain true or false."""

    passed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled expression. It holds no state, so threads may share it."""

    expression: str
    _compiled: cel.Expression = field(repr=False, compare=False)

    def evaluate(self, activation: Mapping[str, Any]) -> Outcome:
        """Judge plain values (None, bool, int, float, str, lists, maps). Never raises for what the values hold."""
        try:
            value = self._compiled.eval(data=activation)
            return read_outcome(value.type(), value.value())
        except (RuntimeError, TypeError, ValueError) as error:
            return Outcome(False, _sentence(str(error)))


def read_outcome(value_type: cel.Type, value: object) -> Outcome:
    """Passed only if the type is BOOL and the value is literally True; ERROR, UNKNOWN and the rest fail."""
    if value_type == cel.Type.BOOL and isinstance(value, bool):
        return Outcome(value)
    if value_type in (cel.Type.ERROR, cel.Type.UNKNOWN):
        return Outcome(False, _sentence(str(value)))
    return Outcome(False, f"the condition gave {value_type.name()} instead of true or false")


def compile_condition(expression: str, variables: Mapping[str, str]) -> Condition:
    """Compile ``expression`` over ``variables`` (name to bool, int, double, string, dyn, map, list, list_of_maps).

    Raises BadExpression with the place when the text is wrong, names something undeclared or can't give a BOOL.
    """
    if not expression.strip():
        raise BadExpression("the expression is empty", 1, 1)
    if len(expression) > MAX_EXPRESSION_CHARS or "\x00" in expression:
        raise BadExpression(f"the expression is longer than {MAX_EXPRESSION_CHARS} letters, or holds NUL", 1, 1)
    environment = cel.NewEnv(variables={name: _TYPES[kind] for name, kind in variables.items()})
    try:
        compiled = environment.compile(expression)
    except (RuntimeError, ValueError) as error:
        raise _bad_expression(str(error)) from None
    result = compiled.return_type()
    # DYN is only known when facts are there: read_outcome checks it again then.
    if result not in (cel.Type.BOOL, cel.Type.DYN):
        raise BadExpression(f"the expression gives {result.name()}, not BOOL", 1, 1)
    return Condition(expression, compiled)


def _bad_expression(text: str) -> BadExpression:
    place = _PLACE.search(text)
    if place is None:
        return BadExpression(_sentence(text), 0, 0)
    message = place[3].removesuffix(" [INVALID_ARGUMENT]").replace(" (in container '')", "")
    return BadExpression(message, int(place[1]), int(place[2]))


def _sentence(text: str) -> str:
    return _CODE.sub("", text.split("\n", 1)[0])[:MAX_REASON_CHARS]
