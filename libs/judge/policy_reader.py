"""Takes the keys out of a policy's mappings, each with its type: what does not fit names file, rule and line."""

from __future__ import annotations

import math
from datetime import date
from typing import Any, cast

from libs.judge.cel import BadExpression, Condition, compile_condition
from libs.judge.policy_model import VARIABLES, PolicyError
from libs.judge.policy_yaml import LinedDict

MAX_TEXTS = 50


class Reader:
    """Takes keys out of a mapping with their types; ``where`` begins every message."""

    def __init__(self, mapping: LinedDict, where: str) -> None:
        self.mapping = mapping
        self.where = where
        self._rest = set(mapping)

    def has(self, key: str) -> bool:
        return key in self.mapping

    def take(self, key: str, kind: type, words: str) -> Any:
        if key not in self.mapping:
            began = f" (the mapping begins in line {self.mapping.line})" if self.mapping.line else ""
            raise PolicyError(f"{self.where}: {key} is missing{began}")
        self._rest.discard(key)
        value = self.mapping[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise PolicyError(f"{self.where}: {key} must be {words} (line {self.mapping.lines[key]})")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        if default is not None and key not in self.mapping:
            return default
        value = str(self.take(key, str, "text")).strip()
        if not value:
            raise PolicyError(f"{self.where}: {key} must not be empty (line {self.mapping.lines[key]})")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        value = self.take(key, cast(type, int | float), "a number")
        if not math.isfinite(value) or not low <= value <= high:
            raise PolicyError(f"{self.where}: {key} must be {low:g} to {high:g} (line {self.mapping.lines[key]})")
        return cast(float, value)

    def one_of(self, key: str, words: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in words:
            line = self.mapping.lines[key]
            raise PolicyError(f"{self.where}: {key} must be one of {', '.join(words)} (line {line})")
        return value

    def one_name(self, key: str, old: str) -> str:
        """Which of the two names of a key the mapping uses; ``key`` if none. Raises PolicyError for both."""
        if key in self.mapping and old in self.mapping:
            line = self.mapping.lines[old]
            raise PolicyError(f"{self.where}: {old} is the old name of {key}; give one (line {line})")
        return old if old in self.mapping else key

    def whole(self, key: str, low: int, high: int, default: int) -> int:
        if key not in self.mapping:
            return default
        value = self.number(key, low, high)
        if not isinstance(value, int):
            raise PolicyError(f"{self.where}: {key} must be a whole number (line {self.mapping.lines[key]})")
        return value

    def above_zero(self, key: str, high: float) -> float | None:
        """A number above 0, None where the key is not there."""
        if key not in self.mapping:
            return None
        value = self.number(key, 0, high)
        if value <= 0:
            raise PolicyError(f"{self.where}: {key} must be above 0 (line {self.mapping.lines[key]})")
        return value

    def flag(self, key: str, default: bool) -> bool:
        return bool(self.take(key, bool, "true or false")) if key in self.mapping else default

    def day(self, key: str) -> date | None:
        if key not in self.mapping:
            return None
        value = self.take(key, date, "a date such as 2026-12-31")
        if type(value) is not date:  # a datetime is a date, too
            line = self.mapping.lines[key]
            raise PolicyError(f"{self.where}: {key} must be a date such as 2026-12-31, without a time (line {line})")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts without doubles, () where the key is not there."""
        if key not in self.mapping:
            return ()
        words = f"a list of 1 to {MAX_TEXTS} texts of at most 200 letters, each once"
        values = self.take(key, list, words)
        fine = all(isinstance(value, str) and 0 < len(value.strip()) <= 200 for value in values)
        if not fine or not 0 < len(values) <= MAX_TEXTS or len(set(values)) < len(values):
            raise PolicyError(f"{self.where}: {key} must be {words} (line {self.mapping.lines[key]})")
        return tuple(value.strip() for value in values)

    def inner(self, key: str) -> Reader | None:
        """The mapping under ``key`` with a reader of its own, None where there is none."""
        return Reader(self.mapping_of(key), f"{self.where}: {key}") if key in self.mapping else None

    def mapping_of(self, key: str) -> LinedDict:
        return cast(LinedDict, self.take(key, LinedDict, "a mapping")) if self.has(key) else LinedDict()

    def condition(self, key: str) -> Condition:
        text = self.text(key)
        try:
            return compile_condition(text, VARIABLES)
        except BadExpression as error:
            line = f"line {error.line}, " if error.line > 1 else ""
            raise PolicyError(
                f"{self.where}: {key}, {line}column {error.column}: {error.message} "
                f"(file line {self.mapping.lines[key]})"
            ) from None

    def refuse_rest(self) -> None:
        if self._rest:
            key = min(self._rest)
            raise PolicyError(f"{self.where}: unknown key {key} (line {self.mapping.lines[key]})")
