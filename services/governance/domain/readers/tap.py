"""TAP, the Test Anything Protocol, versions 12 to 14, with subtests as node-tap, ``node --test`` and prove write them.

A test point is a test. One with subtests only sums them up, unless it fails though none of them does. ``# TODO`` fails
on purpose and counts as skipped, if it does not pass. What is no line of TAP is a tool's own output. A report without a
plan, with fewer points than planned, or with ``Bail out!`` is incomplete.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from libs.judge.junit_runs import FAILED, PASSED, SKIPPED
from libs.judge.report_base import BadReport, ParsedSignal, Remarks, clean_text
from services.governance.domain.readers.report_lines import read_lines
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.tests_read import WHOLE, Tests, tests_signal

MAX_SUBTESTS = 16
INDENT = 4
MAX_PLANNED = 10**9
_POINT = re.compile(r"(not )?ok\b[ \t]*(\d{1,9}\b)?[ \t]*(.*)")
_PLAN = re.compile(r"1\.\.(\d{1,9})(?:\s*#\s*(.*))?")
_DIRECTIVE = re.compile(r"(?<!\\)#\s*(skip\S*|todo)\b(.*)$", re.IGNORECASE)


@dataclass(slots=True)
class _Level:
    """Points of one depth. ``below``: those of subtests whose own point has not come yet."""

    planned: int | None = None
    seen: int = 0
    below: int = 0
    below_failed: int = 0
    failed: int = 0
    said: str = ""  # the name that "# Subtest: name" gave


@dataclass(slots=True)
class _Waiting:
    """A point that waits for the names of the subtests around it; ``names``: those that are known."""

    depth: int
    names: list[str]
    name: str
    outcome: int


def parse_tap(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``test.junit`` signal, with the keys that `junit.parse_junit` says. Raises BadReport."""
    source = Source(content, "TAP")
    run = _Run()
    for line in _without_yaml(read_lines(source)):
        run.take(line)
    remarks = Remarks()
    run.finish(remarks)
    return tests_signal(source, run.tests, 0, remarks)


def _without_yaml(lines: Iterator[str]) -> Iterator[str]:
    """The lines outside of the YAML blocks below points."""
    indent: str | None = None
    for line in lines:
        stripped = line.strip()
        if indent is not None:
            if line.startswith(indent) and stripped == "...":
                indent = None
            if indent is None or line.startswith(indent) or not stripped:
                continue
            indent = None  # it never ended: what is indented less is no part of it
        if stripped == "---" and line.startswith("  "):
            indent = line[: len(line) - len(line.lstrip())]
            continue
        yield line


class _Run:
    """Takes the lines one by one. Names of subtests come after them, so points wait until theirs is known."""

    def __init__(self) -> None:
        self.tests = Tests("TAP")
        self._levels = [_Level()]
        self._waiting: list[_Waiting] = []
        self._bailed = ""
        self._versioned = False
        self._short = 0
        self._planned = 0

    def take(self, line: str) -> None:
        text = line.strip()
        depth = min((len(line) - len(line.lstrip(" "))) // INDENT, MAX_SUBTESTS)
        text = text.removesuffix("{").rstrip() if text.endswith(" {") else text
        if text.startswith("TAP version "):
            self._versioned = True
        elif text.startswith("Bail out!"):
            self._bailed = text
        elif text.startswith("# Subtest"):
            self._close(depth - 1 if line.startswith(" ") else 0)
            self._level(depth).said = text.partition(":")[2].strip()
        elif (plan := _PLAN.fullmatch(text)) is not None:
            self._level(depth).planned = int(plan[1])
        elif (point := _POINT.fullmatch(text)) is not None:
            self._point(depth, point)

    def _level(self, depth: int) -> _Level:
        while len(self._levels) <= depth:
            self._levels.append(_Level())
        return self._levels[depth]

    def _close(self, depth: int) -> None:
        """End all levels deeper than ``depth + 1``; that one belongs to the point that comes next."""
        while len(self._levels) > max(depth, 0) + 2:
            self._end(self._levels.pop(), self._levels[-1])

    def _end(self, level: _Level, above: _Level) -> None:
        self._check_plan(level)
        above.below += level.seen + level.below
        above.below_failed += level.failed + level.below_failed

    def _check_plan(self, level: _Level) -> None:
        if level.planned is not None and level.planned > level.seen:
            self._short += level.planned - level.seen
        elif level.planned is None and level.seen:
            self._planned += 1

    def _point(self, depth: int, point: re.Match[str]) -> None:
        level = self._level(depth)
        while len(self._levels) > depth + 1:
            self._end(self._levels.pop(), self._levels[-1])
        words = point[3].strip()
        directive = _DIRECTIVE.search(words)
        if directive is not None:
            words = words[: directive.start()].strip()
        name = words.removeprefix("- ").strip() or level.said
        level.seen += 1
        name = name or f"test {point[2] or level.seen}"
        outcome = FAILED if point[1] else PASSED
        if directive is not None and (directive[1].lower().startswith("skip") or outcome == FAILED):
            outcome = SKIPPED
        excused = directive is not None and outcome == SKIPPED
        for one in self._waiting:
            if one.depth > depth:  # it is a subtest of this point
                one.depth = depth
                one.names.insert(0, name)
                if excused and one.outcome == FAILED:
                    one.outcome = SKIPPED
        if level.below and (outcome != FAILED or level.below_failed):
            level.failed += 0 if excused else level.below_failed
        else:
            level.failed += outcome == FAILED
            self._waiting.append(_Waiting(depth, [], name, outcome))
        level.below = level.below_failed = 0
        level.said = ""
        if depth == 0:
            self._flush()

    def _flush(self) -> None:
        for one in self._waiting:
            owner = " > ".join(one.names)
            self.tests.add(self.tests.id_of(owner, one.name, once=True), one.outcome, owner=owner)
        self._waiting.clear()

    def finish(self, remarks: Remarks) -> None:
        """Compare with the plans. Raises BadReport where nothing of it is TAP."""
        while len(self._levels) > 1:
            self._end(self._levels.pop(), self._levels[-1])
        self._flush()
        top = self._levels[0]
        runs = self.tests.runs
        if not runs.total and top.planned is None and not self._versioned and not self._bailed:
            raise BadReport('The TAP report has no test: no line begins with "ok" or "not ok", and none is a plan.')
        self._check_plan(top)
        if self._short:
            remarks.short("tests", runs.total + self._short, runs.total)
        if self._bailed or self._planned or (top.planned is None and not runs.total):
            remarks.short(WHOLE, 1, 0)
            remarks.note(
                clean_text(self._bailed, 200) or "There is no plan (1..N): nobody knows whether tests are missing."
            )
        if top.planned is not None and top.planned < top.seen:
            remarks.note(f"The plan announces {top.planned} tests and {top.seen} are there.")
