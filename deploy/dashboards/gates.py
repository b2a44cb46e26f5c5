"""Gates and the remediation board, for the people who release."""

from __future__ import annotations

from deploy.dashboards.pages import BOARD_OF_GATE, GATE, ITEMS, LATE, NEWEST
from deploy.dashboards.parts import COUNT, SHARE, Board, Choice, Query, graph, number

_DECISIONS = 'headgate_gate_decisions_total{gate=~"$gate"}'
_OPEN = 'max by (gate, status) (headgate_open_items{gate=~"$gate"})'
_OVERDUE = 'max by (gate) (headgate_overdue_items{gate=~"$gate"})'

VERDICTS = (
    number(
        "GO in 24 hours", "Verdicts that were GO in the last day.", COUNT,
        Query(
            'sum(increase(headgate_gate_decisions_total{decision="go", gate=~"$gate"}[24h])) or vector(0)', "GO"
        ),
        pages=(NEWEST,),
    ),
    number(
        "NO-GO in 24 hours", "Verdicts that were NO-GO in the last day.", COUNT,
        Query(
            'sum(increase(headgate_gate_decisions_total{decision="no_go", gate=~"$gate"}[24h])) or vector(0)', "NO-GO"
        ),
        pages=(NEWEST,), bad_from=1,
    ),
    number(
        "Open items", "Active remediation items, over all sites.", COUNT, Query(f"sum({_OPEN}) or vector(0)", "open"),
        pages=(ITEMS,),
    ),
    number(
        "Overdue items", "Active items past their due time, over all sites.", COUNT,
        Query(f"sum({_OVERDUE}) or vector(0)", "overdue"), pages=(LATE,), bad_from=1,
    ),
    graph(
        "Verdicts in the last hour", "By gate. One that was rolled back and done again counts twice.", COUNT,
        Query(f"sum by (gate, decision) (increase({_DECISIONS}[1h]))", "{{gate}} {{decision}}"),
        leads=(GATE,),
    ),
    graph(
        "Share of GO in a day", "Of the verdicts of the last 24 hours; no line where there were none.", SHARE,
        Query(
            f'sum by (gate) (increase(headgate_gate_decisions_total{{decision="go", gate=~"$gate"}}[24h])) '
            f"/ (sum by (gate) (increase({_DECISIONS}[24h])) > 0)",
            "{{gate}}",
        ),
        leads=(GATE,),
    ),
)  # fmt: skip

BOARD = (
    graph(
        "Open remediation items", "Active items by gate and status, over all sites.", COUNT,
        Query(_OPEN, "{{gate}} {{status}}"), pages=(ITEMS,), leads=(BOARD_OF_GATE,),
    ),
    graph(
        "Overdue remediation items", "Active items past their due time, by gate.", COUNT,
        Query(_OVERDUE, "{{gate}} overdue"), pages=(LATE,), leads=(BOARD_OF_GATE,),
    ),
    graph(
        "Requests for approval", "Of waivers and baselines: asked and decided in the last hour, over all sites.", COUNT,
        Query("sum by (status) (increase(approval_requests_total[1h]))", "{{status}}"),
    ),
)  # fmt: skip


def board() -> Board:
    """May we release, and if not, how much is left to do."""
    return Board(
        "gates",
        "headgate-gates",
        "Headgate: gates and boards",
        "May we release, and if not, how much is left to do.",
        (("Verdicts", VERDICTS), ("What is left to do", BOARD)),
        (Choice("gate", "headgate_gate_decisions_total", "Gate"),),
        "now-24h",
    )
