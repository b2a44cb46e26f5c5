"""Checkstyle and k6: what is read, and the totals that conditions see."""

from __future__ import annotations

import json
from typing import Any

import pytest

from libs.judge.derive import derive
from libs.judge.kinds import check_data
from services.governance.domain.readers import checkstyle
from services.governance.domain.readers.reports import BadReport, parse_report
from tests.unit.governance.samples import fact

STYLE = """<?xml version="1.0"?><checkstyle version="8.0"><file name="src/a.ts">
<error line="3" column="1" severity="error" message="Line 3 is too long" source="max-len"/>
<error line="9" severity="error" message="Line 9 is too long" source="max-len"/>
<error line="x" severity="warning" message="odd"/><error severity="ignore" message="never"/>
<error severity="boom" message="unknown"/></file></checkstyle>"""
EXPORT = {
    "metrics": {
        "http_req_duration": {"avg": 200.5, "med": 150, "max": 900, "p(90)": 300, "p(95)": 400,
                              "thresholds": {"p(95)<500": False, "max<800": True}},
        "http_req_failed": {"value": 0.0125},
        "http_reqs": {"count": 80, "rate": 1.5},
        "iterations": {"count": 40},
        "checks": {"passes": 78, "fails": 2},
    }
}  # fmt: skip
SUMMARY = {
    "metrics": {
        "http_req_duration": {"type": "trend", "values": {"avg": 1, "p(95)": 400, "p(99)": "NaN"},
                              "thresholds": {"p(95)<500": {"ok": True}, "p(99)<9": {"ok": False}}},
        "http_req_failed": {"type": "rate", "values": {"rate": 0.5}},
        "iterations": {"type": "counter", "values": {"count": 3}},
    }
}  # fmt: skip


def read(name: str, content: Any) -> dict[str, Any]:
    raw = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    (signal,) = parse_report(name, raw)
    assert check_data(signal.kind, signal.data) == []
    return dict(signal.data)


def test_findings_of_checkstyle() -> None:
    data = read("checkstyle", STYLE)
    assert data["summary"] == "4 findings: 3 error, 1 warning"
    assert (data["error_count"], data["warning_count"], data["info_count"], data["files"]) == (3, 1, 0, 1)
    assert data["notes"] == ["The severity 'boom' is not one of error, warning and info; it counts as error."]
    assert len({one["fingerprint"] for one in data["findings"]}) == 4  # equal texts are told apart by their number
    moved = read("checkstyle", STYLE.replace("Line 3", "Line 5").replace('line="3"', 'line="5"'))
    assert {one["fingerprint"] for one in moved["findings"]} == {one["fingerprint"] for one in data["findings"]}
    assert read("checkstyle", "<checkstyle/>")["summary"] == "0 findings"


def test_new_errors_of_checkstyle() -> None:
    now = fact("lint.findings", read("checkstyle", STYLE))
    before = fact("lint.findings", read("checkstyle", STYLE.replace('severity="boom"', 'severity="info"')))
    values = derive("lint.findings", [now], [before], {})
    assert (values["new_error_count"], values["new_errors"]) == (1, ["unnamed rule in src/a.ts:?"])
    assert derive("lint.findings", [now], [], {})["new_error_count"] == 3


def test_very_many_errors_are_kept_as_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkstyle, "MAX_ERRORS", 1)
    many = fact("lint.findings", read("checkstyle", STYLE))
    assert len(many.data["findings"]) == 2  # type: ignore[index, arg-type, call-overload]
    assert derive("lint.findings", [many], [many], {})["new_error_count"] == 0
    assert derive("lint.findings", [many], [], {})["new_error_count"] == 3


def test_a_bare_true_of_k6_is_a_failed_threshold() -> None:
    data = read("k6", EXPORT)
    assert (data["threshold_count"], data["failed_thresholds"]) == (2, ["http_req_duration: max<800"])
    assert data["summary"] == "40 iterations, 1 of 2 thresholds failed (http_req_duration: max<800)"
    assert (data["p95_ms"], data["p99_ms"], data["failed_request_percent"]) == (400.0, None, 1.25)
    assert (data["request_count"], data["check_failed_count"]) == (80, 2)


def test_an_object_of_k6_says_whether_it_is_ok() -> None:
    data = read("k6", SUMMARY)
    assert (data["threshold_count"], data["failed_thresholds"]) == (2, ["http_req_duration: p(99)<9"])
    assert (data["p99_ms"], data["failed_request_percent"]) == (None, 50.0)
    assert data["notes"] == ["The figure p(99) is NaN, which is no number of 0 or more."]


def test_totals_of_load_tests() -> None:
    values = derive(
        "perf.k6", [fact("perf.k6", read("k6", EXPORT)), fact("perf.k6", read("k6", SUMMARY), part="b")], [], {}
    )
    assert (values["failed_threshold_count"], values["slowest_p95_ms"], values["empty_parts"]) == (2, 400.0, [])
    nothing = fact("perf.k6", read("k6", {"metrics": {"iterations": {"count": 0}}}))
    values = derive("perf.k6", [nothing], [], {})
    assert (values["empty_parts"], values["slowest_p95_ms"], values["threshold_count"]) == (["default"], None, 0)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("k6", {}, "has no metrics"),
        ("k6", {"metrics": {"a": {"thresholds": {"x": "yes"}}}}, "does not say whether 'x' held"),
        ("k6", '{"metrics":{"http_req_duration":{"avg":NaN}}}', "holds NaN, which is not JSON"),
        ("checkstyle", "<pmd/>", "begins with <checkstyle>"),
        ("junit", STYLE, "send it as checkstyle"),
        ("sarif", SUMMARY, "send it as k6"),
    ],
)
def test_what_is_refused(name: str, content: Any, words: str) -> None:
    with pytest.raises(BadReport) as raised:
        read(name, content)
    assert words in raised.value.message
