"""Months, and which deployments of one the runbook may have judged wrongly."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

Kind = Literal["false_positive", "false_negative"]
# Of these the gate's own word is made: they say nothing against it.
NOT_COUNTED = frozenset({"fatal", "runbook_gate", "runbook_checks"})
_BAD = ("warning", "critical")


def month_of(at: datetime) -> str:
    """The month (UTC) of a time, such as ``2026-03``."""
    return f"{at.astimezone(UTC):%Y-%m}"


def window(month: str) -> tuple[datetime, datetime]:
    """When the month begins and when the next one does, in UTC."""
    year, number = (int(part) for part in month.split("-"))
    start = datetime(year, number, 1, tzinfo=UTC)
    return start, datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def before(month: str) -> str:
    """The month before."""
    year, number = (int(part) for part in month.split("-"))
    return f"{year - (number == 1):04d}-{(number - 2) % 12 + 1:02d}"


def problems(checks: Iterable[tuple[str, str]]) -> list[str]:
    """The ids of (id, status) pairs that found something beside the gate."""
    return [name for name, status in checks if status in _BAD and name not in NOT_COUNTED]


def candidate(status: str, *, gate_passed: bool, found: list[str]) -> Kind | None:
    """What the runbook may have been: too kind to a test that found something, or too strict with one that did not."""
    if gate_passed:
        return "false_negative" if found and status in _BAD else None
    return None if found else "false_positive"
