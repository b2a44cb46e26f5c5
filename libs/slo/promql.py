"""The little of PromQL that says which requests an SLO counts: one selector, perhaps within ``sum`` and ``rate``.

What can't be said of the samples that Headgate keeps is refused with the reason, never taken for something near it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from libs.slo.model import Matcher, Operator

REQUESTS = "http_requests_total"
DURATIONS = "http_request_duration_seconds"
SERIES = (REQUESTS, DURATIONS, f"{DURATIONS}_count", f"{DURATIONS}_bucket")
# Labels that are the same on every series of the edge: what names another value asks for other systems' series.
_FIXED = {"service": "gateway", "job": "headgate"}
_CALL = re.compile(r"(sum|rate|irate|increase)\s*\((.*)\)", re.DOTALL)
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*(?:\{(.*)\})?\s*(?:\[[^\[\]]*\])?", re.DOTALL)
_MATCHER = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`)\s*(,|$)', re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_UNLIKE_RE2 = re.compile(r"\(\?(?!:)|\\[1-9]|[*+?}]\+")
_ANSWERS = [str(status) for status in range(200, 600)]
_FAILED = {status for status in _ANSWERS if status >= "500"}


@dataclass(frozen=True, slots=True)
class Selected:
    """A selector's series. ``failed``: of which answers, True those from 500 on, False the others, None: all.

    ``le_ms``: of a bucket, its bound.
    """

    series: str
    matchers: tuple[Matcher, ...]
    failed: bool | None = None
    le_ms: float | None = None


def read_selector(text: str) -> Selected:
    """What a query selects. Raises ValueError saying what of it can't be counted here."""
    inner = text.strip()
    while call := _CALL.fullmatch(inner):
        inner = call[2].strip()
    if inner.startswith("histogram_quantile"):
        raise ValueError(
            "a percentile is one number for all requests, so no share of them is good; write a thresholdMetric of "
            f"{DURATIONS} with op: lt, value in seconds and target instead, which means the same"
        )
    found = _SELECTOR.fullmatch(inner)
    if found is None:
        raise ValueError(f"this is not one selector, also not within sum(rate(…[5m])): {_short(inner)}")
    series = found[1]
    if series not in SERIES:
        raise ValueError(
            f"{series} is not measured by Headgate; of its own API there are {REQUESTS} and {DURATIONS}. "
            "For other systems let Prometheus judge, and publish a probe (docs/probes.md)"
        )
    matchers, failed, le_ms = [], None, None
    for one in _matchers(found[2] or ""):
        if one.label == "status":
            failed = _failed(series, one)
        elif one.label == "le":
            le_ms = _bound(series, one)
        elif one.label in _FIXED:
            if not one.holds(_FIXED[one.label]):
                raise ValueError(f"{one} leaves no series of Headgate's API, whose {one.label} is {_FIXED[one.label]}")
        elif one.label in ("method", "route"):
            matchers.append(one)
        else:
            raise ValueError(f"samples are kept by method and route, so {one.label} can't be asked for")
    if series.endswith("_bucket") and le_ms is None:
        raise ValueError('a bucket needs its bound, such as le="0.45"')
    return Selected(series, tuple(sorted(matchers, key=str)), failed, le_ms)


def _matchers(text: str) -> list[Matcher]:
    found, place = [], 0
    while place < len(text.rstrip()):
        one = _MATCHER.match(text, place)
        if one is None:
            raise ValueError(f'this is no label matcher such as route="/api/gates": {_short(text[place:])}')
        operator: Operator = one[2]  # type: ignore[assignment]  # the pattern has no other
        value = one[3][1:-1] if one[3].startswith("`") else _unescaped(one[3][1:-1])
        if operator in ("=~", "!~"):
            _check_pattern(value)
        found.append(Matcher(one[1], operator, value))
        place = one.end()
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.DOTALL)


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern, re.ASCII)
    except re.error as error:
        raise ValueError(f"the pattern {_short(pattern)} can't be read: {error}") from None
    if _UNLIKE_RE2.search(pattern):
        raise ValueError(f"the pattern {_short(pattern)} holds what Prometheus does not know")


def _failed(series: str, one: Matcher) -> bool | None:
    if series != REQUESTS:
        raise ValueError(f"{series} has no label status; {REQUESTS} has")
    held = {status for status in _ANSWERS if one.holds(status)}
    if held == set(_ANSWERS):
        return None
    if held == _FAILED:
        return True
    if held == set(_ANSWERS) - _FAILED:
        return False
    raise ValueError(
        f'{one}: samples tell answers from 500 on and all others apart, no more; write status=~"5.." or status!~"5.."'
    )


def _bound(series: str, one: Matcher) -> float:
    if not series.endswith("_bucket") or one.operator != "=":
        raise ValueError(f'le belongs to {DURATIONS}_bucket, as le="0.45"')
    try:
        return float(one.value) * 1000
    except ValueError:
        raise ValueError(f"{one} is no number of seconds") from None


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}..."
