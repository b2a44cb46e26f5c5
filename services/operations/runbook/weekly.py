"""Checks of what people look at by the week: whether the quality report is made, and how long without a gap."""

from __future__ import annotations

from services.operations.reports.streak import RECENT
from services.operations.runbook.found import Check, Found, age_text
from services.operations.runbook.readings import Readings

_NONE = "no weekly report that counts was made yet"


def ops_quality_weekly_report_recent(at: Readings) -> Found:
    """How old the newest weekly report that counts is."""
    found = at.of("streak")
    if found.latest_success_at is None:
        return "warning", _NONE, {"latest_success_at": None}
    age = at.now - found.latest_success_at
    figures = {"latest_success_at": found.latest_success_at.isoformat(), "age_s": round(age.total_seconds(), 1)}
    return "warning" if age > RECENT else "ok", f"the newest is {age_text(age)} old", figures


def ops_quality_weekly_report_streak(at: Readings) -> Found:
    """In how many weeks in a row one was made."""
    found = at.of("streak")
    weeks, target = found.current_streak_weeks, found.target_weeks
    figures = {
        "current_streak_weeks": weeks,
        "target_weeks": target,
        "critical_findings_in_window": found.critical_findings_in_window,
    }
    if found.latest_success_at is None:
        return "warning", _NONE, figures
    return "ok" if found.target_met else "warning", f"{weeks} weeks in a row, wanted are {target}", figures


CHECKS: tuple[Check, ...] = (ops_quality_weekly_report_recent, ops_quality_weekly_report_streak)
