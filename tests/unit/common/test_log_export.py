"""Lines of the log on their way to a collector: they arrive as they are, and one that is away costs nobody time."""

import ast
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from libs.common import log_export, series
from libs.common.log_export import ENDPOINT, LogExport
from tests.otlp import Receiver

ROOT = Path(__file__).parents[3]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LINE = {"event": "x", "level": "warning", "timestamp": "2026-11-30T00:17:59.767728Z", "trace_id": TRACE, "count": 3}
CALLS = {"debug", "info", "warning", "error", "exception", "critical"}


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    log_export.stop()


def began(service: str) -> LogExport:
    export = log_export.begin(service)
    assert export is not None
    return export


def lost(service: str) -> float:
    return float(series.LOG_LINES_LOST.labels(service)._value.get())


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "docs" / "ops" / "log-line.schema.json").read_text(encoding="utf-8"))
    return found


def test_nothing_is_sent_unless_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENDPOINT, raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")  # it may take traces alone
    assert log_export.begin("quiet") is None
    assert lost("quiet") == 0


def test_a_line_arrives_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        monkeypatch.setenv(ENDPOINT, f"{receiver.url}/v1/logs")
        export = began("whole")
        for number in range(1300):
            export.put({**LINE, "count": number})
        export.put({"event": "an exporter can't export", "logger": "opentelemetry.sdk", "level": "warning"})
        log_export.stop()
    assert [json.loads(line.body) for line in receiver.lines] == [{**LINE, "count": n} for n in range(1300)]
    line = receiver.lines[0]
    assert (line.service, line.level, line.severity, line.trace_id) == ("whole", "warning", 13, TRACE)
    assert line.nanoseconds == 1795997879767728000
    assert lost("whole") == 0


def test_a_collector_that_never_answers_costs_no_time_and_what_is_lost_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_export, "FLUSH_WITHIN_S", 0.5)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{deaf.getsockname()[1]}/v1/logs")
        export = began("deaf")
        began_at = time.perf_counter()
        for number in range(20_000):
            export.put({**LINE, "count": number})
        took = time.perf_counter() - began_at
        # At the most one batch is in hand and the queue full; all else is lost, and nobody waited.
        assert 20_000 - log_export.HELD - log_export.AT_ONCE <= lost("deaf") <= 20_000 - log_export.HELD
        assert took < 4
        stopping = time.perf_counter()
        log_export.stop()
        assert time.perf_counter() - stopping < 2


def test_what_a_collector_refuses_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        monkeypatch.setenv(ENDPOINT, f"{receiver.url}/nowhere")
        export = began("refused")
        for _ in range(3):
            export.put(LINE)
        log_export.stop()
    assert lost("refused") == 3
    assert receiver.lines == []


def fields() -> dict[str, str]:
    """Each field that a line of ours may have, and where it is written."""
    found: dict[str, str] = {}
    for root in ("libs", "services", "deploy"):
        for path in (ROOT / root).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                whose = node.func.value
                of_ours = isinstance(whose, ast.Name) and whose.id in {"log", "write"}
                if of_ours and node.func.attr in CALLS:
                    found |= {word.arg: str(path.relative_to(ROOT)) for word in node.keywords if word.arg}
    return found


def test_each_field_of_a_line_is_in_the_schema_and_explained() -> None:
    known = schema()["properties"]
    # Added to every line, or of the line for each request, or made of exc_info.
    always = {"timestamp", "level", "service", "event", "trace_id", "request_id", "logger", "exception", "ms", "actor"}
    used = fields()
    assert {name: where for name, where in used.items() if name not in known} == {"exc_info": "libs/common/running.py"}
    assert set(known) - set(used) == always
    assert all(one["description"].endswith(".") for one in known.values())
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    "change",
    [
        {"password": "x"},
        {"level": "loud"},
        {"timestamp": "yesterday"},
        {"trace_id": "12"},
        {"event": "request", "service": "gateway"},
    ],
)
def test_the_schema_refuses(change: dict[str, str]) -> None:
    judge = jsonschema.Draft202012Validator(schema())
    good = {**LINE, "service": "tracker"}
    assert list(judge.iter_errors(good)) == []
    assert list(judge.iter_errors({**good, **change}))
