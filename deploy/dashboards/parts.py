"""What boards are made of: panels with their queries, and the page around them. Sizes are in Grafana's grid of 24."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from grafana_foundation_sdk.builders import common, dashboard, logs, loki, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import DataSourceRef, LegendDisplayMode, LegendPlacement, LogsSortOrder
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

TAG = "headgate"
# The uids that provisioning/datasources gives.
SOURCE = DataSourceRef("prometheus", "headgate-prometheus")
LOG = DataSourceRef("loki", "headgate-loki")
# What a browser reaches Headgate by: a person changes it on the board, once.
ADDRESS = "http://127.0.0.1:8080"
Unit = Literal["short", "ops", "reqps", "s", "percentunit", "bytes"]
COUNT: Final[Unit] = "short"
PER_SECOND: Final[Unit] = "ops"
REQUESTS: Final[Unit] = "reqps"
SECONDS: Final[Unit] = "s"
SHARE: Final[Unit] = "percentunit"
BYTES: Final[Unit] = "bytes"
WHOLE, HALF, THIRD, QUARTER = 24, 12, 8, 6
_STAT_HEIGHT, _GRAPH_HEIGHT = 4, 8


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression (of the log: LogQL), and the legend of each of its series (labels in double braces).

    ``exemplars``: show single requests, each of which leads to its trace.
    """

    expr: str
    legend: str
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page of Headgate's console that says more than a panel can; ``path`` may hold Grafana's variables."""

    title: str
    path: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One panel. ``bad_from``: the value from which a single number is red; None if none is.

    ``of_log``: its queries are LogQL. ``leads``: where a click on one of its lines leads, by that line's labels.
    """

    kind: Literal["stat", "timeseries", "logs"]
    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    pages: tuple[Page, ...] = ()
    width: int = HALF
    bad_from: float | None = None
    bad_below: float | None = None
    of_log: bool = False
    leads: tuple[Page, ...] = ()


def graph(
    title: str,
    description: str,
    unit: Unit,
    *queries: Query,
    pages: Iterable[Page] = (),
    leads: Iterable[Page] = (),
    width: int = HALF,
) -> Shown:
    """A panel of lines over time."""
    return Shown("timeseries", title, description, unit, queries, tuple(pages), width, leads=tuple(leads))


def counted(title: str, description: str, query: Query, *, width: int = HALF) -> Shown:
    """A panel that counts lines of the log over time."""
    return Shown("timeseries", title, description, COUNT, (query,), width=width, of_log=True)


def lines(title: str, description: str, expr: str, *, pages: Iterable[Page] = ()) -> Shown:
    """A panel of lines of the log, the newest first."""
    return Shown("logs", title, description, COUNT, (Query(expr, ""),), tuple(pages), WHOLE, of_log=True)


def number(
    title: str,
    description: str,
    unit: Unit,
    *queries: Query,
    pages: Iterable[Page] = (),
    bad_from: float | None = None,
    bad_below: float | None = None,
) -> Shown:
    """A panel with the newest value of each series as a number."""
    return Shown("stat", title, description, unit, queries, tuple(pages), QUARTER, bad_from, bad_below)


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable: what a person may narrow the board to. Its values are those of ``label`` on ``series``."""

    label: str
    series: str
    title: str


@dataclass(frozen=True, slots=True)
class Typed:
    """A variable that a person types, empty at first."""

    name: str
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class Board:
    """A page: ``rows`` are (heading, panels). ``name`` is its file, ``uid`` what bookmarks hold."""

    name: str
    uid: str
    title: str
    description: str
    rows: tuple[tuple[str, tuple[Shown, ...]], ...]
    choices: tuple[Choice, ...] = ()
    period: str = "now-1h"
    typed: tuple[Typed, ...] = ()

    def built(self) -> Dashboard:
        """What Grafana loads."""
        made = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags([TAG])
            .timezone("utc")
            .time(self.period, "now")
            .refresh("30s")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .readonly()
            .link(_others())
            .with_variable(_address())
        )
        for choice in self.choices:
            made.with_variable(_variable(choice))
        for typed in self.typed:
            made.with_variable(_text_box(typed))
        number_of_panel = 0
        for heading, panels in self.rows:
            number_of_panel += 1
            made.with_row(dashboard.Row(heading).id(number_of_panel))
            for shown in panels:
                number_of_panel += 1
                made.with_panel(_panel(shown).id(number_of_panel))
        return made.build()


def _others() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Other boards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .keep_time(True)
    )


def _address() -> dashboard.TextBoxVariable:
    return (
        dashboard.TextBoxVariable("address")
        .label("Headgate")
        .description("Where your browser reaches Headgate: what the links of the panels begin with")
        .default_value(ADDRESS)
        .current(VariableOption(text=ADDRESS, value=ADDRESS, selected=True))
    )


def _text_box(typed: Typed) -> dashboard.TextBoxVariable:
    return dashboard.TextBoxVariable(typed.name).label(typed.title).description(typed.description).default_value("")


def _variable(choice: Choice) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(choice.label)
        .label(choice.title)
        .datasource(SOURCE)
        .query({"query": f"label_values({choice.series}, {choice.label})", "refId": choice.label})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(text="All", value="$__all", selected=True))
    )


def _panel(shown: Shown) -> stat.Panel | timeseries.Panel | logs.Panel:
    made: stat.Panel | timeseries.Panel | logs.Panel
    if shown.kind == "logs":
        made = _lines()
    else:
        made = _stat(shown) if shown.kind == "stat" else _timeseries(shown)
    made.title(shown.title).description(shown.description).unit(shown.unit).span(shown.width)
    made.datasource(LOG if shown.of_log else SOURCE)
    made.links([_link(page) for page in shown.pages])
    if shown.leads:
        made.data_links([_link(page) for page in shown.leads])
    for place, query in enumerate(shown.queries):
        letter = chr(ord("A") + place)
        if shown.of_log:
            made.with_target(loki.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter).range(True))
        else:
            made.with_target(_target(query, letter, instant=shown.kind == "stat"))
    return made


def _lines() -> logs.Panel:
    made = logs.Panel().height(_GRAPH_HEIGHT).show_time(True).wrap_log_message(True).enable_log_details(True)
    return made.sort_order(LogsSortOrder.DESCENDING)


def _stat(shown: Shown) -> stat.Panel:
    made = stat.Panel().height(_STAT_HEIGHT)
    if shown.bad_from is not None:
        made.thresholds(_steps([(None, "green"), (shown.bad_from, "red")]))
    elif shown.bad_below is not None:
        made.thresholds(_steps([(None, "red"), (shown.bad_below, "green")]))
    return made


def _timeseries(shown: Shown) -> timeseries.Panel:
    # Counts, rates, ages and shares have no negative values; what is left of an error budget has.
    made = timeseries.Panel().height(_GRAPH_HEIGHT).axis_soft_min(0).fill_opacity(10)
    many = len(shown.queries) > 1 or "{{" in shown.queries[0].legend
    legend = common.VizLegendOptions().show_legend(many).display_mode(LegendDisplayMode.LIST)
    return made.legend(legend.placement(LegendPlacement.BOTTOM).calcs([]))


def _steps(steps: Sequence[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    marks = [Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(marks)


def _link(page: Page) -> dashboard.DashboardLink:
    made = dashboard.DashboardLink(page.title).type(DashboardLinkType.LINK)
    return made.url("${address}" + page.path).target_blank(True)


def _target(query: Query, letter: str, *, instant: bool) -> prometheus.Dataquery:
    made = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter)
    if query.exemplars:
        made.exemplar(True)
    return made.instant() if instant else made.range()
