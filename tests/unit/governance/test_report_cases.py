"""Reports that users sent, in small: what each must give stands in tests/reports/EXPECTED.tsv."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from libs.judge.facts import Fact, Facts
from libs.judge.kinds import check_data
from libs.judge.overrides import apply_overrides
from libs.judge.verdict import RuleResult, judge
from services.governance.domain.readers.reports import BadReport, ParsedSignal, parse_report
from tests.unit.governance.samples import NOW, RELEASE, fact, good_release, rule

FOLDER = Path(__file__).parents[2] / "reports"
with (FOLDER / "EXPECTED.tsv").open(encoding="utf-8") as lines:
    WANTED = {row["file"]: row["wanted"] for row in csv.DictReader(lines, delimiter="\t")}
RULES = {
    "test.junit": "tests_passed",
    "coverage.cobertura": "coverage_line",
    "scan.sarif": "sarif_no_new_high",
}


def read(file: str) -> ParsedSignal:
    format_ = file.split("-")[1].partition(".")[0]
    content = (FOLDER / file).read_bytes()
    (signal,) = parse_report(format_, content)
    with (FOLDER / file).open("rb") as opened:
        assert parse_report(format_, opened) == [signal]
    assert check_data(signal.kind, signal.data) == []
    return signal


def judged(signal: ParsedSignal, **settings: str) -> RuleResult:
    """The rule that reads the signal, in a release that is good but for it, compared with nothing."""
    current: list[Fact] = [one for one in good_release() if one.kind != signal.kind]
    current.append(fact(signal.kind, dict(signal.data), part="sent", version="1.0"))
    policy = apply_overrides(RELEASE, settings)
    return rule(judge(policy, Facts(tuple(current), (), None, "1.0"), NOW), RULES[signal.kind])


def keys(data: Any, *names: str) -> list[Any]:
    return [data[name] for name in names]


def test_every_case_has_a_test() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert sorted(WANTED) == sorted(path.name for path in FOLDER.iterdir() if path.suffix != ".tsv")
    assert [file for file in WANTED if f'"{file}"' not in text] == []


@pytest.mark.parametrize(
    ("file", "summary", "notes", "words"),
    [
        ("01-cobertura-doctype.xml", "1 of 2 lines, 50 %", [], "is 50 percent in the report sent"),
        (
            "02-cobertura-attributes-exceed-lines.xml",
            "2 of 3 lines, 66.66 %",
            ["The attributes claim 3 of 4 lines, the lines show 2 of 3; the worse of both counts."],
            "is 66.66 percent in the report sent",
        ),
        ("03-cobertura-nan-no-lines.xml", "no line of code", [], "The coverage report sent covers 0 lines of code"),
        (
            "04-cobertura-announces-far-more.xml",
            "900 of 1000 lines, 90 %; incomplete: 1000 lines are announced and 2 are there",
            ["The attributes claim 900 of 1000 lines, the lines show 2 of 2; the worse of both counts."],
            "The coverage report is incomplete: 1000 lines are announced and 2 are there in the report sent; wanted",
        ),
        (
            "05-junit-nameless-class-failure.xml",
            "1 test: 0 passed, 1 error (shop.CartTest::(nameless test 1))",
            [],
            "1 of 1 tests failed (shop.CartTest::(nameless test 1))",
        ),
        (
            "06-junit-more-elements-than-announced.xml",
            "3 tests: 3 passed",
            ["In suite 'shop' 2 tests are announced and 3 are there."],
            "",
        ),
        (
            "07-junit-failure-announced-as-error.xml",
            "2 tests: 1 passed, 1 failed (shop::b)",
            ["In suite 'shop' 0 failures and 1 error are announced; 1 failure and 0 errors are there."],
            "1 of 2 tests failed (shop::b)",
        ),
        (
            "08-junit-retried-in-place.xml",
            "1 test: 1 passed of which 1 flaky (failed, then passed: shop::a)",
            ["1 failed attempt stood before a passed one of the same test."],
            "1 tests are flaky: they failed and then passed (shop::a); wanted at most 0 flaky",
        ),
        (
            "09-junit-surefire-flaky.xml",
            "2 tests: 2 passed of which 1 flaky (failed, then passed: shop::a)",
            [],
            "1 tests are flaky: they failed and then passed (shop::a); wanted at most 0 flaky",
        ),
        ("10-junit-empty-attributes.xml", "1 test: 1 passed", [], ""),
        ("11-junit-doctype.xml", "1 test: 1 passed", [], ""),
        ("12-junit-ansi-colours.xml", "2 tests: 1 passed, 1 failed (shop::a)", [], "1 of 2 tests failed (shop::a)"),
        (
            "13-junit-announces-more-tests.xml",
            "2 tests: 2 passed; incomplete: 40 tests are announced and 2 are there",
            [],
            "The test report is incomplete: 40 tests are announced and 2 are there in the report sent; wanted a whole",
        ),
        (
            "14-junit-announces-a-failure-it-does-not-show.xml",
            "2 tests: 1 passed, 1 failed; incomplete: 1 failure is announced and 0 are there",
            [],
            "1 of 2 tests failed (1 that no element shows) and the test report is incomplete: 1 failure is announced",
        ),
        ("15-sarif-utf16.sarif", "1 finding: 1 high", [], "1 findings of level high or critical are new"),
    ],
)
def test_cases(file: str, summary: str, notes: list[str], words: str) -> None:
    signal = read(file)
    assert (signal.data["summary"], signal.data["notes"]) == (summary, notes)
    result = judged(signal)
    assert result.passed is not bool(words)
    assert words in result.message


def test_what_the_worse_reading_counts() -> None:
    data = read("02-cobertura-attributes-exceed-lines.xml").data
    assert keys(data, "lines_covered", "lines_valid", "line_rate_percent", "incomplete") == [2, 3, 66.66, []]
    data = read("14-junit-announces-a-failure-it-does-not-show.xml").data
    assert keys(data, "total", "passed", "failed", "failed_tests") == [2, 1, 1, []]


@pytest.mark.parametrize("file", ["08-junit-retried-in-place.xml", "09-junit-surefire-flaky.xml"])
def test_flaky_tests_pass_where_the_policy_allows_them(file: str) -> None:
    signal = read(file)
    assert keys(signal.data, "flaky", "flaky_tests", "failed_tests") == [1, ["shop::a"], []]
    assert judged(signal, MAX_FLAKY="1").passed is True


def test_an_internal_subset_that_declares_entities_is_never_read() -> None:
    with pytest.raises(BadReport, match="DOCTYPE declares entities or elements of its own, which are never read"):
        parse_report("junit", (FOLDER / "16-junit-entity.xml").read_bytes())
