"""From sums to the figures that people read: rates, means, trend, status and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from services.tracker.domain.kpi import day_of


@dataclass(frozen=True, slots=True)
class Now:
    """What is known of this moment: sums of stock by measure, and what was looked up.

    ``overdue`` and ``due_soon`` count open items; ``done_in_window`` those completed in the window, resolved ones too.
    """

    at: datetime
    stock: Mapping[str, int]
    overdue: int
    due_soon: int
    done_in_window: int
    median_opened_at: datetime | None
    oldest_opened_at: datetime | None

    def count(self, measure: str) -> int:
        """A measure; 0 if there is none."""
        return self.stock.get(measure, 0)


def hours(span: timedelta) -> float:
    """In hours, to one place."""
    return round(span.total_seconds() / 3600, 1)


def metrics(now: Now, window_days: int) -> dict[str, int | float | None]:
    """The block ``metrics`` of a KPI snapshot."""
    open_items, active = now.count("open"), now.count("active")
    mean = now.at.timestamp() - now.count("opened_s") / open_items if open_items else None
    return {
        "total_items": now.count("total"),
        "active_items": active,
        "open_items": open_items,
        "pending_count": now.count("pending"),
        "in_progress_count": now.count("in_progress"),
        "done_count": now.count("done"),
        "blocked_count": now.count("blocked"),
        "completion_rate_percent": round(100 * now.count("done") / active) if active else 100,
        "critical_open_count": now.count("critical_open"),
        "unassigned_open_count": now.count("unassigned_open"),
        "overdue_count": now.overdue,
        "due_soon_count": now.due_soon,
        "done_last_window_count": now.done_in_window,
        "throughput_per_day": round(now.done_in_window / window_days, 2),
        "avg_open_age_hours": None if mean is None else round(mean / 3600, 1),
        "median_open_age_hours": None if now.median_opened_at is None else hours(now.at - now.median_opened_at),
        "oldest_open_age_hours": None if now.oldest_opened_at is None else hours(now.at - now.oldest_opened_at),
    }


def status(now: Now) -> Literal["success", "warning", "critical"]:
    """How a run of the KPIs ends."""
    if now.overdue or now.count("critical_open"):
        return "critical"
    return "warning" if now.count("unassigned_open") or now.count("blocked") else "success"


def recommendations(now: Now) -> list[str]:
    """What to do next, a sentence each."""
    found = []
    if count := now.count("unassigned_open"):
        found.append(f"{_items(count)} without an assignee: run the auto-assignment.")
    if now.overdue:
        found.append(f"{_items(now.overdue)} overdue: run the escalation.")
    if count := now.count("blocked"):
        found.append(f"{_items(count)} blocked: find out what they wait for.")
    if now.count("open") and not now.done_in_window:
        found.append("Nothing was completed in the window: share the work out anew.")
    return found or ["Stable: keep the policy as it is."]


def _items(count: int) -> str:
    return "1 item is" if count == 1 else f"{count} items are"


def trend(points: Sequence[int]) -> Literal["up", "down", "flat"]:
    """The last beside the first."""
    moved = points[-1] - points[0] if points else 0
    return "up" if moved > 0 else "down" if moved < 0 else "flat"


def series(
    at: datetime, days: int, open_now: int, flows: Mapping[tuple[str, datetime], int]
) -> list[dict[str, date | int | float | None]]:
    """A row for each of the last ``days`` days, oldest first. ``flows``: sums by measure and day.

    The backlog is reckoned backwards from what is open now, so the last row always agrees with the stock.
    """
    of_day: dict[datetime, dict[str, int]] = {}
    for (measure, day), amount in flows.items():
        of_day.setdefault(day, {})[measure] = amount
    rows, backlog = [], open_now
    for back in range(days):
        day = day_of(at) - timedelta(days=back)
        sums = of_day.get(day, {})
        rows.append(_row(day, backlog, sums))
        backlog -= sums.get("backlog", 0)
    return rows[::-1]


def _row(day: datetime, backlog: int, sums: Mapping[str, int]) -> dict[str, date | int | float | None]:
    def of(measure: str) -> int:
        return sums.get(measure, 0)

    def mean_hours(seconds: str, count: str) -> float | None:
        return round(of(seconds) / of(count) / 3600, 1) if of(count) else None

    def percent(part: int, whole: int) -> float | None:
        return round(100 * part / whole, 1) if whole else None

    again = of("reopened") + of("refused")
    return {
        "day": day.date(),
        "backlog": backlog,
        "opened_count": of("opened"),
        "reopened_count": of("reopened"),
        "refused_count": of("refused"),
        "resolved_count": of("resolved"),
        "mttr_hours": mean_hours("resolve_s", "resolved"),
        "lead_hours": mean_hours("lead_s", "resolved"),
        "first_response_hours": mean_hours("response_s", "responded"),
        "sla_met_count": of("sla_met"),
        "sla_missed_count": of("sla_missed"),
        "sla_hit_percent": percent(of("sla_met"), of("sla_met") + of("sla_missed")),
        "reopened_percent": percent(again, of("opened") + again),
    }
