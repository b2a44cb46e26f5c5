"""An SLI as our samples can tell it: which requests count, and what makes one good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from libs.judge.policy_yaml import LinedDict
from libs.slo.errors import SloError
from libs.slo.model import Indicator
from libs.slo.promql import DURATIONS, REQUESTS, Selected, read_selector


@dataclass(frozen=True, slots=True)
class Indicated:
    """The spec of an SLI, and the file that it stands in."""

    spec: LinedDict
    file: str

    def refuse(self, why: str, line: int | None = None) -> NoReturn:
        """Raise `SloError` with the place."""
        raise SloError(f"{self.file}, line {line or self.spec.line}: {why}")


def indicator_of(sli: Indicated, objective: LinedDict, bounds_ms: Sequence[float]) -> Indicator:
    """The indicator, for an objective that may hold the threshold of it. Raises `SloError`."""
    given = [key for key in ("ratioMetric", "thresholdMetric") if key in sli.spec]
    if len(given) != 1:
        sli.refuse("one of ratioMetric and thresholdMetric must be there")
    metric = sli.spec[given[0]]
    if not isinstance(metric, LinedDict):
        sli.refuse(f"{given[0]} must be a mapping", sli.spec.lines[given[0]])
    if given[0] == "thresholdMetric":
        return _threshold(sli, metric, objective, bounds_ms)
    return _ratio(sli, metric, bounds_ms)


def _threshold(sli: Indicated, metric: LinedDict, objective: LinedDict, bounds_ms: Sequence[float]) -> Indicator:
    selected, line = _query(sli, metric, "thresholdMetric")
    if selected.series != DURATIONS:
        sli.refuse(f"a thresholdMetric compares {DURATIONS} with a value; {selected.series} is a count", line)
    if objective.get("op", "lte") not in ("lt", "lte"):
        sli.refuse("op must be lt or lte: slower is not better", objective.lines["op"])
    value = objective.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        sli.refuse("the objective of a thresholdMetric needs a value in seconds", objective.line)
    return _latency(sli, selected, float(value) * 1000, bounds_ms, line)


def _ratio(sli: Indicated, metric: LinedDict, bounds_ms: Sequence[float]) -> Indicator:
    if "raw" in metric:
        sli.refuse("a raw ratio is computed elsewhere; write good and total, or bad and total", metric.lines["raw"])
    if metric.get("counter", True) is not True:
        sli.refuse("counter must be true: samples are counts", metric.lines["counter"])
    sides = [key for key in ("good", "bad") if key in metric]
    if len(sides) != 1 or "total" not in metric:
        sli.refuse("a ratioMetric has total, and good or bad", metric.line)
    part, total = metric[sides[0]], metric["total"]
    if not isinstance(part, LinedDict) or not isinstance(total, LinedDict):
        sli.refuse(f"{sides[0]} and total must be mappings", metric.line)
    chosen, line = _query(sli, part, sides[0])
    whole, whole_line = _query(sli, total, "total")
    if whole.failed is not None or whole.le_ms is not None:
        sli.refuse("total must select all requests, whatever their status or duration", whole_line)
    if whole.matchers != chosen.matchers:
        sli.refuse(f"{sides[0]} and total must select the same requests; they differ beside status and le", line)
    if chosen.le_ms is not None:
        if sides[0] == "bad":
            sli.refuse("a bucket counts what was quick enough: that is good, not bad", line)
        return _latency(sli, chosen, chosen.le_ms, bounds_ms, line)
    if chosen.failed is not (sides[0] == "bad"):
        wanted = 'status=~"5.."' if sides[0] == "bad" else 'status!~"5.."'
        sli.refuse(f"{sides[0]} must say which requests are {sides[0]}: {REQUESTS}{{{wanted}}}", line)
    return Indicator("availability", chosen.matchers)


def _latency(
    sli: Indicated, selected: Selected, threshold_ms: float, bounds_ms: Sequence[float], line: int
) -> Indicator:
    """With the nearest bound that is not above the threshold: what lies between counts as slow, so we err safely."""
    below = [bound for bound in bounds_ms if bound <= threshold_ms * (1 + 1e-9)]
    if not below:
        sli.refuse(f"{threshold_ms:g} ms lies below the first bucket, which ends at {min(bounds_ms):g} ms", line)
    return Indicator("latency", selected.matchers, threshold_ms=round(threshold_ms, 6), bound_ms=max(below))


def _query(sli: Indicated, metric: LinedDict, what: str) -> tuple[Selected, int]:
    """What a metric's query selects, and in which line it stands."""
    source = metric.get("metricSource", metric)
    if not isinstance(source, LinedDict):
        sli.refuse(f"metricSource of {what} must be a mapping", metric.line)
    kind = source.get("type", "prometheus")
    if not isinstance(kind, str) or kind.lower() not in ("prometheus", "headgate"):
        sli.refuse(f"the type of {what} is {kind}; queries are read as those of Prometheus", source.lines.get("type"))
    spec = source.get("spec", source)
    if not isinstance(spec, LinedDict):
        sli.refuse(f"spec of {what} must be a mapping with query", source.line)
    key = next((key for key in ("query", "promql", "metricQuery") if key in spec), None)
    if key is None or not isinstance(spec[key], str):
        sli.refuse(f"{what} has no query, such as {REQUESTS}", spec.line or source.line)
    line = spec.lines[key]
    try:
        return read_selector(str(spec[key])), line
    except ValueError as error:
        sli.refuse(f"{what}: {error}", line)
