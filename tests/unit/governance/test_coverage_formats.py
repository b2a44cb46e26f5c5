"""JaCoCo, Clover, LCOV and Go cover profiles: each becomes the one fact of line coverage."""

from __future__ import annotations

from typing import Any

import pytest

from libs.judge.kinds import check_data
from services.governance.domain.readers.reports import BadReport, parse_report

JACOCO = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<!DOCTYPE report PUBLIC "-//JACOCO//DTD Report 1.1//EN" "report.dtd">
<report name="shop"><sessioninfo id="a" start="1" dump="2"/>
<group name="core"><package name="shop"><class name="shop/Cart" sourcefilename="Cart.java">
<counter type="LINE" missed="1" covered="2"/></class><sourcefile name="Cart.java">
<line nr="3" mi="0" ci="2" mb="0" cb="0"/><line nr="4" mi="1" ci="3"/><line nr="9" mi="4" ci="0"/>
<counter type="LINE" missed="1" covered="2"/></sourcefile></package></group>
<group name="web"><package name="shop"><sourcefile name="Cart.java"><line nr="3" mi="2" ci="0"/></sourcefile></package>
</group><counter type="INSTRUCTION" missed="7" covered="5"/>{total}</report>"""
CLOVER = """<coverage generated="1"><project><package name="shop"><file name="cart.php" path="/src/cart.php">
<class name="Cart"><metrics statements="3" coveredstatements="2"/></class>
<line num="1" type="method" name="pay" count="0"/><line num="2" type="stmt" count="5"/>
<line num="3" type="stmt" count="0"/><line num="4" type="cond" truecount="1" falsecount="0"/></file>
<metrics files="1" statements="{statements}" coveredstatements="2"/></package>
<metrics files="1" statements="{statements}" coveredstatements="2"/></project>
<testproject><package name="t"><file path="t.php"><line num="1" type="stmt" count="1"/></file></package></testproject>
</coverage>"""
LCOV = """TN:unit
SF:src/cart.ts
FN:1,pay
DA:1,3
DA:2,0,checksum
LF:2
LH:1
end_of_record
"""
GO = """mode: set
shop/cart.go:3.20,5.2 2 1
shop/cart.go:7.20,9.2 3 0
shop/pay.go:1.2,3.4 5 1
"""


def read(name: str, content: str) -> dict[str, Any]:
    (signal,) = parse_report(name, content.encode())
    assert signal.kind == "coverage.cobertura"
    assert check_data(signal.kind, signal.data) == []
    return dict(signal.data)


def counts(data: dict[str, Any]) -> tuple[int, int, float, int]:
    return data["lines_covered"], data["lines_valid"], data["line_rate_percent"], data["files"]


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("jacoco", JACOCO.format(total='<counter type="LINE" missed="2" covered="2"/>'), (2, 4, 50.0, 2)),
        ("clover", CLOVER.format(statements=3), (2, 3, 66.66, 1)),
        ("lcov", LCOV, (1, 2, 50.0, 1)),
        ("lcov", LCOV.replace("\n", "\r\n"), (1, 2, 50.0, 1)),
        ("gocover", GO, (7, 10, 70.0, 2)),
        ("gocover", GO + GO.replace(" 0\n", " 4\n"), (10, 10, 100.0, 2)),
    ],
)
def test_what_is_counted(name: str, content: str, wanted: tuple[int, int, float, int]) -> None:
    data = read(name, content)
    assert counts(data) == wanted
    assert (data["notes"], data["incomplete"]) == ([], [])


def test_the_lower_total_of_jacoco_counts() -> None:
    data = read("jacoco", JACOCO.format(total='<counter type="LINE" missed="4" covered="1"/>'))
    assert counts(data)[:3] == (1, 5, 20.0)
    assert "claim 1 of 5 lines, the lines show 2 of 4; the worse of both counts" in data["notes"][0]


def test_totals_that_announce_far_more_are_incomplete() -> None:
    data = read("jacoco", JACOCO.format(total='<counter type="LINE" missed="20" covered="80"/>'))
    assert data["incomplete"] == [{"what": "lines", "announced": 100, "found": 4}]
    data = read("clover", CLOVER.format(statements=10))
    assert data["incomplete"] == [{"what": "statements", "announced": 10, "found": 3}]


def test_a_report_without_line_numbers_covers_no_line() -> None:
    data = read("jacoco", '<report name="a"><counter type="INSTRUCTION" missed="7" covered="5"/></report>')
    assert (data["lines_valid"], data["summary"]) == (0, "no line of code")
    assert "debug information" in data["notes"][0]


def test_a_trace_that_is_cut_off_is_incomplete() -> None:
    data = read("lcov", LCOV + "SF:src/b.ts\nDA:1,1\n")
    assert data["incomplete"] == [{"what": "end_of_record lines", "announced": 2, "found": 1}]


def test_several_records_of_one_file_are_added_up() -> None:
    data = read("lcov", LCOV + LCOV.replace("DA:2,0", "DA:2,1"))
    assert counts(data) == (2, 2, 100.0, 1)
    assert data["notes"] == []


def test_hits_that_cannot_be_read_are_not_covered() -> None:
    data = read("lcov", "SF:a\nDA:1,-3\nDA:2,nan\nDA:x,1\nDA:4\nend_of_record\n")
    assert counts(data)[:2] == (1, 4)
    assert data["notes"] == ["Lines whose hits can't be read: 3. They count as not covered."]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("lcov", "hello", "Line 1 is no line of an LCOV trace: 'hello'"),
        ("lcov", "TN:\n", "has no record"),
        ("gocover", "shop/a.go:1.1,2.2 1 1\n", "wanted mode: set, count or atomic"),
        ("gocover", "mode: set\nshop/a.go:1.1,2.", "wanted path:line.column,line.column statements count"),
        ("jacoco", "<coverage line-rate='1'/>", "send it as cobertura"),
        ("cobertura", JACOCO.format(total=""), "It looks like JaCoCo XML: send it as jacoco."),
        ("clover", "<coverage><packages/></coverage>", "send it as cobertura"),
        ("cobertura", LCOV, "It looks like LCOV: send it as lcov."),
    ],
)
def test_what_is_refused_and_where_it_belongs(name: str, content: str, words: str) -> None:
    with pytest.raises(BadReport) as raised:
        parse_report(name, content.encode())
    assert words in raised.value.message
