"""SLOs on real servers: budgets and burn rates of what processes sampled, told when they change."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from structlog.testing import capture_logs

from libs.common.contracts.gateway.latency import BOUNDS_MS, latency_sampled
from libs.common.contracts.metrics.slo import SLO_JOB, get_slo, list_slos, slo_changed
from libs.common.latency import LatencyRecorder
from libs.common.runtime import StartError
from libs.slo.model import Objective
from libs.slo.openslo import read_files
from services.metrics.rollups import SELECT_SUMS, sums_since
from services.metrics.service import SERVICE, make_service
from services.metrics.startup import packaged_slos, read_slos
from tests.plans import generic_plan, nodes
from tests.stack import Stack
from tests.unit.slo.test_openslo import QUICK, RATIO, asking

pytestmark = pytest.mark.integration


async def send(stack: Stack, count: int, *, errors: int = 0, ms: float = 12, route: str = "/api/me") -> None:
    """A sample of one process: so many answers of the last ten seconds."""
    recorder = LatencyRecorder()
    for number in range(count):
        recorder.record("GET", route, 500 if number < errors else 200, ms)
    payload = recorder.drain(stack.clock())
    assert payload is not None
    await stack.bus.js.publish(stack.topology.telemetry_subject(latency_sampled.name), payload)


async def listed(stack: Stack) -> dict[str, Any]:
    """The SLOs by name."""
    answer = await stack.query(list_slos, {})
    assert answer.status == 200, answer
    return {one["name"]: one for one in answer.json["items"]}


async def checked(stack: Stack) -> list[tuple[str, str | None]]:
    """Let the job look; every status that was told of the API's availability so far, each with the one before."""
    await stack.idle("metrics")
    assert await stack.run_job("metrics", SLO_JOB)
    await stack.idle("metrics")
    await stack.bus.settle()
    told = [event.data for event in stack.events if event.type == slo_changed.type]
    return [(one["status"], one["was"]) for one in told if one["name"] == "api-availability"]


async def test_nothing_known_is_no_data_and_nothing_is_told(stack: Stack) -> None:
    await stack.start(SERVICE)
    answer = (await stack.query(list_slos, {})).json
    assert (answer["status"], answer["count"]) == ("no_data", len(packaged_slos()))
    assert {one["status"] for one in answer["items"]} == {"no_data"}
    assert {one["budget_left_percent"] for one in answer["items"]} == {None}
    assert await checked(stack) == []
    first = (await stack.query(get_slo, {"name": "api-latency"})).json["since"]
    stack.clock.advance(minutes=7)
    assert (await stack.query(get_slo, {"name": "api-latency"})).json["since"] == first
    missing = await stack.query(get_slo, {"name": "nobody"})
    assert (missing.status, "there are api-availability, api-latency" in missing.json["detail"]) == (404, True)


async def test_an_outage_pages_spends_the_budget_and_is_told_once(stack: Stack) -> None:
    stack.clock.now = stack.clock().replace(second=0, microsecond=0)  # windows hold whole minutes then
    await stack.start(SERVICE)
    for _ in range(60):  # an hour in which one request in five fails, at two processes
        stack.clock.advance(minutes=1)
        await send(stack, 10, errors=4)
        await send(stack, 10)
    before = stack.clock()
    assert await checked(stack) == [("page", None)]
    event = await stack.heard(slo_changed, lambda event: event.data["name"] == "api-availability")
    assert (event.data["target_percent"], event.data["budget_left_percent"]) == (99, pytest.approx(-1900))
    found = (await listed(stack))["api-availability"]
    burns = {one["window"]: (one["sample_count"], one["bad_count"], one["burn_rate"]) for one in found["windows"]}
    assert burns["5m"] == (100, 20, pytest.approx(20))
    assert burns["1h"] == burns["3d"] == (1200, 240, pytest.approx(20))
    assert [one["firing"] for one in found["alerts"]] == [True, True, True, True]
    assert (found["status"], found["good_percent"]) == ("page", pytest.approx(80))
    assert datetime.fromisoformat(found["since"]) == before
    assert await checked(stack) == [("page", None)]  # nothing new
    stack.clock.advance(minutes=6)
    for _ in range(6):
        await send(stack, 20)
    await checked(stack)
    # Five quiet minutes end the page of the short window; the longer pair still burns.
    found = (await listed(stack))["api-availability"]
    assert [one["firing"] for one in found["alerts"]][:2] == [False, True]
    assert datetime.fromisoformat(found["since"]) == before
    stack.clock.advance(minutes=45)
    await send(stack, 20)
    assert (await checked(stack))[1:] == [("spent", "page")]
    # Without requests for an hour nothing is ok, and the budget stays spent until the period is over.
    stack.clock.advance(days=31)
    assert (await checked(stack))[2:] == [("no_data", "spent")]


async def test_who_only_looks_whether_all_is_well_is_neither_good_nor_bad(stack: Stack) -> None:
    await stack.start(SERVICE)
    await send(stack, 200, route="/metrics")
    await send(stack, 100, route="/readyz", errors=100, ms=3000)
    await stack.idle("metrics")
    found = (await listed(stack)).values()
    assert {(one["status"], window["sample_count"]) for one in found for window in one["windows"]} == {("no_data", 0)}
    await send(stack, 20, errors=10)
    await stack.idle("metrics")
    windows = {one["window"]: one for one in (await listed(stack))["api-availability"]["windows"]}
    assert (windows["1h"]["sample_count"], windows["1h"]["burn_rate"]) == (20, pytest.approx(50))


async def test_slow_requests_count_from_the_bound_below(stack: Stack) -> None:
    slos = read_files({"a.yaml": QUICK.replace("0.5", "0.48").encode(), "b.yaml": RATIO.encode()}, BOUNDS_MS)
    await stack.start(make_service(slos))
    await send(stack, 90, route="/api/gates/{gate}/runs", ms=100)
    await send(stack, 10, route="/api/gates/{gate}/runs", ms=460)  # quick enough for the SLO, not for the bucket
    await send(stack, 50, ms=900)  # a route that this one does not count
    await stack.idle("metrics")
    quick = (await listed(stack))["quick"]
    assert (quick["threshold_ms"], quick["counted_threshold_ms"], quick["threshold_error_ms"]) == (480, 450, 30)
    assert (quick["sample_count"], quick["bad_count"], quick["period"]) == (100, 10, "30d")
    assert quick["windows"][0]["burn_rate"] == pytest.approx(2)
    assert quick["notes"]


async def test_a_restart_changes_no_answer_and_a_repeat_counts_once(stack: Stack) -> None:
    """Counters that begin anew, a service that ends, a message that comes twice: samples are what was counted."""
    await stack.start(SERVICE)
    await send(stack, 40, errors=1)
    stack.clock.advance(minutes=3)
    await send(stack, 60)  # another process, which counts from zero
    await stack.idle("metrics")
    before = await listed(stack)
    await stack.stop("metrics")
    recorder = LatencyRecorder()
    for _ in range(20):
        recorder.record("GET", "/api/me", 200, 5)
    payload = recorder.drain(stack.clock())
    assert payload is not None
    for _ in range(2):
        await stack.bus.js.publish(stack.topology.telemetry_subject(latency_sampled.name), payload)
    await stack.start(SERVICE)
    await stack.idle("metrics")
    after = await listed(stack)
    assert (before["api-availability"]["sample_count"], after["api-availability"]["sample_count"]) == (100, 120)
    assert after["api-availability"]["bad_count"] == before["api-availability"]["bad_count"] == 1


async def test_windows_are_those_of_the_samples_whatever_the_sums(stack: Stack) -> None:
    """Every window, at odd moments, against a count of the samples one by one."""
    running = await stack.start(SERVICE)
    stack.clock.advance(minutes=17, seconds=13)
    for step in (5, 61, 1800, 3599, 3601, 7_000, 50_000, 86_399, 100_000, 170_000, 5, 55, 3600):
        stack.clock.advance(seconds=step)
        await send(stack, step % 17 + 1, errors=step % 3)
    await stack.idle("metrics")
    now = stack.clock()
    moments = [now - timedelta(minutes=minutes) for minutes in (5, 30, 60, 120, 360, 1440, 4320)]
    moments += [now - timedelta(days=days) for days in (30, 90)]
    sums = await sums_since(running.pool, moments, now)
    for moment in moments:
        begin = moment.replace(second=0, microsecond=0)
        if now - moment > timedelta(days=3):
            begin = begin.replace(minute=0)
        (wanted,) = await running.pool.fetch(
            "SELECT coalesce(sum((SELECT sum(c) FROM unnest(counts) c)), 0)::int, coalesce(sum(error_count), 0)::int "
            "FROM latency_sample WHERE window_ended_at > $1 AND window_ended_at <= $2", begin, now,
        )  # fmt: skip
        found = sums[moment]
        assert (sum(sum(one.counts) for one in found), sum(one.error_count for one in found)) == tuple(wanted), moment


async def test_a_clock_that_is_set_back_finds_no_future(stack: Stack) -> None:
    await stack.start(SERVICE)
    stack.clock.advance(hours=5)
    await send(stack, 100, errors=100)
    await stack.idle("metrics")
    stack.clock.advance(hours=-2)
    await send(stack, 20)
    await stack.idle("metrics")
    found = (await listed(stack))["api-availability"]
    assert (found["sample_count"], found["bad_count"]) == (20, 0)


async def test_a_minute_that_has_not_begun_does_not_count(stack: Stack) -> None:
    stack.clock.now = stack.clock().replace(second=0, microsecond=0)
    await stack.start(SERVICE)
    await send(stack, 20)
    stack.clock.advance(seconds=30)
    await send(stack, 100, errors=100)
    await stack.idle("metrics")
    stack.clock.advance(seconds=-30)
    found = (await listed(stack))["api-availability"]
    assert (found["sample_count"], found["bad_count"]) == (20, 0)


async def test_sums_go_when_no_window_reaches_them(stack: Stack) -> None:
    running = await stack.start(SERVICE)
    await send(stack, 10)
    await stack.idle("metrics")
    stack.clock.advance(days=4)
    await stack.run_job("metrics", "prune_latency")
    assert await running.pool.fetchval("SELECT count(*) FROM latency_minute") == 0
    assert await running.pool.fetchval("SELECT count(*) FROM latency_hour") == 1
    stack.clock.advance(days=87)
    await stack.run_job("metrics", "prune_latency")
    assert await running.pool.fetchval("SELECT count(*) FROM latency_hour") == 0


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="HEADGATE_SLO_DIR: there is no folder"):
        read_slos(tmp_path / "none")
    with pytest.raises(StartError, match="holds no SLO"):
        read_slos(tmp_path)
    (tmp_path / "mine.yml").write_text(RATIO.replace("Occurrences", "Timeslices"))
    with pytest.raises(StartError, match=r"HEADGATE_SLO_DIR: mine\.yml, line 7: budgetingMethod"):
        read_slos(tmp_path)
    (tmp_path / "mine.yml").write_text(RATIO)
    found: tuple[Objective, ...] = read_slos(tmp_path)
    assert [one.name for one in found] == ["answers"]


async def test_one_that_is_never_measured_keeps_no_other_from_being_judged(stack: Stack, tmp_path: Path) -> None:
    """As after an upgrade, from when health was counted."""
    (tmp_path / "a.yml").write_text(asking('route="/readyz"', "health"))
    (tmp_path / "b.yml").write_text(asking('route=~"/api/.*"', "answers"))
    with capture_logs() as lines:
        found = read_slos(tmp_path)
    assert [(one["reason"].split(" (")[0], one["log_level"]) for one in lines] == [("health", "warning")]
    await stack.start(make_service(found))
    await send(stack, 100)
    await send(stack, 100, route="/readyz")
    await stack.idle("metrics")
    slos = await listed(stack)
    assert {name: (one["status"], one["sample_count"]) for name, one in slos.items()} == {
        "answers": ("ok", 100), "health": ("no_data", 0),
    }  # fmt: skip
    assert "never counted are /readyz: asked by who looks whether all is well" in slos["health"]["message"]


FILL = """
INSERT INTO metrics.latency_minute (minute, method, route, counts, error_count)
SELECT now() - n * interval '1 minute', 'GET', '/api/' || r, array_fill(1::bigint, ARRAY[32]), 0
FROM generate_series(0, 4500) AS n, generate_series(1, 10) AS r;
INSERT INTO metrics.latency_hour (hour, method, route, counts, error_count)
SELECT now() - n * interval '1 hour', 'GET', '/api/' || r, array_fill(1::bigint, ARRAY[32]), 0
FROM generate_series(0, 2160) AS n, generate_series(1, 10) AS r;
ANALYZE metrics.latency_minute; ANALYZE metrics.latency_hour
"""


async def test_sums_are_found_by_an_index(stack: Stack) -> None:
    admin = await stack.superuser()
    await admin.execute(FILL)
    await admin.close()
    url = stack.settings("metrics").database_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value(), server_settings={"search_path": "metrics"})
    await connection.execute("SET enable_seqscan = off")
    plan = nodes(await generic_plan(connection, SELECT_SUMS))
    await connection.close()
    tables = [node for node in plan if node.get("Relation Name") in ("latency_minute", "latency_hour")]
    assert len(tables) == 2
    assert [node for node in plan if "Seq Scan" in node["Node Type"]] == []
    bound = [node for node in plan if "Index Cond" in node]
    assert len(bound) == 2, orjson.dumps(plan)
