"""TRX, NUnit 3, xUnit.net, TAP and go test -json: each becomes the one fact of a test report."""

from __future__ import annotations

from typing import Any

import pytest

from libs.judge.kinds import check_data
from services.governance.domain.readers import tests_read
from services.governance.domain.readers.look import look_at
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.reports import FORMATS, TABLE, BadReport, parse_report

TRX = """\ufeff<?xml version="1.0" encoding="utf-8"?>
<TestRun id="1" xmlns="http://microsoft.com/schemas/VisualStudio/TeamTest/2010"><Results>
<UnitTestResult testId="t1" testName="Shop.CartTests.Adds" outcome="Passed" duration="00:01:00.5000000"/>
<UnitTestResult testId="t2" testName="Shop.CartTests.Pays(x: 1)" outcome="{second}" duration="nan"/>
<UnitTestResult testId="t3" testName="Rows" outcome="Passed"><InnerResults>
<UnitTestResult testId="t3" testName="Rows (0)" outcome="Passed"/>
<UnitTestResult testName="Rows (1)" outcome="NotExecuted"/>
</InnerResults></UnitTestResult></Results><TestDefinitions>
<UnitTest id="t1" name="a"><TestMethod className="Shop.CartTests" name="Adds"/></UnitTest>
<UnitTest id="t2" name="b"><TestMethod className="Shop.CartTests, Shop" name="Pays"/></UnitTest>
<UnitTest id="t3" name="c"><TestMethod className="Shop.RowTests" name="Rows"/></UnitTest></TestDefinitions>
<ResultSummary outcome="{run}"><Counters total="{total}" executed="2" failed="0"/></ResultSummary></TestRun>"""
NUNIT = """<test-run id="2" testcasecount="3" result="Failed" total="3" failed="{failed}"><test-suite type="Assembly"
 name="Shop.dll" fullname="/b/Shop.dll" result="Failed"><test-suite type="TestFixture" name="CartTests"
 fullname="Shop.CartTests" result="{suite}" {more}>
<test-case name="Adds" fullname="Shop.CartTests.Adds" classname="Shop.CartTests" result="Passed" duration="0.5"/>
<test-case name="Pays(1)" fullname="Shop.CartTests.Pays(1)" classname="Shop.CartTests" result="{second}" label="Error"/>
<test-case name="Later" classname="Shop.CartTests" result="Skipped" label="Ignored"/>
</test-suite></test-suite></test-run>"""
XUNIT = """<assemblies timestamp="x"><assembly name="C:\\b\\Shop.dll" total="3" failed="1" errors="{n}">
<errors>{errors}</errors><collection name="c">
<test name="Shop.CartTests.Adds" type="Shop.CartTests" method="Adds" time="0.1" result="Pass"/>
<test name="Shop.CartTests.Pays" type="Shop.CartTests" method="Pays" time="NaN" result="Fail"><failure/></test>
<test name="Shop.CartTests.Later" type="Shop.CartTests" method="Later" result="Skip"><reason/></test>
</collection></assembly></assemblies>"""
TAP = """TAP version 13
# Subtest: cart
    # Subtest: adds
    ok 1 - adds
      ---
      duration_ms: 1
      ...
    # Subtest: inner
        # Subtest: pays
        not ok 1 - pays
          ---
          error: |-
            ok 7 - no point
          ...
        1..1
    not ok 2 - inner
    # Subtest: other
        ok 1 - sends
        1..1
    ok 3 - other
    1..3
not ok 1 - cart
ok 2 - alone # SKIP no net
not ok 3 - later # TODO some day
1..3
"""
GO = """{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"run","Package":"a","Test":"TestX/sub"}
{"Action":"pass","Package":"a","Test":"TestX/sub","Elapsed":0.1}
{"Action":"pass","Package":"a","Test":"TestX","Elapsed":0.1}
{"Action":"run","Package":"a","Test":"TestPanics"}
{"Action":"output","Package":"a","Test":"TestPanics","Output":"panic: x\\n"}
{"Action":"fail","Package":"a","Elapsed":0.2}
# b
b.go:1:1: expected 'package'
{"Action":"fail","Package":"b","Elapsed":0}
"""


def read(name: str, content: str) -> dict[str, Any]:
    (signal,) = parse_report(name, content.encode())
    assert signal.kind == "test.junit"
    assert check_data(signal.kind, signal.data) == []
    return dict(signal.data)


def short(data: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [(one["what"], one["announced"], one["found"]) for one in data["incomplete"]]


def trx(second: str = "Passed", run: str = "Completed", total: int = 4) -> str:
    return TRX.format(second=second, run=run, total=total)


def nunit(second: str = "Failed", suite: str = "Failed", more: str = "", failed: int = 1) -> str:
    return NUNIT.format(second=second, suite=suite, more=more, failed=failed)


def xunit(errors: str = "", n: int = 0) -> str:
    return XUNIT.format(errors=errors, n=n)


@pytest.mark.parametrize(
    ("name", "content", "summary", "tests"),
    [
        (
            "trx",
            trx(),
            "4 tests: 3 passed, 1 skipped",
            ["Shop.CartTests::Adds", "Shop.CartTests::Pays(x: 1)", "Shop.RowTests::Rows (0)"],
        ),
        (
            "nunit",
            nunit(),
            "3 tests: 1 passed, 1 error (Shop.CartTests::Pays(1)), 1 skipped",
            ["Shop.CartTests::Adds", "Shop.CartTests::Pays(1)"],
        ),
        (
            "xunit",
            xunit(),
            "3 tests: 1 passed, 1 failed (Shop.CartTests::Pays), 1 skipped",
            ["Shop.CartTests::Adds", "Shop.CartTests::Pays"],
        ),
        (
            "tap",
            TAP,
            "5 tests: 2 passed, 1 failed (cart > inner::pays), 2 skipped",
            ["cart > inner::pays", "cart > other::sends", "cart::adds"],
        ),
        (
            "gotest",
            GO,
            "4 tests: 2 passed, 2 errors (a::TestPanics, b::(nameless test 1))",
            ["a::TestPanics", "a::TestX", "a::TestX/sub", "b::(nameless test 1)"],
        ),
    ],
)
def test_what_is_counted(name: str, content: str, summary: str, tests: list[str]) -> None:
    data = read(name, content)
    assert (data["summary"], data["tests"], data["incomplete"]) == (summary, tests, [])


@pytest.mark.parametrize("outcome", ["Failed", "Timeout", "Aborted", "Error", "NotRunnable", "whatever", ""])
def test_an_outcome_of_trx_that_is_no_pass_fails(outcome: str) -> None:
    assert read("trx", trx(outcome))["failed_tests"] == ["Shop.CartTests::Pays(x: 1)"]
    assert read("trx", trx("Inconclusive"))["failed_tests"] == []


@pytest.mark.parametrize(
    ("run", "total", "wanted"),
    [
        ("Aborted", 4, [("whole runs", 1, 0)]),
        ("Failed", 4, [("whole runs", 1, 0)]),  # the test host crashed: no test failed
        ("Completed", 9, [("tests", 9, 4)]),
        ("Completed", 3, []),
    ],
)
def test_a_run_of_trx_that_broke_off_is_incomplete(run: str, total: int, wanted: list[Any]) -> None:
    assert short(read("trx", trx(run=run, total=total))) == wanted


def test_a_suite_of_nunit_that_failed_by_itself_is_a_failure() -> None:
    data = read("nunit", nunit(second="Passed", more='site="TearDown"'))
    assert data["failed_tests"] == ["Shop.CartTests::(nameless test 1)"]
    data = read("nunit", nunit(more='label="Cancelled"'))
    assert short(data) == [("whole runs", 1, 0)]
    data = read("nunit", nunit(second="Warning", suite="Warning", failed=2))
    assert (short(data)[0], data["failed"]) == (("failures", 2, 1), 1)  # the assembly's own failure is one of them


def test_an_error_of_an_assembly_of_xunit_is_a_failure() -> None:
    data = read("xunit", xunit('<error type="assembly-cleanup"><failure/></error>', 1))
    assert (data["errors"], data["failed_tests"]) == (1, ["Shop.CartTests::Pays", "Shop.dll::(nameless test 1)"])
    assert short(read("xunit", xunit(n=1))) == [("failures", 2, 1)]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("TAP version 13\n", [("whole runs", 1, 0)]),
        ("ok 1 - a\nok 2 - b\n", [("whole runs", 1, 0)]),
        ("1..3\nok\nok 2\n", [("tests", 3, 2)]),
        ("1..2\nok\nBail out! no disk\n", [("tests", 2, 1), ("whole runs", 1, 0)]),
        ("1..1\n    1..2\n    ok 1 - a\nok 1 - x\n", [("tests", 2, 1)]),
        ("1..0 # SKIP nothing here\n", []),
        ("1..1\nok 1 - a\nok 2 - b\n", []),
    ],
)
def test_what_the_plan_of_tap_announces(content: str, wanted: list[Any]) -> None:
    assert short(read("tap", content)) == wanted


def test_a_name_that_comes_again_is_no_retry_where_there_are_none() -> None:
    data = read("tap", "1..2\nnot ok 1 - equal\nok 2 - equal\n")
    assert (data["flaky"], data["failed_tests"], data["tests"]) == (0, ["equal"], ["equal", "equal (2)"])
    rerun = '{"Action":"run","Package":"a","Test":"T"}\n{"Action":"%s","Package":"a","Test":"T"}\n'
    ends = '{"Action":"%s","Package":"a"}\n'
    data = read("gotest", rerun % "fail" + ends % "fail" + rerun % "pass" + ends % "pass")
    assert (data["flaky"], data["failed_tests"], data["passed"]) == (1, [], 1)


def test_a_package_that_never_ended_is_incomplete() -> None:
    data = read("gotest", GO + '{"Action":"start","Package":"c"}\n{"Action":"run","Package":"c","Test":"TestY"}\n{"Act')
    assert short(data) == [("packages", 3, 2)]
    assert "c::TestY" in data["failed_tests"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tap", "hello\nworld", "no line begins with"),
        ("gotest", "hello\nworld", "is one of its events"),
        ("nunit", "<test-results/>", "This is NUnit 2's"),
        ("junit", xunit(), "It looks like xUnit.net XML: send it as xunit."),
        ("trx", nunit(), "It looks like NUnit 3 XML: send it as nunit."),
        ("junit", TAP, "It looks like TAP: send it as tap."),
        ("sarif", GO, "send it as gotest"),
    ],
)
def test_what_is_refused_and_where_it_belongs(name: str, content: str, words: str) -> None:
    with pytest.raises(BadReport) as raised:
        parse_report(name, content.encode())
    assert words in raised.value.message


HOSTILE = (
    b"",
    b" \n\t",
    b"\x00" * 100,
    b"\xff\xfe\xff",
    b"<" * 1_000,
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    b'<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><testsuites>&b;</testsuites>',
    b"<a>" * 200,
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"version":NaN}',
    b'{"runs":[],',
    b"null",
    b"[]",
    b"{}",
    "<html>caf\u00e9</html>".encode("latin-1"),
    "<html/>".encode("utf-16"),
    b"x" * 2_000_000,
)


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_files_are_refused_in_a_sentence(name: str) -> None:
    for content in HOSTILE:
        if name == "pip-audit" and content == b"[]":
            continue  # what its first version wrote where there was nothing to look at: a scan that did not finish
        with pytest.raises(BadReport) as raised:
            parse_report(name, content)
        assert raised.value.message.rstrip().endswith((".", ">"))


@pytest.mark.parametrize(
    ("name", "content"),
    [("trx", trx()), ("nunit", nunit()), ("xunit", xunit()), ("tap", TAP), ("gotest", GO)],
)
def test_encodings_and_ends_of_lines_change_nothing(name: str, content: str) -> None:
    plain = content.removeprefix("\ufeff")
    wanted = read(name, plain)
    for other in (plain.encode("utf-8-sig"), plain.encode("utf-16"), plain.replace("\n", "\r\n").encode()):
        assert parse_report(name, other)[0].data == wanted


def test_numbers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tests_read, "MAX_TESTS", 1)
    with pytest.raises(BadReport, match="more than 1 tests"):
        parse_report("tap", b"1..2\nok 1\nok 2\n")


def test_every_format_knows_its_own_look() -> None:
    known = {"trx": trx(), "nunit": nunit(), "xunit": xunit(), "tap": TAP, "gotest": GO}
    for name, content in known.items():
        look = look_at(Source(content.encode(), name))
        assert [row.name for row in TABLE.values() if row.looks(look)] == [name]
