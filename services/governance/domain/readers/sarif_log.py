"""Reads a SARIF log as a stream: first what its runs say of themselves, then their results one by one.

Serializers that sort keys write ``results`` before ``tool``, where the rules stand, so the log is read twice. Nothing
but the heads and one result is in memory at a time; code flows, artifacts' contents and the like are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ijson  # type: ignore[import-untyped]

from libs.judge.report_base import JSON, MAX_DEPTH, BadReport
from services.governance.domain.readers.report_text import CHUNK_BYTES, Source

MAX_RUNS = 1_000
MAX_HEAD_VALUES = 1_000_000  # of all tools, rules, invocations and artifacts together
MAX_RESULTS = 500_000  # of all runs together: each takes about 25 microseconds, and a fingerprint in the signal
MAX_RESULT_VALUES = 200_000

Event = tuple[str, Any]
_OPENING = frozenset({"start_map", "start_array"})
_CLOSING = frozenset({"end_map", "end_array"})
_HEAD_KEYS = frozenset(
    {
        "tool",
        "automationDetails",
        "externalPropertyFileReferences",
        "invocations",
        "originalUriBaseIds",
        "artifacts",
    }
)


@dataclass(slots=True)
class RunHead:
    """A run without its results. ``result_count`` is None where the log has no list of results for it."""

    values: dict[str, JSON] = field(default_factory=dict)
    result_count: int | None = None


@dataclass(slots=True)
class LogHead:
    """``version`` of the log and the heads of its runs, in their order; ``runs`` is None where there is no list."""

    version: JSON = None
    runs: list[RunHead] | None = None


def read_heads(source: Source) -> LogHead:
    """Everything but the results. Raises BadReport for broken, too deep or too large JSON."""
    return _HeadReader(source).read()


def read_results(source: Source) -> Iterator[JSON]:
    """All results of all runs, in their order. Call ``read_heads`` before: it checks the bounds."""
    try:
        yield from ijson.items(source.utf8(), "runs.item.results.item", buf_size=CHUNK_BYTES)
    except (ijson.JSONError, ValueError) as error:
        raise _broken(source, error) from None


def _broken(source: Source, error: Exception) -> BadReport:
    if isinstance(error, BadReport):
        return error
    words = str(error).strip().splitlines() or ["it ends too early"]
    return BadReport(f"The {source.what} report is not valid JSON: {words[0][:200]}. It may have been cut off.")


class _HeadReader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._values = 0
        self._results = 0
        self._events: Iterator[Event] = ijson.basic_parse(source.utf8(), buf_size=CHUNK_BYTES)

    def read(self) -> LogHead:
        try:
            return self._log()
        except (ijson.JSONError, ValueError) as error:
            raise _broken(self._source, error) from None

    def _log(self) -> LogHead:
        if next(self._events)[0] != "start_map":
            raise BadReport(f"The {self._source.what} report is not a JSON object.")
        log = LogHead()
        for key in self._keys():
            event = next(self._events)
            if key == "version":
                log.version = self._build(event)
            elif key == "runs" and event[0] == "start_array":
                if log.runs is not None:
                    raise BadReport("The SARIF log has runs twice.")
                log.runs = self._runs()
            elif key == "runs" and event[0] != "null":
                raise BadReport("runs is not a list.")
            else:
                self._skip(event[0], None)
        for _ in self._events:  # the parser itself refuses what stands after the end
            pass
        return log

    def _keys(self) -> Iterator[str]:
        """The keys of the object that was just opened; the caller takes each value before the next key."""
        for event, value in self._events:
            if event == "end_map":
                return
            yield value
        raise self._cut_off()

    def _cut_off(self) -> BadReport:
        return BadReport(f"The {self._source.what} report ends too early; it may have been cut off.")

    def _runs(self) -> list[RunHead]:
        runs: list[RunHead] = []
        for event, _value in self._events:
            if event == "end_array":
                return runs
            if event != "start_map":
                raise BadReport(f"runs[{len(runs)}] is not an object.")
            if len(runs) >= MAX_RUNS:
                raise BadReport(f"The SARIF log has more than {MAX_RUNS} runs: split it.")
            runs.append(self._run(f"runs[{len(runs)}]"))
        raise self._cut_off()

    def _run(self, where: str) -> RunHead:
        run = RunHead()
        for key in self._keys():
            event = next(self._events)
            if key == "results" and event[0] == "start_array":
                if run.result_count is not None:
                    raise BadReport(f"{where} has results twice.")
                run.result_count = self._count_results()
            elif key == "results" and event[0] != "null":
                raise BadReport(f"{where}.results is not a list.")
            elif key in _HEAD_KEYS:
                run.values[key] = self._build(event, only=("location",) if key == "artifacts" else None)
            else:
                self._skip(event[0], None)
        return run

    def _count_results(self) -> int:
        for count, (event, _value) in enumerate(self._events):
            if event == "end_array":
                return count
            self._results += 1
            if self._results > MAX_RESULTS:
                raise BadReport(f"The SARIF log has more than {MAX_RESULTS} results: split it into parts.")
            self._skip(event, MAX_RESULT_VALUES)
        raise self._cut_off()

    def _skip(self, event: str, most: int | None) -> None:
        """Pass over a value whose first event was taken. ``most``: how many values it may hold."""
        if event not in _OPENING:
            return
        depth, seen = 1, 0
        for inside, _value in self._events:
            seen += 1
            if inside in _OPENING:
                depth += 1
                if depth > MAX_DEPTH:
                    raise BadReport(f"The {self._source.what} report is nested more than {MAX_DEPTH} levels deep.")
            elif inside in _CLOSING:
                depth -= 1
                if not depth:
                    break
        else:
            raise self._cut_off()
        if most is not None and seen > 2 * most:
            raise BadReport(f"A result of the SARIF log holds more than {most} values.")

    def _build(self, first: Event, only: tuple[str, ...] | None = None, depth: int = 0) -> JSON:
        """The value whose first event was taken. ``only``: of the objects in a list, keep these keys."""
        event, value = first
        self._values += 1
        if self._values > MAX_HEAD_VALUES:
            raise BadReport(f"The heads of the SARIF log's runs hold more than {MAX_HEAD_VALUES} values: split it.")
        if depth > MAX_DEPTH:
            raise BadReport(f"The {self._source.what} report is nested more than {MAX_DEPTH} levels deep.")
        if event == "start_map":
            made: dict[str, JSON] = {}
            for key in self._keys():
                following = next(self._events)
                if only is not None and depth == 1 and key not in only:
                    self._skip(following[0], None)
                else:
                    made[key] = self._build(following, only, depth + 1)
            return made
        if event == "start_array":
            items: list[JSON] = []
            for following in self._events:
                if following[0] == "end_array":
                    return items
                items.append(self._build(following, only, depth + 1))
            raise self._cut_off()
        plain: JSON = value
        return plain
