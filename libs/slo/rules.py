"""Prometheus rules of the same SLOs: recorded error ratios of each window, and the alerts of the burn rates.

They ask for what the edge exports, by the same labels, windows, factors and bounds as Headgate judges by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from libs.slo.burn import MIN_SAMPLES, PAIRS, WINDOWS, Severity, window_text
from libs.slo.model import NEVER_COUNTED, Matcher, Objective
from libs.slo.promql import DURATIONS, REQUESTS

ERRORS, COUNTS, LEFT = "headgate:slo_errors:ratio_rate", "headgate:slo_requests:increase", "headgate:slo_budget:left"
ALERTS: dict[Severity, tuple[str, str]] = {
    "page": ("HeadgateSloBurnsFast", "critical"),
    "ticket": ("HeadgateSloBurnsSlowly", "warning"),
}
MEANING: dict[Severity, str] = {
    "page": "At this speed the error budget of the whole period is gone within days.",
    "ticket": "At this speed nothing of the error budget is left at the end of the period.",
}
# Where the gateway serves the guide, as in rules.yml; compose and the chart put their own address in its place.
RUNBOOKS = "http://127.0.0.1:8080/runbooks"
HEAD = """\
# Written by `make docs` from services/metrics/slos: change the SLOs, not this file. For a folder of your own say
# python -m deploy.slo_rules FOLDER > slo-rules.yml, and name that file under rule_files.
"""
_LONG_MINUTES = 1_440  # from a day on a window is asked for every five minutes: it hardly moves


def rules_text(objectives: Sequence[Objective]) -> str:
    """The rules file of these SLOs."""
    text = yaml.safe_dump({"groups": list(groups(objectives))}, sort_keys=False, allow_unicode=True, width=1_000)
    return HEAD + str(text)


def groups(objectives: Sequence[Objective]) -> Iterator[dict[str, Any]]:
    """Of each SLO a group of what is quick to ask for, with its alerts, and one of the long windows."""
    for one in objectives:
        quick = [minutes for minutes in WINDOWS if minutes < _LONG_MINUTES]
        slow = [minutes for minutes in WINDOWS if minutes >= _LONG_MINUTES]
        alerts = [_alert(one, severity) for severity in ALERTS]
        yield {"name": f"headgate-slo-{one.name}", "rules": [*_recorded(one, quick), *alerts]}
        long = [*_recorded(one, slow), *([_left(one)] if one.period.is_rolling else [])]
        yield {"name": f"headgate-slo-{one.name}-long", "interval": "5m", "rules": long}


def error_ratio(objective: Objective, window: str) -> str:
    """The share of bad requests in a window; no result without requests.

    Good ones are subtracted from all, since a series of errors is there only after the first one.
    """
    total, good = _total(objective, window), _good(objective, window)
    return f"1 - ({good} or 0 * {total}) / ({total} > 0)"


def _recorded(objective: Objective, windows: Sequence[int]) -> Iterator[dict[str, Any]]:
    for minutes in windows:
        window = window_text(minutes)
        yield {
            "record": f"{ERRORS}{window}",
            "expr": error_ratio(objective, window),
            "labels": {"slo": objective.name},
        }
        if minutes in {pair.long_minutes for pair in PAIRS}:
            count = f"{_total(objective, window)} * {minutes * 60}"
            yield {"record": f"{COUNTS}{window}", "expr": count, "labels": {"slo": objective.name}}


def _left(objective: Objective) -> dict[str, Any]:
    """What is left of the budget of the period, 1 is all; it needs a Prometheus that keeps so long."""
    seconds = int(objective.period.length.total_seconds())
    expr = f"1 - ({error_ratio(objective, f'{seconds}s')}) / {objective.budget:.12g}"
    return {"record": LEFT, "expr": expr, "labels": {"slo": objective.name, "period": objective.period.text}}


def _alert(objective: Objective, severity: Severity) -> dict[str, Any]:
    name, word = ALERTS[severity]
    chosen = f'{{slo="{objective.name}"}}'
    pairs = [pair for pair in PAIRS if pair.severity == severity]
    parts = []
    for pair in pairs:
        short, long = window_text(pair.short_minutes), window_text(pair.long_minutes)
        limit = f"{round(pair.factor * objective.budget, 12):.12g}"
        parts.append(
            f"({ERRORS}{short}{chosen} > {limit} and {ERRORS}{long}{chosen} > {limit} "
            f"and {COUNTS}{long}{chosen} >= {MIN_SAMPLES})"
        )
    factors = [(pair.factor, window_text(pair.short_minutes), window_text(pair.long_minutes)) for pair in pairs]
    said = " or ".join(f"{factor:g} times in {short} and {long}" for factor, short, long in factors)
    return {
        "alert": name,
        "expr": " or ".join(parts),
        "labels": {"severity": word, "slo": objective.name},
        "annotations": {
            "summary": f"{objective.title}: its error budget burns more than {said} as fast as allowed",
            "action": f"GET /api/ops/slo/{objective.name} says how much is left; GET /api/ops/performance/api-latency "
            "names the routes that fail or are slow.",
            "description": MEANING[severity],
            "runbook_url": f"{RUNBOOKS}#{name.lower()}",
        },
    }


def _total(objective: Objective, window: str) -> str:
    series = REQUESTS if objective.indicator.kind == "availability" else f"{DURATIONS}_count"
    return f"sum(rate({series}{{{_labels(objective)}}}[{window}]))"


def _good(objective: Objective, window: str) -> str:
    if objective.indicator.kind == "availability":
        return f'sum(rate({REQUESTS}{{{_labels(objective)},status!~"5.."}}[{window}]))'
    seconds = (objective.indicator.bound_ms or 0) / 1000
    # Exporters write a whole number of seconds as 3 or as 3.0.
    bound = f'le=~"{seconds:.12g}(\\\\.0)?"' if seconds == int(seconds) else f'le="{seconds:.12g}"'
    return f"sum(rate({DURATIONS}_bucket{{{_labels(objective)},{bound}}}[{window}]))"


def _labels(objective: Objective) -> str:
    fixed = [Matcher("service", "=", "gateway"), Matcher("route", "!~", "|".join(NEVER_COUNTED))]
    return ",".join(map(str, [*fixed, *objective.indicator.matchers]))
