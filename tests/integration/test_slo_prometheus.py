"""The same samples at a real Prometheus: the generated rules and our own sums agree on burn rates and on each firing.

`make outside` fetches Prometheus and runs this, too. Without one it is skipped.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from deploy import slo_rules
from deploy.embedded import free_port
from libs.common.series import DURATION_BUCKETS_S
from libs.slo.burn import PAIRS, window_text
from libs.slo.model import Objective
from libs.slo.rules import ALERTS, COUNTS, ERRORS, error_ratio, groups, rules_text
from services.metrics import rollups
from services.metrics.rollups import Told
from services.metrics.service import SERVICE
from services.metrics.slo import look
from services.metrics.startup import COMMON_BOUNDS_MS, packaged_slos
from tests.outside.tools import find
from tests.outside.tools import version as tools_version
from tests.stack import Stack

pytestmark = pytest.mark.integration
PROMETHEUS, PROMTOOL = find(["prometheus"]), find(["promtool"])
needs_prometheus = pytest.mark.skipif(not (PROMETHEUS and PROMTOOL), reason="prometheus and promtool are not on PATH")
OPEN_RANGES = bool(PROMETHEUS) and not tools_version(PROMETHEUS or "").startswith("2.")
SECONDS = {"m": 60, "h": 3_600, "d": 86_400}
MINUTES = 4 * 1440  # of samples
ROUTES = (("GET", "/api/me"), ("POST", "/api/gates/{gate}/runs"), ("GET", "/api/ops/preflight"))
SLOW_PLACE = {"quick": 5, "slow": 21, "stuck": 26}  # buckets of our histogram: 7.5 ms, 500 ms, 1.5 s


@dataclass(frozen=True)
class Minute:
    """What one replica answered on one route in a minute; of the failed ones none is slow."""

    quick: int
    slow: int = 0
    stuck: int = 0
    failed: int = 0


def story(minute: int, replica: int, route: str) -> Minute:
    """Four days: a calm one, a short outage, a long simmer of slow answers, an outage at the end; few gate runs."""
    if route == "/api/ops/preflight":
        return Minute(1, stuck=3)  # counted by nobody
    if route != "/api/me":
        return Minute(2 if minute % 2 else 1, slow=int(minute % 50 == 0), failed=2 * (5000 <= minute < 5030))
    if replica and minute < 2000:
        return Minute(0)  # a replica that is started later
    if 1500 <= minute < 1512:
        return Minute(10, failed=25)
    if 2600 <= minute < 3400:
        return Minute(16, slow=3, stuck=1)
    if minute >= MINUTES - 20:
        return Minute(5, failed=15)
    return Minute(20, failed=int(minute % 400 == 0))


@needs_prometheus
async def test_prometheus_and_we_agree_on_the_same_samples(stack: Stack, tmp_path: Path) -> None:
    running = await stack.start(SERVICE)
    end = (stack.clock() - timedelta(hours=2)).replace(second=0, microsecond=0)
    begin = end - timedelta(minutes=MINUTES)
    async with running.pool.acquire() as connection:
        for first in range(0, MINUTES, 500):
            numbers = range(first, min(first + 500, MINUTES))
            await rollups.add(connection, [told for number in numbers for told in samples(number, begin)])
    (tmp_path / "samples.txt").write_text("".join(open_metrics(begin)))
    fill(tmp_path)
    objectives = packaged_slos()
    fired: dict[tuple[str, str], list[int]] = {}
    compared = 0
    with serving(tmp_path) as http:
        for number in moments():
            now = begin + timedelta(minutes=number)
            for seen in await look(running.pool, objectives, now):
                compared += compare(http, seen.objective, {m: c for m, c in seen.windows.items() if m <= number}, now)
                for severity, (name, _) in ALERTS.items():
                    ours = any(fire for pair, fire in zip(PAIRS, seen.standing.firing, strict=True)
                               if pair.severity == severity)  # fmt: skip
                    theirs = bool(query(http, inlined(seen.objective, name), now))
                    assert ours is theirs, (seen.objective.name, severity, number)
                    if ours:
                        fired.setdefault((seen.objective.name, severity), []).append(number)
    assert compared > 600
    # The story is long enough that each kind of alert fires for some SLO and ends.
    assert {severity for _, severity in fired} == {"page", "ticket"}
    assert {"api-availability", "api-latency", "decision-availability"} <= {name for name, _ in fired}
    pages = fired["api-availability", "page"]
    assert 1512 in pages
    assert not {1440, 1600, 2500} & set(pages)
    assert MINUTES in pages


def moments() -> list[int]:
    """Minutes at which both are asked: around each turn of the story, and now and then between."""
    turns = {number + step for number in (1500, 1512, 2600, 3400, 5000, 5030) for step in (-1, 3, 12, 61)}
    return sorted({*turns, *range(480, MINUTES, 960), 1440, 1512, 1600, 2500, MINUTES - 4, MINUTES})


def samples(number: int, begin: datetime) -> Iterator[Told]:
    """As the gateways send them."""
    for replica in (0, 1):
        for method, route in ROUTES:
            one = story(number, replica, route)
            counts = [0] * 32
            counts[SLOW_PLACE["quick"]] = one.quick + one.failed
            counts[SLOW_PLACE["slow"]] = one.slow
            counts[SLOW_PLACE["stuck"]] = one.stuck
            yield Told(begin + timedelta(minutes=number + 1), method, route, counts, one.failed)


def open_metrics(begin: datetime) -> Iterator[str]:
    """As Prometheus would have scraped them each minute; replica 1 is restarted twice, and counts from 0 again."""
    series: dict[str, list[tuple[int, float]]] = {}
    for replica in (0, 1):
        for method, route in ROUTES:
            fixed = f'service="gateway",method="{method}",route="{route}",instance="{replica}"'
            held = more = Minute(0)
            for number in range(MINUTES + 1):
                if number:
                    more = story(number - 1, replica, route)
                    held = Minute(*(getattr(held, name) + getattr(more, name) for name in Minute.__annotations__))
                if replica and number in (2200, 5010):
                    held = more  # restarted at the last scrape
                at = int((begin + timedelta(minutes=number)).timestamp())
                total = held.quick + held.slow + held.stuck + held.failed
                for labels, value in (
                    (f'http_requests_total{{{fixed},status="200"}}', total - held.failed),
                    (f'http_requests_total{{{fixed},status="503"}}', held.failed),
                    (f'http_request_duration_seconds_bucket{{{fixed},le="0.45"}}', held.quick + held.failed),
                    (f'http_request_duration_seconds_bucket{{{fixed},le="0.9"}}', held.quick + held.failed + held.slow),
                    (f'http_request_duration_seconds_bucket{{{fixed},le="+Inf"}}', total),
                    (f"http_request_duration_seconds_count{{{fixed}}}", total),
                ):
                    series.setdefault(labels, []).append((at, value))
    yield "# TYPE http_requests counter\n"
    for name, points in series.items():
        if name.startswith("http_requests"):
            yield from (f"{name} {value} {at}\n" for at, value in points)
    yield "# TYPE http_request_duration_seconds histogram\n"
    for name, points in series.items():
        if not name.startswith("http_requests"):
            yield from (f"{name} {value} {at}\n" for at, value in points)
    yield "# EOF\n"


def fill(folder: Path) -> None:
    """Make series of the samples that lie there."""
    assert PROMTOOL is not None
    made = [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", "samples.txt", "series"]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)


@contextmanager
def serving(folder: Path) -> Iterator[httpx2.Client]:
    """A Prometheus over the samples that lie there."""
    (folder / "prometheus.yml").write_text("{}")
    address = f"127.0.0.1:{free_port()}"
    assert PROMETHEUS is not None
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROMETHEUS, "--config.file=prometheus.yml", "--storage.tsdb.path=series",
             "--storage.tsdb.retention.time=1y", "--query.lookback-delta=59s", f"--web.listen-address={address}"],
            cwd=folder, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            with httpx2.Client(base_url=f"http://{address}", timeout=30, trust_env=False) as http:
                for _ in range(300):
                    try:
                        if http.get("/-/ready").status_code == 200:
                            break
                    except httpx2.HTTPError:
                        pass
                    time.sleep(0.1)
                yield http
        finally:
            process.terminate()
            process.wait(20)


def query(http: httpx2.Client, expression: str, at: datetime) -> list[float]:
    """The values of an instant query."""
    body: Any = http.post("/api/v1/query", data={"query": expression, "time": str(at.timestamp())}).json()
    assert body["status"] == "success", (expression, body)
    return [float(one["value"][1]) for one in body["data"]["result"]]


def compare(http: httpx2.Client, objective: Objective, windows: Any, now: datetime) -> int:
    """Each window that the samples fill: the same share of bad requests, or none on both sides."""
    for minutes in windows:  # one that began before the samples is extrapolated there, and counted here
        found = query(http, closed(error_ratio(objective, window_text(minutes))), now)
        ours = windows[minutes].burn_rate(objective.budget)
        theirs = found[0] / objective.budget if found else None
        place = (objective.name, window_text(minutes), now)
        assert (ours is None) is (theirs is None), place
        if ours is not None:
            assert theirs == pytest.approx(ours, rel=1e-2 if OPEN_RANGES else 1e-6, abs=1e-9), place
    return len(windows)


def inlined(objective: Objective, alert: str) -> str:
    """The alert's expression with what its recorded series stand for."""
    every = [rule for group in groups([objective]) for rule in group["rules"]]
    (expression,) = [rule["expr"] for rule in every if rule.get("alert") == alert]
    for rule in every:
        if "record" in rule:
            expression = expression.replace(f'{rule["record"]}{{slo="{objective.name}"}}', f"({rule['expr']})")
    assert ERRORS not in expression
    assert COUNTS not in expression
    return closed(str(expression))


def closed(expression: str) -> str:
    """With the scrape at the very begin of each range: since version 3 that needs a range a second longer."""
    if OPEN_RANGES is False:
        return expression
    return re.sub(r"\[(\d+)([mhd])\]", lambda found: f"[{int(found[1]) * SECONDS[found[2]] + 1}s]", expression)


def test_the_committed_rules_are_those_of_the_shipped_slos() -> None:
    assert slo_rules.FILE.read_text(encoding="utf-8") == rules_text(packaged_slos()), "run `make docs` and commit"
    found = yaml.safe_load(slo_rules.FILE.read_text())["groups"]
    assert [group["name"] for group in found] == [
        f"headgate-slo-{one.name}{part}" for one in packaged_slos() for part in ("", "-long")
    ]
    prometheus = yaml.safe_load((slo_rules.FILE.parent / "prometheus.yml").read_text())
    assert slo_rules.FILE.name in prometheus["rule_files"]


def test_thresholds_are_bounds_of_both_histograms() -> None:
    assert {450, 900, 5, 10, 30_000} <= set(COMMON_BOUNDS_MS)
    assert all(bound / 1000 in DURATION_BUCKETS_S for bound in COMMON_BOUNDS_MS)
    for one in packaged_slos():
        assert one.indicator.bound_ms == one.indicator.threshold_ms  # the shipped ones have no error


def test_a_whole_number_of_seconds_is_found_as_exporters_write_it() -> None:
    one = next(one for one in packaged_slos() if one.name == "api-latency")
    text = error_ratio(replace(one, indicator=replace(one.indicator, bound_ms=5000.0)), "5m")
    assert r'le=~"5(\\.0)?"' in text
