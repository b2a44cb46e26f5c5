"""Open failures: the same whatever the order and the grouping in which reports arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.judge import failures
from libs.judge.facts import OpenFailure, Seen
from libs.judge.failures import Mark, Shown, follow, shown_by, still_failing
from libs.judge.kinds import check_data
from libs.judge.test_ids import pack
from services.governance.domain.readers.junit import parse_junit
from tests.unit.governance.samples import NOW, case, fact, junit, junit_data

FAIL = "<failure/>"
TESTS = ("a", "b", "c")
STATES = st.dictionaries(st.sampled_from(TESTS), st.sampled_from(["passed", "failed"]))


@st.composite
def histories(draw: st.DrawFn) -> list[Shown]:
    """Reports of one part, some with one time; a third of them tells of failures that it does not name."""
    reports = []
    for number in range(draw(st.integers(1, 8))):
        states = draw(STATES)
        failing = frozenset(test for test, state in states.items() if state == "failed")
        passing = frozenset(states) - failing if draw(st.integers(0, 2)) else frozenset()
        reports.append(Shown((NOW + timedelta(seconds=draw(st.integers(0, 4))), number), failing, passing))
    return reports


def expected(reports: Sequence[Shown]) -> dict[str, Mark]:
    """The definition: a test is open if the last report that shows it at all shows it failing."""
    last: dict[str, tuple[Mark, bool]] = {}
    for report in sorted(reports, key=lambda one: one.mark):
        last |= dict.fromkeys(report.failing, (report.mark, True))
        last |= dict.fromkeys(report.passing, (report.mark, False))
    return {test: mark for test, (mark, failing) in last.items() if failing}


def passed(stored: Sequence[Shown]) -> dict[str, Mark]:
    """What the database says: for each test the newest report that shows it passing."""
    return {
        test: max(report.mark for report in stored if test in report.passing)
        for test in {test for report in stored for test in report.passing}
    }


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_any_order_and_grouping_of_arrival_leads_to_the_same(data: st.DataObject) -> None:
    history = data.draw(histories())
    arriving = data.draw(st.permutations(history))
    kept: dict[str, Mark] = {}
    stored: list[Shown] = []
    while arriving:
        size = data.draw(st.integers(1, len(arriving)))
        batch, arriving = arriving[:size], arriving[size:]
        stored += batch
        kept = follow(kept, batch, passed(stored))
        assert kept == expected(stored)


def test_what_a_report_shows() -> None:
    mark = (NOW, 1)
    assert shown_by(junit_data("a", failed=("b",), skipped=("c",)), mark) == Shown(mark, frozenset("b"), frozenset("a"))
    # One failure more than it names: it may be any of them.
    more: dict[str, Any] = {**junit_data("a", failed=("b",)), "errors": 1}
    assert shown_by(more, mark) == Shown(mark, frozenset("b"), frozenset())


def shown(*cases: str, attributes: str = "", number: int = 2) -> Shown:
    """What a JUnit report shows."""
    return shown_by(parse_junit(junit(*cases, attributes=attributes))[0].data, (NOW, number))


def test_failures_of_a_parsed_report_without_names() -> None:
    # The same test failing twice is one id and no secret; an announced failure that no element shows is one.
    twice = shown(case("a", "<failure/>"), case("a", "<failure/>"), case("b"))
    assert (twice.failing, twice.passing) == (frozenset({"t::a"}), frozenset({"t::b"}))
    hidden = shown(case("a"), case("b"), attributes='failures="1"')
    assert (hidden.failing, hidden.passing) == (frozenset(), frozenset())


def test_a_class_that_could_not_start_is_over_when_one_of_its_tests_passes() -> None:
    broken = shown('<testcase classname="a.B" name=""><error/></testcase>', case("x"), number=1)
    (nameless,) = broken.failing
    kept = follow({}, [broken], {})
    assert list(kept) == [nameless]
    assert follow(kept, [shown(case("x"))], {}) == kept  # the class was left out
    still = '<testcase classname="a.B" name="t"><failure/></testcase>'
    assert nameless in follow(kept, [shown(case("x"), still)], {})
    assert follow(kept, [shown('<testcase classname="a.B" name="t"/>', case("x"))], {}) == {}


def test_a_suite_that_could_not_start_is_over_when_a_test_in_it_passes() -> None:
    kept = follow({}, [shown("<error/>", number=1)], {})
    assert len(kept) == 1
    elsewhere = parse_junit(b'<testsuite name="other"><testcase classname="t" name="x"/></testsuite>')[0]
    assert follow(kept, [shown_by(elsewhere.data, (NOW, 2))], {}) == kept
    # Its tests have classes of their own, so their ids don't begin with the suite's name.
    assert follow(kept, [shown(case("x"))], {}) == {}


def test_very_large_reports_show_by_fingerprints() -> None:
    data: dict[str, Any] = {**junit_data("a"), "tests": [], "tests_packed": pack(["a", "b"]), "total": 2, "passed": 2}
    report = shown_by(data, (NOW, 2))
    assert follow({"a": (NOW, 1), "c": (NOW, 1)}, [report], {}) == {"c": (NOW, 1)}
    failing = shown_by({**data, "passed": 1, "failed": 1, "failed_tests": ["a"]}, (NOW, 2))
    assert follow({"a": (NOW, 1), "b": (NOW, 1)}, [failing], {}) == {"a": (NOW, 2)}


def test_beyond_the_bound_the_part_stays_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MAX_OPEN", 2)
    first = Shown((NOW, 1), frozenset("abc"), frozenset())
    kept = follow({}, [first], {})
    assert sorted(kept) == ["", "a", "b"]
    mended = Shown((NOW, 2), frozenset(), frozenset("abc"))
    assert follow(kept, [mended], {}) == {"": (NOW, 1)}


def test_sentences_say_where_it_was_last_seen() -> None:
    seen = Seen(7, NOW - timedelta(hours=3))
    one = replace(
        fact("test.junit", junit_data("x"), part="unit"),
        open_failures=(OpenFailure("b", seen), OpenFailure("", seen), OpenFailure("n" * 200, seen)),
    )
    found = still_failing([one], NOW)
    assert found["still_failing_count"] == 3
    assert found["still_failing"] == [
        "more tests than are kept: signal 7, report unit, 3 hours ago",
        "b: signal 7, report unit, 3 hours ago",
        "n" * 59 + "…: signal 7, report unit, 3 hours ago",
    ]


def on_hosts(number: int, **outcomes: str) -> Shown:
    """A report with one suite for each host, in which the test ``t::p`` passes or not."""
    suites = (
        f'<testsuite name="s" hostname="{host}">{case("p", inner)}</testsuite>' for host, inner in outcomes.items()
    )
    data = parse_junit(f"<testsuites>{''.join(suites)}</testsuites>".encode())[0].data
    assert check_data("test.junit", data) == []
    return shown_by(data, (NOW, number))


def test_a_browser_that_is_left_out_does_not_mend_its_own_failure() -> None:
    kept = follow({}, [on_hosts(1, firefox=FAIL, chromium="")], {})
    assert list(kept) == ["t::p [firefox]"]
    for left_out in (on_hosts(2, chromium=""), on_hosts(2, chromium="", webkit=""), shown(case("p"))):
        assert follow(kept, [left_out], {}) == kept
    assert "t::p [firefox]" in follow(kept, [on_hosts(2, firefox=FAIL)], {})
    assert follow(kept, [on_hosts(2, firefox="")], {}) == {}
    assert follow(kept, [on_hosts(2, firefox="", chromium="")], {}) == {}
    both = follow(kept, [on_hosts(2, firefox="", chromium=FAIL)], {})
    assert list(both) == ["t::p [chromium]"]


def test_a_test_on_one_machine_is_mended_on_any_other() -> None:
    kept = follow({}, [on_hosts(1, runner7=FAIL)], {})
    assert list(kept) == ["t::p"]
    assert follow(kept, [on_hosts(2, runner9="")], {}) == {}
    # A failure that was kept before hosts were told apart.
    assert follow(kept, [on_hosts(2, firefox="", chromium="")], {}) == {}
