"""k6's summary of a load test, as ``--summary-export`` and ``handleSummary`` (``JSON.stringify(data)``) write it.

Of a threshold the first writes whether it *failed* (a bare true is bad), the second an object that says whether it is
``ok``. A figure that is no number (a metric without a sample, NaN, Infinity as text) is null, with a note: a condition
that compares it fails.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from libs.judge.report_base import (
    DEFAULT_PART,
    JSON,
    MAX_COUNT,
    BadReport,
    ParsedSignal,
    Remarks,
    as_object,
    clean_text,
    counted,
)
from services.governance.domain.readers.report_json import read_json
from services.governance.domain.readers.report_text import Source

KIND = "perf.k6"
MAX_NAMED = 200
_DURATIONS = {
    "avg_ms": "avg",
    "med_ms": "med",
    "p90_ms": "p(90)",
    "p95_ms": "p(95)",
    "p99_ms": "p(99)",
    "max_ms": "max",
}


def parse_k6(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``perf.k6`` signal.

    Data: ``threshold_count, failed_threshold_count, failed_thresholds`` (``metric: expression``), ``iteration_count,
    request_count, check_failed_count, failed_request_percent`` (or null), ``avg_ms, med_ms, p90_ms, p95_ms, p99_ms,
    max_ms`` of a request (milliseconds or null), ``summary, notes, incomplete``. Raises BadReport.
    """
    source = Source(content, "k6")
    metrics = read_json(source).get("metrics")
    if not isinstance(metrics, Mapping) or not metrics:
        raise BadReport("The k6 summary has no metrics: write it with k6 run --summary-export=summary.json.")
    remarks = Remarks()
    if source.mixed:
        remarks.note("Some bytes are not in the encoding that the report declares; they were read as Windows-1252.")
    thresholds = list(_thresholds(metrics))
    failed = sorted(name for name, ok in thresholds if not ok)
    request = _values(metrics, "http_req_duration")
    durations = {key: _number(request, name, remarks) for key, name in _DURATIONS.items()}
    rate = _values(metrics, "http_req_failed")
    share = _number(rate, "rate" if "rate" in rate else "value", remarks)
    iterations = _count(_values(metrics, "iterations").get("count"))
    summary = f"{counted(iterations, 'iteration')}, {len(failed)} of {counted(len(thresholds), 'threshold')} failed"
    if failed:
        summary += f" ({', '.join(failed[:3])})"
    if not thresholds:
        remarks.note("The test has no thresholds, so it can't have missed one.")
    data: dict[str, JSON] = {
        "threshold_count": len(thresholds),
        "failed_threshold_count": len(failed),
        "failed_thresholds": list(failed[:MAX_NAMED]),
        "iteration_count": iterations,
        "request_count": _count(_values(metrics, "http_reqs").get("count")),
        "check_failed_count": _count(_values(metrics, "checks").get("fails")),
        "failed_request_percent": None if share is None or share > 1 else round(100 * share, 4),
        **durations,
        **remarks.data(summary),
    }
    return [ParsedSignal(KIND, DEFAULT_PART, data)]


def _values(metrics: Mapping[str, JSON], name: str) -> Mapping[str, JSON]:
    """A metric's figures, {} if there is none. In handleSummary they stand inside of ``values``."""
    metric = as_object(metrics.get(name), f"metrics.{name}")
    return as_object(metric["values"], f"metrics.{name}.values") if "values" in metric else metric


def _thresholds(metrics: Mapping[str, JSON]) -> Iterator[tuple[str, bool]]:
    for name, metric in metrics.items():
        where = f"metrics.{name}.thresholds"
        for expression, outcome in as_object(as_object(metric, f"metrics.{name}").get("thresholds"), where).items():
            told = outcome.get("ok") if isinstance(outcome, Mapping) else outcome
            if not isinstance(told, bool):
                raise BadReport(f"{clean_text(where, 200)} does not say whether {clean_text(expression, 100)!r} held.")
            yield clean_text(f"{name}: {expression}", 200), told if isinstance(outcome, Mapping) else not told


def _number(values: Mapping[str, JSON], name: str, remarks: Remarks) -> float | None:
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        remarks.note(f"The figure {name} is {clean_text(str(value), 40)}, which is no number of 0 or more.")
        return None
    return round(min(float(value), float(MAX_COUNT)), 4)


def _count(value: JSON) -> int:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return min(int(value), MAX_COUNT) if fits and isinstance(value, int | float) else 0
