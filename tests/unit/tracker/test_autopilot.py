"""The autopilot's judgement, without a database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from services.tracker.domain import autopilot as domain
from services.tracker.domain import autopilot_reports as reports
from services.tracker.domain.autopilot import Guarded, LastRun, Triggers

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
ONES = Triggers(True, 1, 1)


@dataclass
class Figures:
    unassigned_open_count: int = 0
    critical_open_count: int = 0
    overdue_count: int = 0


@pytest.mark.parametrize(
    ("figures", "triggers", "force", "planned"),
    [
        (Figures(), ONES, False, ()),
        (Figures(unassigned_open_count=1), ONES, False, ("auto_assign",)),
        (Figures(overdue_count=1), ONES, False, ("escalation",)),
        (Figures(critical_open_count=1), Triggers(True, 9, 9), False, ("escalation",)),
        (Figures(8, 0, 8), Triggers(True, 9, 9), False, ()),
        (Figures(), Triggers(True, 0, 0), False, ("auto_assign", "escalation")),
        (Figures(), ONES, True, ("auto_assign", "escalation")),
        (Figures(9, 9, 9), Triggers(False, 0, 0), True, ()),
    ],
)
def test_what_is_called_for(
    figures: Figures, triggers: Triggers, force: bool, planned: tuple[domain.Action, ...]
) -> None:
    assert domain.call(figures, triggers, force=force).planned == planned


def test_when_it_may_act() -> None:
    half_an_hour = timedelta(minutes=30)

    def guard(
        ago_minutes: float | None, *, stopped: bool = False, force: bool = False, wait: timedelta = half_an_hour
    ) -> Guarded:
        last = None if ago_minutes is None else LastRun(7, NOW - timedelta(minutes=ago_minutes))
        return domain.guard(last, wait, NOW, stopped=stopped, force=force)

    assert guard(None) == Guarded(True, "no_recent_run")
    assert guard(1, wait=timedelta()) == Guarded(True, "no_recent_run")
    assert guard(29.5) == Guarded(False, "cooldown_active", NOW + timedelta(seconds=30), 1)
    assert guard(30).reason == "cooldown_passed"
    assert guard(-1) == Guarded(False, "cooldown_active", NOW + timedelta(minutes=31), 31)
    assert guard(-31).ready, "a clock was set back, and must not hold for days"
    assert guard(1, force=True) == Guarded(True, "force_override")
    assert guard(None, stopped=True, force=True) == Guarded(False, "stopped")


def test_why_a_run_does_nothing() -> None:
    ready, blocked, stopped = (
        Guarded(True, "no_recent_run"),
        Guarded(False, "cooldown_active"),
        Guarded(False, "stopped"),
    )
    assert domain.skip(ONES, ready, ["escalation"], skip_idle=True) is None
    assert domain.skip(ONES, ready, [], skip_idle=False) is None
    assert domain.skip(ONES, ready, [], skip_idle=True) == "no_triggered_actions"
    assert domain.skip(ONES, blocked, ["escalation"], skip_idle=True) == "cooldown_active"
    off = Triggers(False, 1, 1)
    assert domain.skip(off, blocked, [], skip_idle=True) == "disabled"
    assert domain.skip(off, stopped, [], skip_idle=True) == "stopped"


def test_how_a_run_ends() -> None:
    assert domain.status(Figures(), [], []) == "success"
    assert domain.status(Figures(), ["no luck"], []) == "critical"
    assert domain.status(Figures(overdue_count=1), [], ["escalation"]) == "warning"
    assert domain.status(Figures(critical_open_count=1), [], ["escalation"]) == "warning"
    assert domain.status(Figures(unassigned_open_count=1), [], []) == "warning"
    assert domain.status(Figures(unassigned_open_count=1), [], ["auto_assign"]) == "success"


def test_a_cap_counts_an_item_once() -> None:
    items = [1, 2, 3, 2, 9, 1]
    assert domain.capped(items, 4) == [0, 1, 2, 3, 4, 5]
    assert domain.capped(items, 3) == [0, 1, 2, 3, 5]
    assert domain.capped(items, 2) == [0, 1, 3, 5]
    assert domain.capped([], 2) == []


def seen(**changed: float | str | None) -> list[str]:
    figures = {
        "total_runs": 20, "success_rate_percent": 100.0, "skipped_rate_percent": 0.0, "cooldown_blocked_runs": 0,
        "error_runs": 0, "consecutive_cooldown_skips": 0, "latest_status": "success", "latest_critical_open": 0,
        "latest_overdue": 0,
    }  # fmt: skip
    found = reports.anomalies(reports.Figures(**{**figures, **changed}))  # type: ignore[arg-type]
    return [f"{one.severity} {one.code}" for one in found]


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("total_runs", 0, "critical no_recent_runs"),
        ("total_runs", 4, "warning low_sample_size"),
        ("total_runs", 5, None),
        ("success_rate_percent", 69.9, "critical low_success_rate"),
        ("success_rate_percent", 84.9, "warning degraded_success_rate"),
        ("success_rate_percent", 85.0, None),
        ("skipped_rate_percent", 60.1, "critical high_skip_rate"),
        ("skipped_rate_percent", 60.0, "warning elevated_skip_rate"),
        ("skipped_rate_percent", 35.0, None),
        ("cooldown_blocked_runs", 10, "critical cooldown_blocks_excessive"),
        ("cooldown_blocked_runs", 5, "warning cooldown_blocks_high"),
        ("cooldown_blocked_runs", 4, None),
        ("error_runs", 5, "critical error_runs_high"),
        ("error_runs", 1, "warning error_runs_detected"),
        ("consecutive_cooldown_skips", 6, "critical consecutive_cooldown_skips"),
        ("consecutive_cooldown_skips", 3, "warning consecutive_cooldown_skips"),
        ("consecutive_cooldown_skips", 2, None),
        ("latest_status", "critical", "critical latest_run_critical"),
        ("latest_status", "failed", "critical latest_run_critical"),
        ("latest_critical_open", 1, "warning critical_open_items"),
        ("latest_overdue", 1, "warning overdue_items_open"),
    ],
)
def test_each_limit_of_what_looks_wrong(field: str, value: float | str, found: str | None) -> None:
    assert seen(**{field: value}) == ([] if found is None else [found])


def test_the_worst_comes_first() -> None:
    both = seen(error_runs=1, latest_overdue=2, skipped_rate_percent=99.0)
    assert both == ["critical high_skip_rate", "warning error_runs_detected", "warning overdue_items_open"]
    assert reports.health([]) == "healthy"
    assert reports.cooldown_skips(["cooldown_active", "cooldown_active", None, "cooldown_active"]) == 2
