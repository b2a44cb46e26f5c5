"""However long the texts and lists of valid facts are, a verdict stays small enough to be stored and told."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from libs.common.topology import MAX_PAYLOAD_BYTES
from libs.judge.derive import derive
from libs.judge.facts import MAX_PARTS, Fact, Facts
from libs.judge.kinds import check_data
from libs.judge.test_ids import pack
from libs.judge.totals import MAX_NAME_CHARS, NAMED
from libs.judge.verdict import judge
from services.governance.domain.readers.reports import parse_report
from services.governance.gate import _entries, rules_of
from tests.unit.governance.samples import (
    NOW,
    OPERATIONS,
    RELEASE,
    coverage_data,
    fact,
    finding,
    good_release,
    junit_data,
    operations_facts,
    rule,
    scan_data,
    watchdog,
)

MAX_RUN_BYTES = 200_000
LONG = "\x01" * 499  # six bytes each in JSON


def _part(number: int, letter: str) -> str:
    return f"{letter}{number:03}".ljust(80, letter)


def _scan(number: int, letter: str) -> Fact:
    severe = [{**finding(f"{number}-{n}"), "rule_id": f"{n}{LONG}", "path": f"{n}{LONG}"} for n in range(9)]
    return fact("scan.sarif", scan_data(*severe, finished=False), part=_part(number, letter), version="1.0")


def _tests(number: int, letter: str) -> Fact:
    names = tuple(f"{letter}{n}{LONG[:-1]}" for n in range(9))
    data = junit_data(failed=names) if number % 2 else junit_data(*names)
    return fact("test.junit", data, part=_part(number, letter), version="1.0")


def _coverage(number: int, letter: str) -> Fact:
    return fact("coverage.cobertura", coverage_data(0, 0), part=_part(number, letter), version="1.0")


def _alerts(number: int) -> Fact:
    alerts = [{"name": f"{n}{LONG}", "status": "firing", "severity": "critical"} for n in range(9)]
    return fact("alert.alertmanager", {**watchdog().data, "alerts": alerts}, part=_part(number, "g"))  # type: ignore[dict-item]


def test_the_worst_valid_facts_give_a_small_run() -> None:
    current = [make(n, "c") for make in (_scan, _tests, _coverage) for n in range(MAX_PARTS)]
    current += [_alerts(n) for n in range(MAX_PARTS)]
    baseline = [make(n, "b") for make in (_scan, _tests, _coverage) for n in range(MAX_PARTS)]
    assert all(check_data(one.kind, one.data) == [] for one in [*current, *baseline])
    verdict = judge(RELEASE, Facts(tuple(current), tuple(baseline), 7, "1.0"), NOW)
    assert verdict.summary.failure_count == 4
    assert rule(verdict, "tests_passed").detail["vanished_count"] > 0
    told = orjson.dumps([[rule.model_dump(mode="json") for rule in rules_of(verdict)], verdict.reasons])
    assert len(told) < MAX_RUN_BYTES
    assert all(len(one.facts_used) == MAX_PARTS for one in verdict.rules)


def test_long_words_of_operations_give_a_small_run() -> None:
    words: dict[str, Any] = {"current_checklist_version": "a" + LONG, "latest_checklist_version": "b" + LONG}
    facts = operations_facts(security={"risk_level": "x" + LONG}, deploy_smoke=words)
    assert all(check_data(one.kind, one.data) == [] for one in facts.current)
    verdict = judge(OPERATIONS, facts, NOW)
    assert not rule(verdict, "deploy_smoke_binding_recent").passed
    assert (
        len(orjson.dumps([[rule.model_dump(mode="json") for rule in rules_of(verdict)], verdict.reasons]))
        < MAX_RUN_BYTES
    )


@pytest.mark.parametrize(
    ("one", "key"),
    [(_scan(1, "c"), "new_severe"), (_tests(1, "c"), "failed_tests"), (_alerts(1), "critical_names")],
)
def test_names_are_cut_with_an_ellipsis(one: Fact, key: str) -> None:
    names = derive(one.kind, [one], [fact(one.kind, scan_data())] if key == "new_severe" else [], {})[key]
    assert len(names) == NAMED
    assert all("…" in name and len(name) <= 2 * MAX_NAME_CHARS + 20 for name in names)


def test_more_facts_than_parts_are_not_all_listed() -> None:
    good = [one for one in good_release() if one.kind != "coverage.cobertura"]
    many = [fact("coverage.cobertura", coverage_data(9, 10), part=f"p{n}", version="1.0") for n in range(MAX_PARTS + 9)]
    verdict = judge(RELEASE, Facts((*good, *many), (), None, "1.0"), NOW)
    assert len(rule(verdict, "coverage_line").facts_used) == MAX_PARTS + 9
    assert max(len(one.facts_used) for one in rules_of(verdict)) == MAX_PARTS


@pytest.mark.parametrize("inner", ["", "<failure/>", "<flakyFailure/>"])
@pytest.mark.parametrize("hosts", [("",), ("firefox", "chromium", "webkit")])
def test_a_signal_of_very_many_long_names_can_be_shown(inner: str, hosts: tuple[str, ...]) -> None:
    name = "결제가 &quot;두 번&quot; 되지 않는다 " * 4
    cases = "".join(f"<testcase classname='반{n}' name='{name}{n}'>{inner}</testcase>" for n in range(30_000))
    suites = "".join(f"<testsuite hostname='{host}'>{cases}</testsuite>" for host in hosts)
    (signal,) = parse_report("junit", f"<testsuites>{suites}</testsuites>".encode())
    assert check_data("test.junit", signal.data) == []
    assert len(orjson.dumps(signal.data)) < MAX_PAYLOAD_BYTES - 64 * 1024
    named, count = signal.data["failed_tests"], signal.data["failed"]
    assert isinstance(named, list)
    assert len(named) + signal.data["unnamed_failures"] == count  # type: ignore[operator]


def test_fingerprints_count_as_what_they_stand_for() -> None:
    tests = {**junit_data(), "total": 9, "passed": 9, "tests_packed": pack(f"t{n}" for n in range(9))}
    scan = {**scan_data(finding("a")), "severe_packed": pack("abc")}
    both = (fact("test.junit", tests), fact("scan.sarif", scan))
    assert _entries(Facts(both, (), None, "1.0")) == 9 + 3 + 1
