"""The autopilot's judgement: which actions are called for, whether it may act now, how a run ended.

Where the facility system was wrong: its cooldown counted from any run, so that a blocked one renewed it for ever; a
disabled autopilot was an error; a legal 0 became the default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Literal, Protocol

Action = Literal["auto_assign", "escalation"]
ACTIONS: tuple[Action, ...] = ("auto_assign", "escalation")
SkipReason = Literal["stopped", "disabled", "cooldown_active", "no_triggered_actions"]
GuardReason = Literal["stopped", "force_override", "no_recent_run", "cooldown_active", "cooldown_passed"]


class Figures(Protocol):
    """What of the KPIs sets off an action."""

    @property
    def unassigned_open_count(self) -> int:
        """Open items that nobody has."""

    @property
    def critical_open_count(self) -> int:
        """Open items of required rules that fail."""

    @property
    def overdue_count(self) -> int:
        """Open items whose deadline has passed."""


@dataclass(frozen=True, slots=True)
class Triggers:
    """From how many items on an action is called for; 0 always is."""

    enabled: bool
    unassigned: int
    overdue: int


@dataclass(frozen=True, slots=True)
class Called:
    """Which actions the figures call for, and those that are planned: none while the autopilot is disabled."""

    auto_assign: bool
    escalation: bool
    planned: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run that really did something."""

    run_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Guarded:
    """Whether a run may act, and if not, from when."""

    ready: bool
    reason: GuardReason
    next_allowed_at: datetime | None = None
    minutes_until_ready: int = 0


def call(figures: Figures, triggers: Triggers, *, force: bool) -> Called:
    """What is to be done: everything with ``force``, else what has reached its trigger."""
    assign = force or figures.unassigned_open_count >= triggers.unassigned
    escalate = force or figures.critical_open_count > 0 or figures.overdue_count >= triggers.overdue
    called = {"auto_assign": assign, "escalation": escalate}
    planned = tuple(action for action in ACTIONS if called[action]) if triggers.enabled else ()
    return Called(assign, escalate, planned)


def guard(last: LastRun | None, cooldown: timedelta, now: datetime, *, stopped: bool, force: bool) -> Guarded:
    """Whether a run may act now. Nothing overrides a stop; ``force`` overrides the cooldown.

    A last run that lies further in the future than the cooldown says that a clock was set back, and nothing else.
    """
    if stopped:
        return Guarded(False, "stopped")
    if force:
        return Guarded(True, "force_override")
    if last is None or not cooldown:
        return Guarded(True, "no_recent_run")
    next_at = last.at + cooldown
    if now < next_at and last.at <= now + cooldown:
        return Guarded(False, "cooldown_active", next_at, ceil((next_at - now) / timedelta(minutes=1)))
    return Guarded(True, "cooldown_passed", next_at)


def skip(triggers: Triggers, guarded: Guarded, planned: Sequence[Action], *, skip_idle: bool) -> SkipReason | None:
    """Why a run does nothing; None: it acts. A stop is named before all else, since nothing gets past it."""
    if guarded.reason == "stopped":
        return "stopped"
    if not triggers.enabled:
        return "disabled"
    if not guarded.ready:
        return "cooldown_active"
    return "no_triggered_actions" if not planned and skip_idle else None


def status(after: Figures, errors: Sequence[str], done: Sequence[Action]) -> Literal["success", "warning", "critical"]:
    """How a run ended, by the figures after it."""
    if errors:
        return "critical"
    if after.overdue_count or after.critical_open_count:
        return "warning"
    return "warning" if after.unassigned_open_count and "auto_assign" not in done else "success"


def capped(items: Sequence[int], cap: int) -> list[int]:
    """Which steps, by place, there is room for with ``cap`` touched items; ``items`` are theirs, in order.

    An item that several steps touch counts once.
    """
    touched: set[int] = set()
    kept = []
    for place, item in enumerate(items):
        if item in touched or len(touched) < cap:
            touched.add(item)
            kept.append(place)
    return kept
