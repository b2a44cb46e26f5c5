"""JUnit XML of real shapes, and hostile XML."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from libs.common.contracts.governance import reports as contract
from libs.judge import report_base
from libs.judge.kinds import check_data
from services.governance.domain.readers import report_xml, tests_read
from services.governance.domain.readers.reports import FORMATS, MAX_REPORT_BYTES, TABLE, BadReport, parse_report
from tests.unit.governance.samples import case, junit

FAILURE = '<failure message="assert 1 == 2">trace</failure>'


def parse(content: bytes) -> dict[str, Any]:
    (signal,) = parse_report("junit", content)
    assert (signal.kind, signal.part) == ("test.junit", "default")
    assert check_data(signal.kind, signal.data) == []
    return dict(signal.data)


def test_counts_come_from_elements() -> None:
    data = parse(
        junit(
            case("ok"),
            case("bad", FAILURE),
            case("broke", "<error/>"),
            case("later", "<skipped/>"),
            attributes='tests="4" failures="1" errors="1" skipped="1"',
        )
    )
    assert data == {
        "total": 4,
        "passed": 1,
        "failed": 1,
        "errors": 1,
        "skipped": 1,
        "duration_s": 2.0,
        "flaky": 0,
        "failed_tests": ["t::bad", "t::broke"],
        "unnamed_failures": 0,
        "passed_in": ["unit"],
        "flaky_tests": [],
        "tests": ["t::bad", "t::broke", "t::ok"],
        "skipped_tests": ["t::later"],
        "summary": "4 tests: 1 passed, 1 failed, 1 error (t::bad, t::broke), 1 skipped",
        "notes": [],
        "incomplete": [],
    }


PYTEST_SOURCE = """
import pytest

@pytest.fixture
def breaks_after():
    yield
    raise RuntimeError("teardown")

@pytest.mark.parametrize("n", [1, "a <b>"])
def test_many(n): assert n
class TestIt:
    def test_in_class(self): pass
def test_bad(): assert 0
def test_teardown(breaks_after): pass
def test_both(breaks_after): assert 0
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert 0
"""


def test_real_pytest_report(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PYTEST_SOURCE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=out.xml", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    data = parse((tmp_path / "out.xml").read_bytes())
    assert data["failed_tests"] == ["test_it::test_bad", "test_it::test_both", "test_it::test_teardown"]
    assert data["skipped_tests"] == ["test_it::test_expected", "test_it::test_skipped"]
    assert "test_it.TestIt::test_in_class" in data["tests"]
    assert "test_it::test_many[a <b>]" in data["tests"]
    assert (data["passed"], data["skipped"]) == (3, 2)


def test_gotestsum_shape_with_a_suite_for_each_package() -> None:
    data = parse(
        b"""<?xml version="1.0" encoding="UTF-8"?>
        <testsuites tests="3" failures="1" errors="0" time="1.2">
          <testsuite tests="2" failures="1" time="0.5" name="example.com/a" timestamp="2026-01-01T00:00:00Z">
            <properties><property name="go.version" value="go1.22"/></properties>
            <testcase classname="example.com/a" name="TestX" time="0.1"></testcase>
            <testcase classname="example.com/a" name="TestX/sub" time="0.1">
              <failure message="Failed" type="">x</failure></testcase>
          </testsuite>
          <testsuite tests="1" failures="0" time="0.5" name="example.com/b">
            <testcase classname="example.com/b" name="TestY" time="1,234.5"></testcase>
          </testsuite>
        </testsuites>"""
    )
    assert data["failed_tests"] == ["example.com/a::TestX/sub"]
    assert (data["total"], data["duration_s"]) == (3, 1234.7)


def test_jest_shape_and_nested_suites_with_sums() -> None:
    data = parse(
        b"""<testsuites name="jest tests" tests="2" failures="0" errors="0" time="1.1">
          <testsuite name="outer" tests="2" failures="0" errors="0" skipped="1">
            <testsuite name="inner" tests="1"><testcase classname="inner adds" name="inner adds" time="x"/></testsuite>
            <testcase classname="outer adds" name="outer adds" time="-1"><skipped/></testcase>
          </testsuite>
        </testsuites>"""
    )
    assert (data["total"], data["skipped"], data["duration_s"]) == (2, 1, 0.0)


def test_surefire_reruns_may_be_counted_in_the_attributes() -> None:
    data = parse(
        b"""<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="T" time="0.05"
              tests="7" errors="0" skipped="0" failures="3">
          <testcase name="never" classname="T"><failure type="E">a</failure>
            <rerunFailure type="E">b</rerunFailure><rerunFailure type="E">c</rerunFailure></testcase>
          <testcase name="flaky" classname="T"><flakyFailure type="E">x</flakyFailure>
            <flakyError type="E">y</flakyError><system-out>..</system-out></testcase>
          <testcase name="fine" classname="T"/>
        </testsuite>"""
    )
    assert data["failed_tests"] == ["T::never"]
    assert (data["passed"], data["failed"]) == (2, 1)


def test_googletest_says_not_run_by_attributes() -> None:
    data = parse(
        b'<testsuite name="S" tests="2"><testcase name="A" status="run" result="completed"/>'
        b'<testcase name="DISABLED_B" status="notrun" result="suppressed"/></testsuite>'
    )
    assert (data["passed"], data["skipped_tests"]) == (1, ["S::DISABLED_B"])


def test_a_test_that_is_skipped_once_and_runs_once_ran() -> None:
    data = parse(junit(case("y", "<skipped/>"), case("y")))
    assert (data["total"], data["tests"], data["skipped_tests"]) == (2, ["t::y"], [])


def test_names_without_a_class_take_file_or_suite() -> None:
    data = parse(
        b'<testsuite><testcase name="a" file="f.py"/><testcase name="b"/>'
        b'<testsuite name="s"><testcase name="c"/></testsuite></testsuite>'
    )
    assert data["tests"] == ["b", "f.py::a", "s::c"]


def test_namespaces_and_other_encodings_are_read() -> None:
    text = '<?xml version="1.0" encoding="utf-16"?><testsuite xmlns="urn:x"><testcase name="\u00fc"/></testsuite>'
    assert parse(text.encode("utf-16"))["tests"] == ["\u00fc"]
    latin = '<?xml version="1.0" encoding="iso-8859-1"?><testsuite><testcase name="\u00fc"/></testsuite>'
    assert parse(latin.encode("latin-1"))["tests"] == ["\u00fc"]


def test_long_ids_are_cut_and_stay_different() -> None:
    data = parse(junit(case("x" * 900 + "1"), case("x" * 900 + "2")))
    assert len(data["tests"]) == 2
    assert all(len(test) <= report_base.MAX_ID_CHARS for test in data["tests"])


def test_all_failures_are_listed() -> None:
    data = parse(junit(*(case(f"n{i}", FAILURE) for i in range(2_500))))
    assert (data["failed"], len(data["failed_tests"])) == (2_500, 2_500)


def test_no_test_at_all_is_valid_data() -> None:
    assert parse(b"<testsuites/>")["total"] == 0


BILLION_LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]>
<testsuite><testcase name="&lol2;"/></testsuite>"""
EXTERNAL = b"""<?xml version="1.0"?><!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<testsuite><testcase name="a">&x;</testcase></testsuite>"""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"not xml", "not well-formed"),
        (b"<testsuite><testcase name='a'/>", "may have been cut off"),
        (b"<html/>", "root element is <html>"),
        (BILLION_LAUGHS, "DOCTYPE declares entities"),
        (EXTERNAL, "DOCTYPE declares entities"),
        (b"<!DOCTYPE t [<!ENTITY % p SYSTEM 'http://127.0.0.1:1/'> %p;]><testsuite/>", "DOCTYPE declares"),
        (b"<!DOCTYPE t [<!ELEMENT t ANY>]><testsuite/>", "DOCTYPE declares"),
        (b"<!DOCTYPE t [<!ATTLIST testcase name CDATA 'x'>]><testsuite/>", "DOCTYPE declares"),
        (b"<!DOCTYPE t [<!NOTATION n SYSTEM 'n'>]><testsuite/>", "DOCTYPE declares"),
        (b"<testsuite>&nope;</testsuite>", "not well-formed"),
        (b"<testsuite>" + b"<a>" * 100_000, "nested more than 64"),
        (b"<testsuite>" * 20 + b"</testsuite>" * 20, "nested more than 16"),
        (b"<testsuite>" + b" " * (64 * 1024 * 1024) + b"</testsuite>", "at most 67108864 are read"),
        (b"<testsuite/><testsuite/>", "not well-formed"),
    ],
)
def test_bad_reports_say_what_is_wrong(content: bytes, words: str) -> None:
    with pytest.raises(BadReport) as raised:
        parse_report("junit", content)
    assert words in raised.value.message


@pytest.mark.parametrize(
    ("module", "bound", "words"),
    [(tests_read, "MAX_TESTS", "more than 1 tests"), (report_xml, "MAX_XML_ELEMENTS", "more than 1 elements")],
)
def test_numbers_are_bounded(monkeypatch: pytest.MonkeyPatch, module: ModuleType, bound: str, words: str) -> None:
    monkeypatch.setattr(module, bound, 1)
    with pytest.raises(BadReport, match=words):
        parse_report("junit", junit(case("a"), case("b")))


def test_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(BadReport, match="use one of junit, trx, nunit"):
        parse_report("xls", b"1..1")
    assert FORMATS == contract.FORMATS
    assert {name for name, row in TABLE.items() if row.parts_inside} == contract.PARTS_INSIDE
    assert MAX_REPORT_BYTES == 64 * 1024 * 1024
