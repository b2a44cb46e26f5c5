"""The streak of weekly quality reports: in how many weeks in a row one was made, and apart from it what they found."""

from __future__ import annotations

from libs.common.contracts.base import GET, Open, Query, Time

TARGET_WEEKS = 4
RECENT_DAYS = 8  # how long the newest report carries the streak into a week that has none yet
WINDOW_WEEKS = 12


class StreakWeek(Open):
    """A week from Monday to Monday (UTC). ``critical_findings_total``: what the newest report of the week found."""

    week_start: Time
    counts: bool
    made_at: Time | None
    critical_findings_total: int | None


class QualityStreak(Open):
    """A week counts when a weekly report was made in it that read all its parts and was archived.

    ``target_weeks`` is the one that holds now: ``effective_target_weeks``, which is ``configured_target_weeks`` or, in
    the first weeks (``bootstrap_grace_active``), as many as have begun since the first report, at least 1.
    ``anchor_week_start``: the week from which the streak counts backwards. Findings break no streak; they stand beside
    it. ``weeks``: the newest ``window_weeks``, newest first.
    """

    generated_at: Time
    target_weeks: int
    configured_target_weeks: int
    effective_target_weeks: int
    current_streak_weeks: int
    target_met: bool
    successful_weeks_in_window: int
    bootstrap_grace_active: bool
    anchor_week_start: Time | None
    latest_success_at: Time | None
    first_success_at: Time | None
    weeks_since_first_success: int | None
    window_weeks: int
    weeks_with_findings_in_window: int
    critical_findings_in_window: int
    weeks: list[StreakWeek]


show_streak = Query(
    "operations.quality_streak.get",
    result=QualityStreak,
    permission="operations:read",
    http=GET("/api/ops/reports/quality/weekly/streak"),
    summary="In how many weeks in a row a quality report was made, and what the reports found",
    sited=False,
)
