"""The metrics service on real servers: samples in, merged and judged, old ones pruned."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from libs.common.contracts.gateway.latency import latency_sampled
from libs.common.contracts.metrics.latency import api_latency
from libs.common.ids import uuid7
from libs.common.latency import LatencyRecorder
from services.metrics.service import SERVICE
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


async def test_samples_of_two_processes_are_merged_and_judged(stack: Stack) -> None:
    await stack.start(SERVICE)
    for _ in range(2):
        recorder = LatencyRecorder()
        record(recorder, 4, 12)
        record(recorder, 10, 1000, 500, route="/slow")
        record(recorder, 5, 1000, route="/api/ops/runbook/checks")  # takes long by nature: not in the burn rate
        await send(stack, recorder)
    await stack.idle("metrics")
    found = await asked(stack)
    _runbook, fast, slow = found["endpoints"]
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
