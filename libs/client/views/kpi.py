"""KPIs: figures, and a line of bars for each series."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, facts, table
from libs.client.views.general import failed, words
from libs.common.contracts.tracker.kpi import Kpi, KpiFacts, KpiRun, KpiSeries

BARS = "▁▂▃▄▅▆▇█"
GAP = "·"  # no figure for that day, which is not the same as nothing
SERIES = (
    "backlog", "opened_count", "resolved_count", "mttr_hours", "lead_hours", "first_response_hours", "sla_hit_percent",
    "reopened_percent",
)  # fmt: skip


def sparkline(values: Sequence[float | None]) -> str:
    """A bar for each value, from zero to the largest; a dot where there is none."""
    top = max((value for value in values if value is not None), default=0)
    return "".join(
        GAP if value is None else BARS[0 if top <= 0 else round((len(BARS) - 1) * max(0, value) / top)]
        for value in values
    )


def kpi_series(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """A line for each series: its name, its bars, its last figure."""
    series = read_as(KpiSeries, answer)
    rows = []
    for name in SERIES:
        values = [getattr(day, name) for day in series.days]
        known = [value for value in values if value is not None]
        rows.append((words(name), sparkline(values), known[-1] if known else "no data", max(known, default="")))
    first, last = series.days[0].day, series.days[-1].day
    shares = [
        Text(f"{title}: " + ", ".join(f"{clean(name)} {count}" for name, count in counts.items()))
        for title, counts in (("Open by role", series.by_role), ("Open by rule", series.by_rule))
        if counts
    ]
    session.emit(answer, table((f"{first} to {last}", "", "last", "most"), rows), *shares)


def kpi(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The figures, the trend of the backlog, and what to do next; of a run that failed the reason."""
    if failed(session, answer):
        return
    shape = KpiRun if "run_id" in answer else Kpi
    found: KpiFacts = read_as(shape, answer)
    history = found.backlog_history
    bars = sparkline([point.open_items for point in history.points[-60:]])
    trend = Text(f"Backlog of {found.window_days} days: {bars or 'no runs yet'} ({history.trend})")
    overdue = [
        (one.id, one.rule_id, one.owner_role, one.assignee or "nobody", one.due_at, one.overdue_hours)
        for one in found.top_overdue_items
    ]
    parts: list[RenderableType] = [facts([(words(name), value) for name, value in found.metrics]), trend]
    if overdue:
        columns = ("item", "rule", "owner", "assignee", "due", "hours overdue")
        parts.append(table(columns, overdue, title="Most overdue"))
    session.emit(answer, *parts, *(Text(clean(line)) for line in found.recommendations))


View = Callable[[Session, Any, Mapping[str, Any]], int | None]
BY_RESULT: dict[Any, View] = {Kpi: kpi, KpiRun: kpi, KpiSeries: kpi_series}
