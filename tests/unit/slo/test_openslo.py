"""OpenSLO files as people write them are read; what can't be read or computed is refused with its place."""

from __future__ import annotations

import pytest

from libs.common.contracts.gateway.latency import BOUNDS_MS
from libs.slo.burn import WINDOWS, Count, judge
from libs.slo.errors import SloError
from libs.slo.model import WATCHING, Objective
from libs.slo.openslo import read_files
from services.metrics.startup import packaged_slos, unmeasured

RATIO = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: answers
spec:
  service: headgate
  budgetingMethod: Occurrences
  indicator:
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Prometheus
            spec:
              query: sum(rate(http_requests_total{status!~"5.."}[5m]))
        total:
          metricSource:
            type: Prometheus
            spec:
              query: sum(rate(http_requests_total[5m]))
  timeWindow:
    - duration: 28d
      isRolling: true
  objectives:
    - target: 0.999
"""
QUICK = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: quick, annotations: {headgate/subjects: "acme/shop, acme/api"}}
spec:
  service: headgate
  alertPolicies: [{alertPolicyRef: default}]
  indicator:
    thresholdMetric:
      metricSource: {type: prometheus, spec: {query: 'http_request_duration_seconds{route="/api/gates/{gate}/runs"}'}}
  objectives:
    - {op: lte, value: 0.5, targetPercent: 95}
"""


def read(*texts: str) -> tuple[Objective, ...]:
    return read_files({f"{number}.yaml": text.encode() for number, text in enumerate(texts)}, BOUNDS_MS)


def one(text: str) -> Objective:
    (found,) = read(text)
    return found


def test_the_shipped_ones_are_read() -> None:
    names = [one.name for one in packaged_slos()]
    assert names == ["api-availability", "api-latency", "decision-availability", "decision-latency"]
    runs = next(one for one in packaged_slos() if one.name == "decision-latency").indicator
    for method, route, counts in (
        ("POST", "/api/gates/{gate}/runs", True), ("POST", "/api/gates/{gate}/admit", True),
        ("POST", "/api/ops/governance/gate/run", True), ("GET", "/api/gates/{gate}/runs", False),
        ("POST", "/api/gates/{gate}/runs/{run_id}/override", False),
    ):  # fmt: skip
        assert runs.counts(method, route) is counts, route


def test_a_ratio_of_two_queries() -> None:
    found = one(RATIO)
    assert (found.target, found.period.text, found.indicator.kind) == (0.999, "28d", "availability")
    assert found.indicator.counts("GET", "/api/me")
    assert not found.indicator.counts("GET", "/api/events")  # a stream lasts as long as its reader likes
    for route in WATCHING:
        assert not found.indicator.counts("GET", route), route
    bad = RATIO.replace("good:", "bad:").replace("!~", "=~")
    assert one(bad).indicator == found.indicator


def test_a_threshold_counts_from_the_nearest_bound_below() -> None:
    found = one(QUICK.replace("0.5", "0.48"))
    assert (found.indicator.threshold_ms, found.indicator.bound_ms, found.target) == (480, 450, 0.95)
    assert found.subjects == ("acme/shop", "acme/api")
    assert "alertPolicies" in found.notes[0]
    assert found.period.text == "30d"  # where nothing is said
    assert one(QUICK).indicator.bound_ms == 500
    bucket = RATIO.replace('http_requests_total{status!~"5.."}', 'http_request_duration_seconds_bucket{le="0.9"}')
    assert one(bucket.replace("http_requests_total", "http_request_duration_seconds_count")).indicator.bound_ms == 900


def test_braces_quotes_and_patterns_in_a_query() -> None:
    query = """http_request_duration_seconds{ service='gateway' , route=~"/api/\\\\w+", method!="GET", }"""
    text = QUICK.replace("""'http_request_duration_seconds{route="/api/gates/{gate}/runs"}'""", repr(query))
    text = text.replace(repr(query), "'" + query.replace("'", "''") + "'")
    indicator = one(text).indicator
    assert indicator.counts("POST", "/api/gates")
    assert not indicator.counts("GET", "/api/gates")
    assert not indicator.counts("POST", "/api/gates/x")
    assert one(QUICK).indicator.counts("POST", "/api/gates/{gate}/runs")


def test_indicators_by_name_lists_and_several_documents() -> None:
    sli = """\
- apiVersion: openslo/v1
  kind: SLI
  metadata: {name: durations}
  spec: {thresholdMetric: {metricSource: {spec: {query: http_request_duration_seconds}}}}
- apiVersion: openslo/v1
  kind: AlertNotificationTarget
  metadata: {name: mail}
  spec: {target: email}
"""
    slo = """\
---
apiVersion: openslo/v1
kind: Service
metadata: {name: headgate}
spec: {}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: two}
spec:
  indicatorRef: durations
  timeWindow: [{duration: 1M, calendar: {startTime: 2026-01-01 00:00:00, timeZone: Asia/Seoul}, isRolling: false}]
  objectives: [{op: lt, value: 0.45, target: 0.95}, {op: lt, value: 3, target: 0.99, displayName: Rarely slow}]
"""
    found = read(slo, sli)
    assert [(one.name, one.title, one.indicator.bound_ms) for one in found] == [
        ("two-1", "two", 450), ("two-2", "Rarely slow", 3000),
    ]  # fmt: skip
    assert not found[0].period.is_rolling


def asking(matchers: str, name: str = "answers") -> str:
    """The SLO of requests with these labels."""
    text = RATIO.replace("{status", f"{{{matchers},status")
    text = text.replace("requests_total[", f"requests_total{{{matchers}}}[")
    return text.replace("name: answers", f"name: {name}")


@pytest.mark.parametrize(
    ("matchers", "routes", "only"),
    [
        ('route="/readyz"', ("/readyz",), True),
        ('route="/api/events"', ("/api/events",), True),
        ('route=~"/api/status"', ("/api/status",), True),
        ('route=~"/(healthz|readyz)"', ("/healthz", "/readyz"), True),
        ('route=~"/api/(status|me)"', ("/api/status",), False),
        ('route=~"/api/(status|me)",method="DELETE"', ("/api/status",), True),
        ('route=~"/api/(status|me)",route!="/api/status"', (), False),
        ('route!="/api/status"', (), False),  # names no route that it wants
        ('route="/api/statu"', (), False),
        ('method="GET"', (), False),
    ],
)
def test_what_asks_only_for_what_is_never_counted_says_so(matchers: str, routes: tuple[str, ...], only: bool) -> None:
    objectives = read(asking(matchers), asking('method="POST"', "others"))  # it does not keep others from being read
    found = objectives[0]
    assert found.indicator.never_counted == routes
    assert (
        (len(found.notes), all(route in found.notes[0] for route in routes)) == (1, True) if routes else not found.notes
    )
    assert unmeasured(objectives) == ([found] if only else [])
    nothing = judge(found, dict.fromkeys(WINDOWS, Count()), Count())
    assert nothing.status == "no_data"  # which is no pass
    assert ("Nothing was counted: never counted are" in nothing.message) is bool(routes)
    assert judge(found, dict.fromkeys(WINDOWS, Count(8)), Count(8)).status == "ok"  # what counts, counts


REFUSED = [
    ("openslo/v1\nkind: SLO", "openslo/v1alpha\nkind: SLO", "line 1: apiVersion is openslo/v1alpha; this"),
    ("kind: SLO", "kind: Slo", "line 2: kind is Slo; OpenSLO has SLO, SLI"),
    ("name: answers", "name: an swers", "the name 'an swers' is not"),
    ("Occurrences", "Timeslices", "line 7: budgetingMethod Timeslices is not computed"),
    ("counter: true", "counter: false", "line 11: counter must be true"),
    ("http_requests_total[5m]", "api_requests_total[5m]", "line 21: total: api_requests_total is not measured"),
    ('status!~"5.."', 'status=~"2.."', "line 16: good: .* samples tell answers from 500 on and all others apart"),
    ('status!~"5.."', 'status!~"5..",instance="a"', "kept by method and route, so instance can't be asked for"),
    ('status!~"5.."', 'status!~"5..",job="shop"', "whose job is headgate"),
    ('{status!~"5.."}', "", "good must say which requests are good"),
    ('status!~"5.."', 'status!~"5..",route="/x"', "good and total must select the same requests"),
    ('status!~"5.."', 'status!~"5..",route=~"a("', "can't be read"),
    ('status!~"5.."', 'status!~"5..",route=~"(?=a)"', "what Prometheus does not know"),
    ("http_requests_total[5m]", "http_requests_total[5m]) / sum(x", "not one selector"),
    ("type: Prometheus", "type: Datadog", "line 14: the type of good is Datadog"),
    ("target: 0.999", "target: 99.9", "line 26: target lies from 0 to below 1, so 99.9 is none; 99.9 is a targetPerc"),
    ("target: 0.999", "target: 1", "lies from 0 to below 1"),
    ("target: 0.999", "target: '0.999'", "line 26: target must be a number"),
    ("target: 0.999", "displayName: x", "one of target and targetPercent must be there"),
    ("target: 0.999", "target: 0.9\n      compositeWeight: 2", "line 27: composite SLOs are not computed"),
    ("duration: 28d", "duration: 1Y", "1Y is too long: sums are kept for 90 days"),
    ("duration: 28d", "duration: 28 days", "is no duration such as 30d"),
    ("duration: 28d", "duration: 5m", "an hour at the least"),
    ("isRolling: true", "isRolling: false", "needs calendar"),
    ("isRolling: true", "calendar: {startTime: 2026-01-01, timeZone: Mars/Base}", "no time zone"),
    ("    - target", "    - &a target", "anchors and aliases are not allowed"),
    ("ratioMetric", "rawMetric", "one of ratioMetric and thresholdMetric must be there"),
    ("good:", "raw:", "a raw ratio is computed elsewhere"),
    ("metadata:\n  name: answers", "metadata: answers", "metadata must be a mapping"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "why"), REFUSED, ids=[new[:30] for _, new, _ in REFUSED])
def test_what_is_refused_says_where_and_why(old: str, new: str, why: str) -> None:
    assert old in RATIO
    with pytest.raises(SloError, match=why) as refused:
        read(RATIO.replace(old, new, 1))
    assert str(refused.value).startswith("0.yaml, line "), str(refused.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (QUICK.replace("op: lte", "op: gt"), "op must be lt or lte"),
        (QUICK.replace("value: 0.5", "value: 0.0001"), "0.1 ms lies below the first bucket, which ends at 1 ms"),
        (QUICK.replace("value: 0.5, ", ""), "needs a value in seconds"),
        (QUICK.replace("http_request_duration_seconds{", "http_requests_total{"), "is a count"),
        (QUICK.replace("'http_request", "'histogram_quantile(0.9, http_request").replace("}'", "})'"), "a percentile"),
        (QUICK.replace("indicator:", "indicatorRef: nobody\n  other:"), "no SLI named nobody"),
        ("a: [", "1.yaml|0.yaml"),
        ("- 3", "an object of OpenSLO is a mapping"),
        ("", "no object of the kind SLO"),
    ],
)
def test_other_files_that_are_refused(text: str, why: str) -> None:
    with pytest.raises(SloError, match=why):
        read(text)


def test_two_of_one_name_and_too_many() -> None:
    with pytest.raises(SloError, match=r"the SLO answers stands in 0\.yaml, line 1, too"):
        read(RATIO, RATIO)
    with pytest.raises(SloError, match="51 objectives are too many"):
        read(*(RATIO.replace("answers", f"n{number}") for number in range(51)))
