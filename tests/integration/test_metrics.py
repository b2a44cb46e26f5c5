"""The metrics service on real servers: samples in, merged and judged, old ones pruned."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from libs.common.contracts.gateway.latency import latency_sampled
from libs.common.contracts.metrics.latency import api_latency
from libs.common.ids import uuid7
from libs.common.latency import LatencyRecorder
from services.metrics.domain.watched import watched
from services.metrics.service import SERVICE, make_service
from services.metrics.startup import packaged_slos
from tests.stack import Stack

pytestmark = pytest.mark.integration


async def send(stack: Stack, recorder: LatencyRecorder) -> None:
    payload = recorder.drain(stack.clock())
    assert payload is not None
    await stack.bus.js.publish(stack.topology.telemetry_subject(latency_sampled.name), payload)


def record(recorder: LatencyRecorder, count: int, duration_ms: float, status: int = 200, route: str = "/fast") -> None:
    for _ in range(count):
        recorder.record("GET", route, status, duration_ms)


async def asked(stack: Stack, **params: Any) -> dict[str, Any]:
    answer = await stack.query(api_latency, params)
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


async def test_nothing_known_is_no_data(stack: Stack) -> None:
    await stack.start(SERVICE)
    found = await asked(stack)
    assert (found["status"], found["endpoints"], found["burn_rate"]["status"]) == ("no_data", [], "no_data")
    assert found["burn_rate"]["long_burn_rate"] is None


async def test_the_facility_systems_flow_with_its_numbers(stack: Stack) -> None:
    """8 samples at the least, p95 from 450 and from 900 ms, two windows; and a restart changes no answer."""
    await stack.start(SERVICE)
    recorder = LatencyRecorder()
    for route, count, ms in (("/seven", 7, 20), ("/quick", 8, 449.9), ("/slow", 8, 450), ("/worst", 8, 900)):
        record(recorder, count, ms, route=route)
    record(recorder, 2, 20, 500, route="/quick")
    await send(stack, recorder)
    await stack.idle("metrics")
    found = await asked(stack)
    shown = {one["route"]: (one["sample_count"], one["status"], one["p95_error_ms"]) for one in found["endpoints"]}
    assert shown == {
        "/seven": (7, "no_data", 10),
        "/quick": (10, "ok", 50),
        "/slow": (8, "warning", 50),
        "/worst": (8, "critical", 300),
    }
    burn = found["burn_rate"]
    keys = ("short_window_minutes", "long_window_minutes", "error_slo_percent", "latency_slo_percent", "status")
    assert [burn[key] for key in keys] == [5, 60, 99, 95, "warning" if burn["short_burn_rate"] < 10 else "critical"]
    assert burn["short_burn_rate"] == pytest.approx(max(100 * 2 / 33 / 1, 100 * 16 / 33 / 5))
    await stack.stop("metrics")
    await stack.start(SERVICE)
    again = await asked(stack)
    assert {**again, "generated_at": 0} == {**found, "generated_at": 0}


async def test_of_watched_routes_goes_the_whole(stack: Stack) -> None:
    await stack.start(make_service(packaged_slos(), watched(("GET /fast", "POST /api/gates/{gate}/runs"))))
    recorder = LatencyRecorder()
    record(recorder, 50, 5)
    record(recorder, 3, 5000, route="/slow")
    await send(stack, recorder)
    await stack.idle("metrics")
    found = await asked(stack)
    assert [(one["endpoint_key"], one["watched"], one["status"]) for one in found["endpoints"]] == [
        ("GET /fast", True, "ok"), ("GET /slow", False, "no_data"), ("POST /api/gates/{gate}/runs", True, "no_data"),
    ]  # fmt: skip
    assert [one["last_sample_at"] is None for one in found["endpoints"]] == [False, False, True]
    assert found["status"] == "no_data"  # a route of the list that nobody asked


async def test_samples_of_two_processes_are_merged_and_judged(stack: Stack) -> None:
    await stack.start(SERVICE)
    for _ in range(2):
        recorder = LatencyRecorder()
        record(recorder, 4, 12)
        record(recorder, 10, 1000, 500, route="/slow")
        record(recorder, 5, 1000, route="/api/ops/runbook/checks")  # takes long by nature: not in the burn rate
        record(recorder, 40, 1, route="/metrics")  # nor a scraper, whose good answers would hide the others
        await send(stack, recorder)
    await stack.idle("metrics")
    found = await asked(stack)
    _runbook, fast, _metrics, slow = found["endpoints"]
    assert (fast["endpoint_key"], fast["sample_count"], fast["status"]) == ("GET /fast", 8, "ok")
    assert 10 <= fast["p50_ms"] <= fast["p95_ms"] <= 15
    assert (slow["sample_count"], slow["error_count"], slow["slow_count"], slow["status"]) == (20, 20, 20, "critical")
    burn = found["burn_rate"]
    assert (burn["short_sample_count"], burn["long_sample_count"], burn["status"]) == (28, 28, "critical")
    assert burn["short_burn_rate"] == pytest.approx(100 * 20 / 28)
    assert found["status"] == "critical"


async def test_an_outage_that_is_over_is_no_alarm(stack: Stack) -> None:
    await stack.start(SERVICE)
    recorder = LatencyRecorder()
    record(recorder, 50, 12, 500)
    await send(stack, recorder)
    stack.clock.advance(minutes=6)
    record(recorder, 50, 12)
    await send(stack, recorder)
    await stack.idle("metrics")
    burn = (await asked(stack))["burn_rate"]
    assert (burn["short_burn_rate"], burn["long_burn_rate"], burn["status"]) == (0, pytest.approx(50), "ok")
    assert [one["sample_count"] for one in (await asked(stack, window_minutes=5))["endpoints"]] == [50]
    stack.clock.advance(minutes=61)
    assert (await asked(stack))["status"] == "no_data"
    assert (await asked(stack, window_minutes=1440))["endpoints"][0]["sample_count"] == 100


async def test_a_repeat_counts_once_and_a_broken_sample_is_a_dead_letter(stack: Stack) -> None:
    running = await stack.start(SERVICE)
    recorder = LatencyRecorder()
    record(recorder, 8, 12)
    payload = recorder.drain(stack.clock())
    assert payload is not None
    subject = stack.topology.telemetry_subject(latency_sampled.name)
    broken = orjson.loads(payload)
    broken["id"] = str(uuid7())
    broken["data"]["bounds_ms"] = [1, 2, 3]
    for one in (payload, orjson.dumps(broken), payload):
        await stack.bus.js.publish(subject, one)
    await stack.idle("metrics")
    assert [one["sample_count"] for one in (await asked(stack))["endpoints"]] == [8]
    [letter] = await running.pool.fetch("SELECT reason FROM dead_letters")
    assert "bounds_ms" in letter["reason"]


async def test_a_clock_ahead_does_not_write_into_the_future(stack: Stack) -> None:
    running = await stack.start(SERVICE)
    recorder = LatencyRecorder()
    record(recorder, 8, 12)
    payload = recorder.drain(stack.clock() + timedelta(days=4000))
    assert payload is not None
    await stack.bus.js.publish(stack.topology.telemetry_subject(latency_sampled.name), payload)
    await stack.idle("metrics")
    assert await running.pool.fetchval("SELECT max(window_ended_at) FROM latency_sample") == stack.clock()
    assert (await asked(stack))["endpoints"][0]["sample_count"] == 8


async def test_old_samples_are_pruned(stack: Stack) -> None:
    running = await stack.start(SERVICE)
    recorder = LatencyRecorder()
    for _ in range(2):
        record(recorder, 8, 12)
        await send(stack, recorder)
        await stack.idle("metrics")
        stack.clock.advance(days=16)
    assert await stack.run_job("metrics", "prune_latency")
    assert await running.pool.fetchval("SELECT count(*) FROM latency_sample") == 1


@pytest.mark.parametrize("minutes", [4, 1441, "x"])
async def test_bad_windows_are_refused(stack: Stack, minutes: Any) -> None:
    await stack.start(SERVICE)
    assert (await stack.query(api_latency, {"window_minutes": minutes})).status == 422
