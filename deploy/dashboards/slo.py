"""SLOs: what is left of the error budgets, and how fast they burn."""

from __future__ import annotations

from deploy.dashboards.pages import SLOS
from deploy.dashboards.parts import COUNT, QUARTER, SHARE, THIRD, WHOLE, Board, Choice, Query, graph

_WINDOWS = (("5m", "5 minutes"), ("30m", "30 minutes"), ("1h", "an hour"), ("2h", "2 hours"), ("6h", "6 hours"),
            ("1d", "a day"), ("3d", "3 days"))  # fmt: skip
_RULES = {
    "5m": "The alert pages when this and that of an hour are above 14.4 times what may be bad.",
    "1h": "Beside 5 minutes for the fast page.",
    "30m": "The alert pages, too, when this and that of 6 hours are above 6 times what may be bad.",
    "6h": "Beside 30 minutes for the page, and beside 3 days for the ticket.",
    "2h": "A ticket when this and that of a day are above 3 times what may be bad.",
    "1d": "Beside 2 hours for the ticket.",
    "3d": "A ticket, too, when this and that of 6 hours are above what may be bad.",
}

BUDGET = (
    graph(
        "SLOs: what is left of the error budget",
        "By Prometheus, of the whole period; GET /api/ops/slo says the same of the samples that Headgate keeps itself.",
        SHARE, Query('headgate:slo_budget:left{slo=~"$slo"}', "{{slo}}"), pages=(SLOS,), width=WHOLE,
    ),
)  # fmt: skip
BURNING = tuple(
    graph(
        f"SLOs: bad requests in {words}", _RULES[window], SHARE,
        Query(f'headgate:slo_errors:ratio_rate{window}{{slo=~"$slo"}}', "{{slo}}"), pages=(SLOS,), width=THIRD,
    )
    for window, words in _WINDOWS
)  # fmt: skip
COUNTED = tuple(
    graph(
        f"SLOs: requests in {words}", "Below 8 of them no alert fires: too few say nothing.", COUNT,
        Query(f'headgate:slo_requests:increase{window}{{slo=~"$slo"}}', "{{slo}}"), width=QUARTER,
    )
    for window, words in _WINDOWS
    if window in ("1h", "6h", "1d", "3d")
)  # fmt: skip


def board() -> Board:
    """Written for who was paged by HeadgateSloBurnsFast."""
    return Board(
        "slo",
        "headgate-slo",
        "Headgate: SLOs and burn rates",
        "What is left of the error budgets, and how fast they burn.",
        (("Error budget", BUDGET), ("Burning", BURNING), ("How many requests that is", COUNTED)),
        (Choice("slo", "headgate:slo_budget:left", "SLO"),),
        "now-24h",
    )
