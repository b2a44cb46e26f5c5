"""Logs and traces. One request is one trace: HTTP → command → handler → SQL → event → next handler.

Spans are made and exported only when ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set. Without it the W3C ``traceparent`` still
travels through every message, and logs carry its trace id, at next to no cost.
"""

from __future__ import annotations

import contextvars
import logging
import os
import random
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import asyncpg
import orjson
import structlog
from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from libs.common import log_export

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_current: contextvars.ContextVar[str] = contextvars.ContextVar("traceparent", default="")
_request: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
_propagator = TraceContextTextMapPropagator()
_tracers: dict[str, Tracer] = {}
_providers: dict[str, Any] = {}
_FLUSH_WITHIN_S = 3.0


def valid_traceparent(text: str) -> str:
    """The text if it is a W3C traceparent with non-zero ids, else an empty string."""
    match = _TRACEPARENT.fullmatch(text)
    return text if match and int(match[1], 16) and int(match[2], 16) else ""


def new_traceparent() -> str:
    """A traceparent with fresh random ids. They are no secrets: the quick generator will do, as in OpenTelemetry."""
    return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01"


def trace_id(traceparent: str = "") -> str:
    """The 32 hex digits of the trace, of the given or the current traceparent."""
    return (traceparent or _current.get())[3:35]


def exemplar(service: str, traceparent: str) -> dict[str, str] | None:
    """What a sample of a histogram points to: the trace, if its spans are exported and it was sampled; else nothing."""
    sampled = service in _tracers and int(traceparent[53:] or "0", 16) & 1
    return {"trace_id": traceparent[3:35]} if sampled else None


def ids_of(traceparent: str, request_id: str) -> dict[str, str]:
    """The ids of a message for a log line that is written outside its span."""
    return {name: value for name, value in (("trace_id", traceparent[3:35]), ("request_id", request_id)) if value}


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

    # Not at exit: with a collector that is away that would hold the process up; `stop_tracing` is bounded.
    provider = TracerProvider(resource=Resource.create({"service.name": f"headgate-{service}"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=1000))
    _providers[service], _tracers[service] = provider, provider.get_tracer("headgate")


def stop_tracing() -> None:
    """Send what is still held, for 3 s at the most, and make no more spans; called when a process stops."""
    ending = [threading.Thread(target=provider.shutdown, daemon=True) for provider in _providers.values()]
    _providers.clear()
    _tracers.clear()
    for thread in ending:
        thread.start()
    deadline = time.monotonic() + _FLUSH_WITHIN_S
    for thread in ending:
        thread.join(max(0.0, deadline - time.monotonic()))


def messaging(operation: str, destination: str, message_id: str = "", group: str = "") -> dict[str, str]:
    """Attributes of a span about a message (OpenTelemetry semantic conventions for messaging)."""
    found = {
        "messaging.system": "nats",
        "messaging.operation.type": operation,
        "messaging.operation.name": operation,
        "messaging.destination.name": destination,
    }
    if message_id:
        found["messaging.message.id"] = message_id
    if group:
        found["messaging.consumer.group.name"] = group
    return found


@contextmanager
def span(
    service: str,
    name: str,
    parent: str = "",
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, str] | None = None,
    *,
    request_id: str = "",
    links: Sequence[str] = (),
) -> Iterator[str]:
    """Run a block as a span; yields the traceparent to hand on. Without a tracer the parent itself is handed on.

    Without a parent the span belongs to the one that is open, if any. Logs inside carry its trace id, and
    ``request_id`` if one is given. ``links`` are traceparents of messages that a block works on together.
    """
    reset_request = _request.set(request_id) if request_id else None
    try:
        tracer = _tracers.get(service)
        if tracer is None:
            traceparent = parent or _current.get() or new_traceparent()
            reset = _current.set(traceparent)
            try:
                yield traceparent
            finally:
                _current.reset(reset)
            return
        context = _context_of(parent) if parent else None
        found = [Link(trace.get_current_span(_context_of(link)).get_span_context()) for link in links if link]
        with tracer.start_as_current_span(name, context, kind, attributes, links=found):
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            with _as_current(carrier.get("traceparent", parent)) as traceparent:
                yield traceparent
    finally:
        if reset_request is not None:
            _request.reset(reset_request)


@contextmanager
def _as_current(traceparent: str) -> Iterator[str]:
    reset = _current.set(traceparent)
    try:
        yield traceparent
    finally:
        _current.reset(reset)


def _context_of(traceparent: str) -> Any:
    return _propagator.extract({"traceparent": traceparent})


def describe(name: str, attributes: Mapping[str, str | int], *, failed: bool = False) -> None:
    """Give the open span its final name and more attributes. Does nothing when tracing is off."""
    current = trace.get_current_span()
    if current.is_recording():
        current.update_name(name)
        current.set_attributes(attributes)
        if failed:
            current.set_status(StatusCode.ERROR)


@contextmanager
def sending(service: str, messages: Sequence[tuple[str, str, bytes]]) -> Iterator[None]:
    """One span for each message ``(name, id, structured CloudEvent)`` that a block publishes; none if it fails.

    Each hangs on the span that made the message, whose traceparent it carries.
    """
    tracer, started = _tracers.get(service), time.time_ns()
    yield
    if tracer is None:
        return
    ended = time.time_ns()
    for name, message_id, payload in messages:
        if made_by := orjson.loads(payload).get("traceparent"):
            tracer.start_span(
                f"send {name}",
                _context_of(made_by),
                SpanKind.PRODUCER,
                messaging("send", name, message_id),
                start_time=started,
            ).end(ended)


def log_query(connection: asyncpg.Connection, service: str) -> None:
    """Make each SQL statement of the connection a span, inside the span that is open then (only if tracing is on)."""
    if service not in _tracers:
        return

    def record(query: Any) -> None:
        tracer = _tracers.get(service)
        if tracer is None or not trace.get_current_span().get_span_context().is_valid:
            return
        end = time.time_ns()
        words = query.query.split(None, 1)
        attributes = {
            "db.system.name": "postgresql",
            "db.namespace": service,
            "db.query.text": query.query[:1000],
        }
        tracer.start_span(
            f"sql {words[0].rstrip(';').upper()}" if words else "sql",
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=end - int(query.elapsed * 1e9),
        ).end(end)

    connection.add_query_logger(record)


def _add_ids(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if traceparent := _current.get():
        event.setdefault("trace_id", traceparent[3:35])
    if request_id := _request.get():
        event.setdefault("request_id", request_id)
    return event


def setup_logs(service: str, level: str, style: str, stream: TextIO | None = None) -> None:
    """Structured logs on stdout: JSON lines, or text for a terminal. Also to a collector, if there is one."""
    target = stream or sys.stdout
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    number = logging.getLevelNamesMapping()[level.upper()]

    def name_service(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service  # whichever task or thread speaks
        return event

    shared: list[Any] = [
        name_service,
        _add_ids,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    export = log_export.begin(service)

    def send(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if export is not None:
            export.put(event)
        return event

    structlog.configure(
        processors=[*shared, send, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    # What libraries log goes the same way, so that a reader of JSON lines never meets another kind of line.
    handler = logging.StreamHandler(target)
    last = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, send, renderer]
    chain = [structlog.stdlib.add_logger_name, *shared]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=last, foreign_pre_chain=chain))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


log = structlog.get_logger()
