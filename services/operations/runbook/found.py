"""What a check of the runbook answers, and how its sentences are put."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from libs.common.contracts.preflight import Overall
from services.operations.runbook.readings import Readings

Found = tuple[Overall, str, dict[str, Any]]
Check = Callable[[Readings], Found]


def worst(pairs: Iterable[tuple[Any, str]], warning: Any, critical: Any) -> tuple[Overall, list[str]]:
    """The word for the largest of (value, what it is of), and the names of those at or above the warning."""
    found = sorted(pairs, key=lambda pair: pair[0], reverse=True)
    named = [name for value, name in found if value >= warning]
    if not named:
        return "ok", []
    return ("critical" if found[0][0] >= critical else "warning"), named


def some(names: list[str]) -> str:
    """The first five, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def age_text(age: timedelta) -> str:
    """In the unit that a person would take."""
    seconds = int(age.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
