"""Logs and traces. One request is one trace: HTTP → command → handler → SQL → event → next handler.

Spans are made and exported only when ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set. Without it the W3C ``traceparent`` still
travels through every message, and logs carry its trace id, at next to no cost.
"""

from __future__ import annotations

import contextvars
import logging
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import asyncpg
import structlog
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_current: contextvars.ContextVar[str] = contextvars.ContextVar("traceparent", default="")
_request: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
_propagator = TraceContextTextMapPropagator()
_tracers: dict[str, Tracer] = {}


def valid_traceparent(text: str) -> str:
    """The text if it is a W3C traceparent with non-zero ids, else an empty string."""
    match = _TRACEPARENT.fullmatch(text)
    return text if match and int(match[1], 16) and int(match[2], 16) else ""


def new_traceparent() -> str:
    """A traceparent with fresh random ids."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str = "") -> str:
    """The 32 hex digits of the trace, of the given or the current traceparent."""
    return (traceparent or _current.get())[3:35]


def bind_request(request_id: str) -> None:
    """Let the logs of this task carry the request's id."""
    _request.set(request_id)


def setup_tracing(service: str) -> None:
    """Export spans over OTLP/HTTP if the standard environment variable asks for it."""
    if service in _tracers or not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"headgate-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=1000))
    _tracers[service] = provider.get_tracer("headgate")


def flush_tracing() -> None:
    """Send what is still held; called when a process stops."""
    for tracer in _tracers.values():
        provider = getattr(tracer, "span_processor", None)
        if provider is not None:
            provider.force_flush(5000)


@contextmanager
def span(service: str, name: str, parent: str = "", kind: SpanKind = SpanKind.INTERNAL) -> Iterator[str]:
    """Run a block as a span; yields the traceparent to hand on. Without a tracer the parent itself is handed on."""
    tracer = _tracers.get(service)
    if tracer is None:
        traceparent = parent or _current.get() or new_traceparent()
        reset = _current.set(traceparent)
        try:
            yield traceparent
        finally:
            _current.reset(reset)
        return
    context = _propagator.extract({"traceparent": parent}) if parent else None
    with tracer.start_as_current_span(name, context=context, kind=kind):
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        reset = _current.set(carrier.get("traceparent", parent))
        try:
            yield _current.get()
        finally:
            _current.reset(reset)


def log_query(connection: asyncpg.Connection) -> None:
    """Make each SQL statement of the connection a span (only when tracing is on)."""
    if not _tracers:
        return

    def record(query: Any) -> None:
        current = trace.get_current_span()
        if not current.get_span_context().is_valid:
            return
        end = time.time_ns()
        tracer = next(iter(_tracers.values()))
        words = query.query.split(None, 2)[:2]
        started = tracer.start_span(
            "sql " + " ".join(words), start_time=end - int(query.elapsed * 1e9), kind=SpanKind.CLIENT
        )
        started.set_attribute("db.system", "postgresql")
        started.set_attribute("db.statement", query.query[:1000])
        started.end(end)

    connection.add_query_logger(record)


def _add_ids(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if traceparent := _current.get():
        event["trace_id"] = traceparent[3:35]
    if request_id := _request.get():
        event["request_id"] = request_id
    return event


def setup_logs(service: str, level: str, style: str, stream: TextIO | None = None) -> None:
    """Structured logs on stdout: JSON lines, or coloured text for a terminal."""
    target = stream or sys.stdout
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _add_ids,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(level=logging.WARNING, stream=target, format="%(levelname)s %(name)s %(message)s", force=True)


log = structlog.get_logger()
