"""Reading large reports: processor time beside the bare parser's, and by how much memory grows at the most."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Report
from bench.lab import BenchError, Lab

ROUNDS = 3
MB = 1_000_000
TESTS_OF_A_SUITE = 50
LINES_OF_A_CLASS = 500


def _tests() -> Iterator[str]:
    """JUnit with nothing but tests: as many as fit."""
    for suite in range(490_000 // TESTS_OF_A_SUITE):
        yield f'<testsuite name="com.shop.Suite{suite}Test" tests="{TESTS_OF_A_SUITE}" failures="0" errors="0">'
        for test in range(TESTS_OF_A_SUITE):
            name = f"doesWhatItShould[case {test}]"
            yield f'<testcase classname="com.shop.module.Suite{suite}Test" name="{name}" time="0.01"/>'
        yield "</testsuite>"


def _outputs() -> Iterator[str]:
    """JUnit with the outputs of its tests."""
    logged = "INFO some line that a test wrote to its log, number 12345\n" * 35
    output = f"<system-out><![CDATA[{logged}]]></system-out>"
    for suite in range(560):
        yield f'<testsuite name="Suite{suite}" tests="{TESTS_OF_A_SUITE}">'
        for test in range(TESTS_OF_A_SUITE):
            yield f'<testcase classname="Suite{suite}" name="t{test}">{output}</testcase>'
        yield "</testsuite>"


def _lines() -> Iterator[str]:
    for number in range(1_640):
        yield f'<class name="c{number}" filename="src/pkg{number % 40}/file{number}.py"><methods/><lines>'
        for line in range(LINES_OF_A_CLASS):
            yield f'<line number="{line + 1}" hits="{line % 3}" branch="true" condition-coverage="50% (1/2)"/>'
        yield "</lines></class>"


def _results() -> Iterator[str]:
    """SARIF results, a tenth of them with a code flow."""
    step = {"location": {"physicalLocation": {"artifactLocation": {"uri": "src/x.py"}, "region": {"startLine": 1}}}}
    for number in range(69_000):
        place = {"uri": f"src/module{number % 977}/file{number % 53}.py", "uriBaseId": "%SRCROOT%"}
        region = {"startLine": number % 2_000 + 1, "startColumn": 5, "endColumn": 30}
        result = {
            "ruleId": f"R{number % 400}",
            "ruleIndex": number % 400,
            "level": "error" if number % 4 == 0 else "note",
            "message": {"text": f"Some finding about the variable v{number} that flows into a sink."},
            "locations": [{"physicalLocation": {"artifactLocation": place, "region": region}}],
            "partialFingerprints": {"primaryLocationLineHash": f"{number:016x}:1"},
            **({"codeFlows": [{"threadFlows": [{"locations": [step] * 14}]}]} if number % 10 == 0 else {}),
        }
        yield ("," if number else "") + json.dumps(result)


def _rules() -> str:
    return json.dumps([{"id": f"R{number}", "help": {"text": "h" * 800}} for number in range(400)])


def _make(folder: Path) -> dict[str, tuple[str, Path, int]]:
    """Files of 40 to 60 MB: what they are to (format, path, bytes)."""
    sarif = ('{"version":"2.1.0","runs":[{"results":[', f'],"tool":{{"driver":{{"name":"t","rules":{_rules()}}}}}}}]}}')
    coverage = ("<coverage><packages><package><classes>", "</classes></package></packages></coverage>")
    made = {
        "JUnit, 490,000 tests": ("junit", ("<testsuites>", "</testsuites>"), _tests()),
        "JUnit, 28,000 tests with outputs": ("junit", ("<testsuites>", "</testsuites>"), _outputs()),
        "Cobertura, 820,000 lines": ("cobertura", coverage, _lines()),
        "SARIF, 69,000 results": ("sarif", sarif, _results()),
    }
    files: dict[str, tuple[str, Path, int]] = {}
    for number, (name, (report_format, (head, tail), pieces)) in enumerate(made.items()):
        path = folder / f"report-{number}"
        with path.open("w", encoding="utf-8") as file:
            file.write(head)
            file.writelines(pieces)
            file.write(tail)
        files[name] = (report_format, path, path.stat().st_size)
    return files


async def _read(report_format: str, path: Path, size: int, *more: str) -> tuple[float, float]:
    """MB per second of processor time, and MiB of memory."""
    command = (sys.executable, "-m", "bench.workers.read_report", report_format, str(path), *more)
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    if child.returncode != 0:
        raise BenchError(f"reading {path.name} failed")
    answer = json.loads(output)
    return size / MB / answer["cpu_s"], answer["peak_mib"]


async def run(lab: Lab, report: Report) -> None:
    """Each file by Headgate and by the bare parser, in turns, each time in a new process."""
    for name, (report_format, path, size) in _make(lab.folder).items():
        mine: list[tuple[float, float]] = []
        bare: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            mine.append(await _read(report_format, path, size))
            bare.append(await _read(report_format, path, size, "floor"))
        floor = "ijson alone" if report_format == "sarif" else "expat alone"
        label = f"{name}, {size / MB:.0f} MB"
        rates = tuple(rate for rate, _ in mine), tuple(rate for rate, _ in bare)
        report.figures.append(Figure("reports", label, "MB/s", rates[0], floor, rates[1]))
        report.figures.append(
            Figure("reports", "  memory that grows at the most", "MiB", tuple(mib for _, mib in mine))
        )
