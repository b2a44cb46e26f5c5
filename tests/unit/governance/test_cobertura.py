"""Cobertura XML: coverage.py's own output, other tools' shapes, and reports that don't add up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from libs.judge.kinds import check_data
from services.governance.domain.readers.reports import BadReport, parse_report


def parse(content: bytes) -> dict[str, Any]:
    (signal,) = parse_report("cobertura", content)
    assert (signal.kind, signal.part) == ("coverage.cobertura", "default")
    assert check_data(signal.kind, signal.data) == []
    return dict(signal.data)


def report(lines: str, attributes: str = "", filename: str = "a.py") -> bytes:
    return (
        f"<coverage {attributes}><packages><package><classes>"
        f'<class name="c" filename="{filename}"><methods/><lines>{lines}</lines></class>'
        "</classes></package></packages></coverage>"
    ).encode()


def line(number: int, hits: object) -> str:
    return f'<line number="{number}" hits="{hits}"/>'


def test_real_coverage_report(tmp_path: Path) -> None:
    (tmp_path / "calc.py").write_text("def a():\n    return 1\ndef b():\n    return 2\na()\n")
    base = [sys.executable, "-m", "coverage"]
    for arguments in (["run", "--rcfile=none", "calc.py"], ["xml", "--rcfile=none", "-o", "out.xml"]):
        (tmp_path / "none").touch()
        subprocess.run([*base, *arguments], cwd=tmp_path, capture_output=True, check=True, timeout=60)
    data = parse((tmp_path / "out.xml").read_bytes())
    assert data == {
        "line_rate_percent": 80.0,
        "lines_valid": 5,
        "lines_covered": 4,
        "files": 1,
        "from_lines": True,
        "summary": "4 of 5 lines, 80 %",
        "notes": [],
        "incomplete": [],
    }


def test_lines_of_one_file_in_two_classes_count_once() -> None:
    outer = f'<class name="A" filename="A.java"><lines>{line(1, 0)}{line(2, 3)}</lines></class>'
    inner = f'<class name="A$B" filename="A.java"><lines>{line(1, 1)}{line(3, 0)}</lines></class>'
    content = (
        '<coverage lines-valid="4" lines-covered="2" line-rate="0.5">'
        f"<packages><package><classes>{outer}{inner}</classes></package></packages></coverage>"
    ).encode()
    data = parse(content)
    assert (data["lines_valid"], data["lines_covered"], data["line_rate_percent"]) == (3, 2, 66.66)


def test_lines_of_methods_are_used_only_where_a_class_has_none() -> None:
    content = (
        b'<coverage><packages><package><classes><class name="c" filename="a.go"><methods><method name="f"><lines>'
        b'<line number="1" hits="1"/><line number="2" hits="0.0"/></lines></method></methods></class>'
        b"</classes></package></packages></coverage>"
    )
    assert parse(content)["line_rate_percent"] == 50.0


def test_attributes_alone_prove_nothing() -> None:
    data = parse(b'<coverage lines-valid="200" lines-covered="161" line-rate="0.805"/>')
    assert (data["line_rate_percent"], data["from_lines"]) == (80.5, False)
    assert data["incomplete"] == [{"what": "lines", "announced": 200, "found": 0}]
    assert data["summary"].endswith(
        "by the attributes alone, 80.5 %; incomplete: 200 lines are announced and 0 are there"
    )


@pytest.mark.parametrize("attributes", ["", 'lines-valid="0" lines-covered="0" line-rate="1"', 'line-rate=""'])
def test_no_lines_is_zero_percent_of_nothing(attributes: str) -> None:
    data = parse(f"<coverage {attributes}/>".encode())
    assert (data["lines_valid"], data["line_rate_percent"]) == (0, 0.0)


def test_the_percentage_is_never_rounded_up() -> None:
    content = report("".join(line(i, int(i < 79_999)) for i in range(100_000)), 'line-rate="0.8"')
    assert parse(content)["line_rate_percent"] == 79.99


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<testsuite/>", "root element is <testsuite>"),
        (b"<!DOCTYPE coverage [<!ENTITY e 'x'>]><coverage/>", "DOCTYPE declares entities"),
        (b"<coverage><packages>", "may have been cut off"),
    ],
)
def test_bad_reports_say_what_is_wrong(content: bytes, words: str) -> None:
    with pytest.raises(BadReport) as raised:
        parse_report("cobertura", content)
    assert words in raised.value.message


TWO = line(1, 1) + line(2, 0)
TEN = "".join(line(number, int(number > 1)) for number in range(1, 11))


@pytest.mark.parametrize(
    ("lines", "attributes", "percent", "note"),
    [
        (TWO, 'lines-valid="2" lines-covered="1" line-rate="0.5"', 50.0, ""),
        (TWO, 'lines-valid="2.0" lines-covered="1"', 50.0, ""),
        (TWO, 'lines-valid="x" lines-covered="" line-rate="much"', 50.0, ""),
        (TWO, 'line-rate="nan"', 50.0, ""),
        (TWO, 'line-rate="0,5"', 50.0, ""),
        (TWO, 'line-rate="0.9"', 50.0, ""),
        (TWO, 'line-rate="50"', 50.0, "line-rate=50 is not between 0 and 1"),
        (TWO, 'lines-valid="1"', 50.0, "claim 1 line, and 2 are there"),
        (TWO, 'lines-valid="1" lines-covered="1"', 50.0, "claim 1 of 1 lines, the lines show 1 of 2; the worse"),
        (TWO, 'lines-valid="1" lines-covered="2"', 50.0, "claim 2 covered of 1 lines, so they say nothing"),
        (TEN, 'lines-valid="10" lines-covered="7"', 70.0, "claim 7 of 10 lines, the lines show 9 of 10; the worse"),
        (TEN, 'line-rate="0.7"', 70.0, "claims 70 %, the lines show 90 %; the worse counts"),
        (TEN, 'line-rate="0.89"', 90.0, ""),  # two places may be rounded
        (TEN, 'line-rate="0.8998"', 89.98, "claims 89.98 %"),
        (TEN, 'line-rate="0"', 90.0, "line-rate is 0 though lines are covered"),
        (TEN, 'line-rate="0" lines-valid="0" lines-covered="0"', 90.0, "line-rate is 0 though lines are covered"),
        (TEN, 'line-rate="0" lines-valid="10" lines-covered="0"', 0.0, "claim 0 of 10 lines"),
        (TEN, 'lines-valid="13" lines-covered="12"', 90.0, "claim 12 of 13 lines"),
        (line(1, "1e3") + line(2, "0e9") + line(3, "0.0"), "", 33.33, ""),
        (line(1, "9" * 40) + line(2, "+0"), "", 50.0, ""),
        (line(1, -1) + line(2, 1), "", 50.0, "1 line has no count of hits"),
        (line(1, "") + line(2, "x") + line(3, 1), "", 33.33, "2 lines have no count of hits"),
        ('<line hits="1"/><line hits="0"/><line number="x" hits="1"/>', "", 66.66, ""),
    ],
)
def test_the_worse_of_lines_and_attributes_counts(lines: str, attributes: str, percent: float, note: str) -> None:
    data = parse(report(lines, attributes))
    assert data["line_rate_percent"] == percent
    assert data["incomplete"] == []
    assert note in " ".join(data["notes"])
    assert bool(note) is bool(data["notes"])


@pytest.mark.parametrize(
    ("attributes", "announced"),
    [('lines-valid="14" lines-covered="13"', None), ('lines-valid="15" lines-covered="15"', 15)],
)
def test_more_than_a_third_more_lines_is_incomplete(attributes: str, announced: int | None) -> None:
    found = parse(report(TEN, attributes))["incomplete"]
    assert found == ([{"what": "lines", "announced": announced, "found": 10}] if announced else [])


def test_lines_of_methods_that_a_tool_counts_once_more_explain_its_numbers() -> None:
    method = f'<methods><method name="f"><lines>{TWO}</lines></method></methods>'
    content = report(TWO, 'lines-valid="4" lines-covered="2"').replace(b"<methods/>", method.encode())
    data = parse(content)
    assert (data["lines_valid"], data["lines_covered"], data["notes"], data["incomplete"]) == (2, 1, [], [])


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE coverage SYSTEM "http://127.0.0.1:1/coverage-04.dtd">',
        '<!DOCTYPE coverage PUBLIC "-//X//EN" "coverage.dtd">',
        "<!DOCTYPE coverage []>",
        "<!DOCTYPE coverage [ <!-- nothing --> ]>",
    ],
)
def test_a_doctype_that_declares_nothing_is_read_past(doctype: str) -> None:
    assert parse(doctype.encode() + report(TWO))["line_rate_percent"] == 50.0
