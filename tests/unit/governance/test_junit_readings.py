"""JUnit XML whose attributes, names, retries and letters are not what one would wish."""

from __future__ import annotations

import io
from typing import Any

import pytest

from libs.judge import test_ids
from libs.judge.kinds import check_data
from libs.judge.test_ids import fingerprint, is_nameless, owner_of, prints
from services.governance.domain.readers import tests_read
from services.governance.domain.readers.reports import parse_report
from tests.unit.governance.samples import case, junit

FAIL, ERROR, SKIP = '<failure message="no"/>', "<error/>", "<skipped/>"


def parse(content: bytes) -> dict[str, Any]:
    (signal,) = parse_report("junit", content)
    assert check_data(signal.kind, signal.data) == []
    return dict(signal.data)


def counts(data: dict[str, Any]) -> tuple[int, ...]:
    return tuple(data[key] for key in ("total", "passed", "failed", "errors", "skipped", "flaky"))


@pytest.mark.parametrize(
    ("runs", "expected", "failing", "flaky"),
    [
        ([FAIL, ""], (1, 1, 0, 0, 0, 1), False, True),
        ([ERROR, FAIL, ""], (1, 1, 0, 0, 0, 1), False, True),
        (["", FAIL], (2, 1, 1, 0, 0, 0), True, False),
        ([FAIL, "", FAIL], (2, 1, 1, 0, 0, 0), True, False),
        ([FAIL, FAIL], (2, 0, 2, 0, 0, 0), True, False),
        ([FAIL, SKIP], (2, 0, 1, 0, 1, 0), True, False),
        (["", ""], (2, 2, 0, 0, 0, 0), False, False),
        ([FAIL, "", ""], (2, 2, 0, 0, 0, 1), False, True),
        (["<flakyError/>"], (1, 1, 0, 0, 0, 1), False, True),
        (["<flakyFailure/>", FAIL], (2, 1, 1, 0, 0, 0), True, False),
        ([FAIL + "<rerunFailure/>"], (1, 0, 1, 0, 0, 0), True, False),
        (["<rerunError/>"], (1, 0, 1, 0, 0, 0), True, False),
    ],
)
def test_runs_of_one_test(runs: list[str], expected: tuple[int, ...], failing: bool, flaky: bool) -> None:
    data = parse(junit(*(case("x", inner) for inner in runs)))
    assert counts(data) == expected
    assert data["failed_tests"] == (["t::x"] if failing else [])
    assert data["flaky_tests"] == (["t::x"] if flaky else [])
    assert data["tests"] == ["t::x"]


def test_a_retry_in_a_later_suite_is_one_and_another_host_is_not() -> None:
    def suite(inner: str, host: str = "") -> str:
        return f'<testsuite name="s" hostname="{host}">{case("x", inner)}</testsuite>'

    again = parse(f"<testsuites>{suite(FAIL)}{suite('')}</testsuites>".encode())
    assert (again["flaky_tests"], again["failed_tests"]) == (["t::x"], [])
    browsers = parse(f"<testsuites>{suite(FAIL, 'firefox')}{suite('', 'chrome')}</testsuites>".encode())
    assert (browsers["flaky_tests"], browsers["failed_tests"], browsers["passed"]) == ([], ["t::x [firefox]"], 1)


@pytest.mark.parametrize(
    ("attributes", "cases", "notes", "incomplete"),
    [
        ('tests="2"', [""], 0, ["2 tests"]),
        ('tests="1,000"', [""], 0, ["1000 tests"]),
        ('tests="1.0" failures="" errors="nan"', [""], 0, []),
        ('tests="many" failures="-1"', [""], 0, []),
        ('tests="1" failures="2"', [FAIL], 0, ["2 failures"]),
        ('tests="1" errors="1"', [""], 0, ["1 failures"]),
        ('tests="1" failures="0"', [FAIL], 1, []),
        ('tests="0"', [""], 1, []),
        ('tests="1" failures="0" errors="1"', [FAIL], 1, []),
        ('tests="2" errors="1"', [ERROR], 0, []),  # pytest: the test and its teardown
        ('tests="2" failures="1" errors="1"', [FAIL + ERROR], 0, []),
        ('tests="1"', ["", SKIP], 0, []),  # skipped ones left out of the count
        ('tests="3" skipped="2"', [""], 1, []),  # and of the list
        ('tests="4" skipped="2"', [""], 0, ["4 tests"]),
        ('tests="5" disabled="2" skipped="2"', [""], 1, []),
    ],
)
def test_attributes_are_hints(attributes: str, cases: list[str], notes: int, incomplete: list[str]) -> None:
    data = parse(junit(*(case(f"n{i}", inner) for i, inner in enumerate(cases)), attributes=attributes))
    assert [f"{short['announced']} {short['what']}" for short in data["incomplete"]] == incomplete
    assert len(data["notes"]) == notes


def test_what_nested_suites_announce_is_added_up_once() -> None:
    inner = '<testsuite name="{}" tests="{}" failures="{}"><testcase name="a"/></testsuite>'
    text = f'<testsuites tests="9" failures="1">{inner.format("x", 3, 1)}{inner.format("y", 6, 0)}</testsuites>'
    data = parse(text.encode())
    assert data["incomplete"] == [
        {"what": "tests", "announced": 9, "found": 2},
        {"what": "failures", "announced": 1, "found": 0},
    ]
    assert counts(data) == (2, 1, 1, 0, 0, 0)
    text = f'<testsuites tests="2">{inner.format("x", 3, 0)}{inner.format("y", 1, 0)}</testsuites>'
    assert parse(text.encode())["incomplete"] == [{"what": "tests", "announced": 4, "found": 2}]


def test_many_differing_suites_are_not_all_told() -> None:
    suite = '<testsuite name="s{}" tests="1"><testcase name="a"/><testcase name="b"/></testsuite>'
    data = parse(f"<testsuites>{''.join(suite.format(i) for i in range(300))}</testsuites>".encode())
    assert len(data["notes"]) == 4
    assert data["notes"][3].endswith("more suites announce less than they hold.")


def test_failures_that_no_element_shows_count_without_any_test() -> None:
    data = parse(b'<testsuite name="build" tests="0" failures="2"/>')
    assert counts(data) == (2, 0, 2, 0, 0, 0)
    assert data["tests"] == []


def test_a_suite_that_could_not_begin_is_an_error() -> None:
    data = parse(b'<testsuite name="a.B" tests="1" errors="1"><error message="no class">x</error></testsuite>')
    assert (data["failed_tests"], data["errors"], data["incomplete"]) == (["a.B::(nameless test 1)"], 1, [])


def test_tests_without_a_name_are_told_apart_by_their_position() -> None:
    data = parse(
        b'<testsuite name="s"><testcase classname="C"/><testcase name=" " classname="C"/><testcase/></testsuite>'
    )
    assert data["tests"] == ["C::(nameless test 1)", "C::(nameless test 2)", "s::(nameless test 1)"]
    assert [owner_of(test) for test in data["tests"]] == ["C", "C", "s"]
    assert not is_nameless("C::named")
    long = parse(f'<testsuite><testcase classname="{"x" * 900}"/></testsuite>'.encode())
    assert is_nameless(long["tests"][0])


def test_names_of_mere_space_are_none() -> None:
    data = parse(b'<testsuite name=" "><testcase name="a" classname=" "/></testsuite>')
    assert (data["tests"], data["passed_in"]) == (["a"], [])


@pytest.mark.parametrize("status", ['status="failed"', 'result="error"', 'status="TimedOut"'])
def test_a_test_that_says_by_an_attribute_that_it_failed(status: str) -> None:
    assert parse(f'<testsuite><testcase name="a" {status}/></testsuite>'.encode())["failed"] == 1


def test_elements_inside_of_outputs_are_no_outcome() -> None:
    inner = "<system-out><failure/></system-out><properties><property/></properties>"
    assert counts(parse(junit(case("a", inner)))) == (1, 1, 0, 0, 0, 0)


XML = '<testsuite name="s"><testcase name="{}"/></testsuite>'


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\xef\xbb\xbf" + XML.format("\u00fc").encode(), "\u00fc"),
        (XML.format("\u00fc").encode("utf-16"), "\u00fc"),
        (XML.format("\u00fc").encode("utf-16-be"), "\u00fc"),
        (XML.format("\u00fc").encode("utf-32"), "\u00fc"),
        (b'<?xml version="1.0" encoding="utf-16"?>' + XML.format("\u00fc").encode(), "\u00fc"),
        (b'<?xml version="1.0" encoding="no-such"?>' + XML.format("\u00fc").encode(), "\u00fc"),
        (b'<?xml version="1.0" encoding="idna"?>' + XML.format("\u00fc").encode(), "\u00fc"),
        (b'<?xml version="1.0" encoding="unicode_escape"?>' + XML.format("\\x41").encode(), "\\x41"),
        (b'<?xml version="1.0" encoding="us-ascii"?>' + XML.format("\u00fc").encode(), "\u00fc"),
        (b'<?xml version="1.0" encoding="windows-1252"?>' + XML.format("\u20ac").encode("cp1252"), "\u20ac"),
        (b'<?xml version="1.0" encoding="gbk"?>' + XML.format("\u6d4b").encode("gbk"), "\u6d4b"),
        (b'\n \n<?xml version="1.0"?>' + XML.format("a").encode(), "a"),
        (XML.format("a\x1b[31m\x00b&#x1b;c&#0;d&#xFFFE;e&#99999999;").encode(), "a[31mbcde"),
        (XML.format("\ufffea\uffff").encode("utf-16-le"), "a"),
        (XML.format("&#65;&#x42;&amp;#x1b;").encode(), "AB&#x1b;"),
        (XML.format("<![CDATA[").replace('"<![CDATA["', '"a"').encode() + b"<!-- \x08 -->", "a"),
    ],
)
def test_letters(content: bytes, name: str) -> None:
    data = parse(content)
    assert (data["tests"], data["notes"]) == ([f"s::{name}"], [])


@pytest.mark.parametrize("declared", ["", '<?xml version="1.0" encoding="UTF-8"?>'])
def test_bytes_that_are_no_utf8_are_read_with_a_note(declared: str) -> None:
    data = parse(declared.encode() + b'<testsuite name="\xc3\xbc"><testcase name="\xfc\x93\x81"/></testsuite>')
    assert data["tests"] == ["\u00fc::\u00fc\u201c\x81"]
    assert "read as Windows-1252" in data["notes"][0]


def test_references_are_read_across_the_edges_of_pieces() -> None:
    # 21 pieces of 256 KiB, each edge in another place of a reference.
    for shift in range(12):
        text = "<testsuite>" + " " * shift + "<p a='&#x1b;&amp;&#x42;'/>" * 22_000 + "<testcase name='z'/></testsuite>"
        assert parse(text.encode())["tests"] == ["z"]


def test_files_are_read_from_their_beginning() -> None:
    opened = io.BytesIO(junit(case("a")))
    opened.seek(5)
    assert parse_report("junit", opened)[0].data["tests"] == ["t::a"]


def test_very_many_tests_are_kept_as_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_ids, "MAX_LISTED_TESTS", 3)
    data = parse(junit(*(case(name) for name in "abc"), case("d", FAIL)))
    assert data["tests"] == []
    assert prints(data) == {fingerprint(f"t::{name}") for name in "abcd"}
    assert data["failed_tests"] == ["t::d"]
    assert "4 tests are kept as fingerprints" in data["notes"][0]


def test_skipped_tests_are_all_counted_and_not_all_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tests_read, "MAX_SKIPPED_LISTED", 1)
    data = parse(junit(case("a"), case("b", SKIP), case("c", SKIP)))
    assert (data["skipped"], data["skipped_tests"]) == (2, ["t::b"])
