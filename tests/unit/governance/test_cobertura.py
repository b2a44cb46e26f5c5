"""Cobertura XML: coverage.py's own output, other tools' shapes, and reports that don't add up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.governance.domain.reports import BadReport, parse_report
from services.governance.domain.signals import check_data


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
    assert data == {"line_rate_percent": 80.0, "lines_valid": 5, "lines_covered": 4, "files": 1, "from_lines": True}


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


def test_attributes_alone_are_used_when_there_are_no_lines() -> None:
    data = parse(b'<coverage lines-valid="200" lines-covered="161" line-rate="0.805"/>')
    assert (data["line_rate_percent"], data["from_lines"]) == (80.5, False)


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
        (report(line(1, 1) + line(2, 0), 'lines-valid="3"'), "says lines-valid=3, but its lines give 2"),
        (report(line(1, 1) + line(2, 0), 'lines-covered="2"'), "says lines-covered=2, but its lines give 1"),
        (report(line(1, 1) + line(2, 0), 'line-rate="0.9"'), "says line-rate=0.9, but its lines give 0.5000 (1 of 2)"),
        (report(line(1, 1) + line(2, 0), 'line-rate="0.5002"'), "line-rate=0.5002"),
        (report(line(1, -1)), "hits='-1', which is not a whole number"),
        (report('<line hits="1"/>'), "number='', which is not a whole number"),
        (report(line(1, 1), 'lines-valid="x"'), "lines-valid='x'"),
        (report(line(1, 1), 'line-rate="nan"'), "it must lie between 0 and 1"),
        (report(line(1, 1), 'line-rate="much"'), "it must lie between 0 and 1"),
        (b'<coverage lines-valid="1" lines-covered="2"/>', "lines-covered=2 of lines-valid=1"),
        (b'<coverage line-rate="0.9"/>', "neither <line> elements nor lines-valid"),
        (b"<!DOCTYPE coverage SYSTEM 'coverage-04.dtd'><coverage/>", "delete its <!DOCTYPE ...> line"),
    ],
)
def test_bad_reports_say_what_is_wrong(content: bytes, words: str) -> None:
    with pytest.raises(BadReport) as raised:
        parse_report("cobertura", content)
    assert words in raised.value.message
