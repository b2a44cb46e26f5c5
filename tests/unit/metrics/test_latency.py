"""Histograms: exact counts of slow requests, estimates within a bucket, thresholds, two-window burn rate."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.common.cloudevents import decode
from libs.common.contracts.gateway.latency import (
    BOUNDS_MS,
    CRITICAL_MS,
    MAX_ROUTES,
    SLOW_MS,
    LatencySampled,
    latency_sampled,
)
from libs.common.latency import OTHER, LatencyRecorder
from services.metrics.domain import latency as rules
from services.metrics.domain.latency import Histogram
from services.metrics.domain.watched import EVERYTHING, watched

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def histogram(*durations_ms: float, errors: int = 0) -> Histogram:
    recorder = LatencyRecorder()
    for number, duration_ms in enumerate(durations_ms):
        recorder.record("GET", "/", 500 if number < errors else 200, duration_ms)
    sampled = recorder.sample(NOW)
    assert sampled is not None
    [route] = sampled.routes
    return Histogram(BOUNDS_MS, tuple(route.counts), route.error_count)


def test_limits_are_bounds() -> None:
    assert {SLOW_MS, CRITICAL_MS} <= set(BOUNDS_MS)
    assert (SLOW_MS, CRITICAL_MS) == (rules.WARNING_MS, rules.CRITICAL_MS)
    assert list(BOUNDS_MS) == sorted(set(BOUNDS_MS))


def test_slow_is_counted_exactly() -> None:
    one = histogram(449.999, 450, 450.001, 899.9, 900, 99_999)
    assert one.slow_count(450) == 5
    assert one.slow_count(900) == 2
    with pytest.raises(ValueError, match="not a bound"):
        one.slow_count(451)
    with pytest.raises(ValueError, match="not a bound"):
        one.slow_count(10**9)
    with pytest.raises(ValueError, match="counts"):
        Histogram((1.0,), (1,))


def test_percentiles_by_hand() -> None:
    one = Histogram((10.0, 20.0), (4, 4, 2))
    assert one.percentile_ms(20) == 5.0
    assert one.percentile_ms(50) == 12.5
    assert one.percentile_ms(80) == 20.0
    assert one.percentile_ms(99) == 20.0  # the open bucket: at least so long
    assert Histogram((10.0,), (0, 0)).percentile_ms(95) is None


def test_the_error_is_the_width_of_the_bucket() -> None:
    one = Histogram((10.0, 30.0), (4, 4, 2))
    assert [one.error_ms(percent) for percent in (20, 50, 99)] == [10, 20, None]  # the last bucket has no end
    assert Histogram((10.0,), (0, 0)).error_ms(95) is None
    spread = histogram(*[10.0] * 90, *[460.0] * 10)
    assert (spread.percentile_ms(95), spread.error_ms(95)) == (475, 50)


def test_routes_are_watched_by_their_templates() -> None:
    found = watched(("/api/gates/{gate}/runs", "GET /api/ops/*", "POST /api/signals"))
    for method, route, holds in (
        ("POST", "/api/gates/{gate}/runs", True), ("GET", "/api/gates/{gate}/runs", True),
        ("GET", "/api/gates/{gate}/runs/{run_id}", False), ("GET", "/api/ops/slo/{name}", True),
        ("POST", "/api/ops/x", False), ("GET", "/api/gatesX{gate}/runs", False),
    ):  # fmt: skip
        assert found.holds(method, route) is holds, (method, route)
    assert found.whole == (("POST", "/api/signals"),)
    assert EVERYTHING.holds("OTHER", "(other)")
    for wrong in ((), ("api/x",), ("FETCH /api",), ("/a b",), ("",), ("*",) * 201):
        with pytest.raises(ValueError, match=r"no route such as|patterns are watched"):
            watched(wrong)


@given(st.lists(st.floats(0, 29_999), min_size=1, max_size=200), st.sampled_from([50, 95, 99]))
def test_an_estimate_is_in_the_bucket_of_the_true_value(durations: list[float], percent: int) -> None:
    estimate = histogram(*durations).percentile_ms(percent)
    rank = max(-(-len(durations) * percent // 100), 1)
    true = sorted(durations)[rank - 1]
    above = next(bound for bound in BOUNDS_MS if true < bound)
    below = max((bound for bound in BOUNDS_MS if bound <= true), default=0.0)
    assert estimate is not None
    assert below <= estimate <= above
    error = histogram(*durations).error_ms(percent)
    assert error is not None
    assert abs(estimate - true) <= error


@pytest.mark.parametrize(
    ("durations", "status"),
    [
        ([10.0] * 8, "ok"),
        ([10.0] * 7, "no_data"),
        ([], "no_data"),
        ([460.0] * 7, "no_data"),
        ([449.0] * 100, "ok"),
        ([10.0] * 90 + [460.0] * 10, "warning"),
        ([450.0] * 8, "warning"),
        ([900.0] * 8, "critical"),
        ([10.0] * 96 + [5000.0] * 4, "ok"),
    ],
)
def test_status_goes_by_p95(durations: list[float], status: str) -> None:
    one = histogram(*durations) if durations else Histogram(BOUNDS_MS, (0,) * (len(BOUNDS_MS) + 1))
    assert rules.judge_latency(one).status == status


def test_burn_rate() -> None:
    assert rules.burn_rate(histogram(*[10.0] * 7)) is None
    assert rules.burn_rate(histogram(*[10.0] * 100)) == 0
    assert rules.burn_rate(histogram(*[10.0] * 100, errors=2)) == pytest.approx(2)
    assert rules.burn_rate(histogram(*[10.0] * 90, *[450.0] * 10)) == pytest.approx(2)
    assert rules.burn_rate(histogram(*[10.0] * 90, *[450.0] * 10, errors=50)) == pytest.approx(50)


@pytest.mark.parametrize(
    ("short", "long", "status"),
    [
        (0.0, 0.0, "ok"), (20.0, 1.9, "ok"), (1.9, 20.0, "ok"), (2.0, 2.0, "warning"), (20.0, 2.0, "warning"),
        (9.9, 20.0, "warning"), (10.0, 10.0, "critical"), (None, 20.0, "no_data"), (20.0, None, "no_data"),
        (None, None, "no_data"),
    ],
)  # fmt: skip
def test_both_windows_must_exceed(short: float | None, long: float | None, status: str) -> None:
    assert rules.judge_burn(short, long).status == status


def test_worst() -> None:
    assert rules.worst([]) == "no_data"
    assert rules.worst(["ok", "ok"]) == "ok"
    assert rules.worst(["ok", "no_data"]) == "no_data"
    assert rules.worst(["no_data", "warning", "ok"]) == "warning"
    assert rules.worst(["warning", "critical", "no_data"]) == "critical"


def test_recorder_starts_anew_after_each_drain() -> None:
    recorder = LatencyRecorder("gateway-1")
    assert recorder.sample(NOW) is None
    recorder.record("GET", "/api/gates", 503, 12)
    recorder.record("GET", "/api/gates", 499, -1)
    later = NOW + timedelta(seconds=10.5)
    payload = recorder.drain(later)
    assert payload is not None
    event = decode(payload)
    assert (event.type, event.source) == (latency_sampled.type, "/headgate/gateway")
    sampled = LatencySampled.model_validate(event.data)
    assert (sampled.window_started_at, sampled.window_s, sampled.instance) == (NOW, 10.5, "gateway-1")
    assert [(one.route, sum(one.counts), one.error_count) for one in sampled.routes] == [("/api/gates", 2, 1)]
    assert recorder.drain(later) is None


def test_recorder_is_bounded() -> None:
    recorder = LatencyRecorder()
    for number in range(1000):
        recorder.record("GET", f"/{number}" * 100, 200, random.random() * 1e6)
    sampled = recorder.sample(NOW)
    assert sampled is not None
    assert len(sampled.routes) == MAX_ROUTES
    assert sum(sum(one.counts) for one in sampled.routes) == 1000
    assert (sampled.routes[-1].method, sampled.routes[-1].route) == OTHER


@pytest.mark.parametrize(
    "changed",
    [{"bounds_ms": [1.0]}, {"routes": [{"counts": [1]}]}, {"routes": [{"error_count": 5}]},
     {"routes": [{"sum_ms": -1}]}, {"window_s": -1}, {"routes": [{}] * (MAX_ROUTES + 1)}],
)  # fmt: skip
def test_broken_samples_are_refused(changed: dict[str, Any]) -> None:
    route = {"method": "GET", "route": "/", "counts": [1] + [0] * len(BOUNDS_MS), "error_count": 0, "sum_ms": 1}
    document = {"instance": "a", "window_started_at": NOW, "window_s": 10, "bounds_ms": BOUNDS_MS, "routes": [route]}
    LatencySampled.model_validate(document)
    if "routes" in changed:
        changed = {"routes": [route | part for part in changed["routes"]]}
    with pytest.raises(ValidationError):
        LatencySampled.model_validate(document | changed)
