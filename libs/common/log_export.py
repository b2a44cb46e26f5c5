"""Lines of the log to a collector, such as Loki, by OTLP over HTTP; standard output has them all the same.

Only ``OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`` switches it on: a collector of traces alone would refuse them. A record's body
is the JSON line itself. Whoever logs never waits: a line that finds the queue full, or that the collector doesn't take
in time, is lost there and counted.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from libs.common import series

ENDPOINT = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
HELD = 4_096
AT_ONCE = 512
EVERY_S = 1.0
ANSWER_WITHIN_S = 5.0
FLUSH_WITHIN_S = 3.0
# What speaks while lines are sent: to send that, too, would never end.
OF_THE_EXPORT = ("opentelemetry", "urllib3", "requests")
_SEVERITIES = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.FATAL,
}


class LogExport:
    """Holds lines of a service for a moment, and sends them from a thread of its own."""

    def __init__(self, service: str, exporter: LogRecordExporter, *, held: int = HELD) -> None:
        self.service = service
        self._exporter = exporter
        self._held = held
        self._resource = Resource.create({"service.name": f"headgate-{service}"})
        self._waiting: deque[ReadableLogRecord] = deque()
        self._full_enough = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="log export", daemon=True)
        self._thread.start()

    def put(self, event: Mapping[str, Any]) -> None:
        """Take one line, or count it as lost if too many wait."""
        if str(event.get("logger", "")).startswith(OF_THE_EXPORT):
            return
        if self._ending or len(self._waiting) >= self._held:
            series.LOG_LINES_LOST.labels(self.service).inc()
            return
        self._waiting.append(self._record(event))
        if len(self._waiting) >= AT_ONCE:
            self._full_enough.set()

    def stop(self) -> None:
        """Send what waits, for 3 s at the most; what is left then is lost."""
        deadline = time.monotonic() + FLUSH_WITHIN_S
        self._ending = True
        self._full_enough.set()
        self._thread.join(FLUSH_WITHIN_S)
        # Interrupts the wait before another attempt.
        ending = threading.Thread(target=self._exporter.shutdown, daemon=True)
        ending.start()
        ending.join(max(0.1, deadline - time.monotonic()))

    def _record(self, event: Mapping[str, Any]) -> ReadableLogRecord:
        level = str(event.get("level", "info"))
        record = LogRecord(
            timestamp=_nanoseconds(event.get("timestamp")),
            context=trace.set_span_in_context(NonRecordingSpan(_place(str(event.get("trace_id", ""))))),
            severity_text=level,
            severity_number=_SEVERITIES.get(level, SeverityNumber.UNSPECIFIED),
            body=json.dumps(event, default=repr),
        )
        return ReadableLogRecord(log_record=record, resource=self._resource)

    def _run(self) -> None:
        while not self._ending:
            self._full_enough.wait(EVERY_S)
            self._full_enough.clear()
            self._send()
        self._send()  # what came between the last look and the end

    def _send(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            try:
                sent = self._exporter.export(batch) is LogRecordExportResult.SUCCESS
            except Exception:  # whatever it is, this thread goes on, and the next lines may get through
                sent = False
            if not sent:
                series.LOG_LINES_LOST.labels(self.service).inc(len(batch))


def _place(trace_id: str) -> SpanContext:
    """Where in which trace a line was written: the open span, if it is of that trace."""
    here = trace.get_current_span().get_span_context()
    if len(trace_id) != 32 or f"{here.trace_id:032x}" == trace_id:
        return here
    return SpanContext(int(trace_id, 16), 0, is_remote=False, trace_flags=TraceFlags(0))


def _nanoseconds(moment: Any) -> int:
    if not isinstance(moment, str):
        return time.time_ns()
    return round(datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp() * 1_000_000) * 1_000


_exports: list[LogExport] = []


def begin(service: str) -> LogExport | None:
    """Export the lines of this process if the environment asks for it."""
    series.LOG_LINES_LOST.labels(service)  # no rule sees the first event of a series
    if not (endpoint := os.environ.get(ENDPOINT)):
        return None
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    made = LogExport(service, OTLPLogExporter(endpoint=endpoint, timeout=ANSWER_WITHIN_S))
    _exports.append(made)
    return made


def stop() -> None:
    """Send what is still held; called as the last thing of a process."""
    while _exports:
        _exports.pop().stop()
