"""A small OTLP/HTTP receiver: what a collector would get of our spans and log lines (OTLP 1.x, binary protobuf)."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Span:
    """One span; ids are hex digits, `parent` is empty for a root, `links` are (trace id, span id)."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    attributes: dict[str, str | int]
    links: tuple[tuple[str, str], ...]
    failed: bool


@dataclass(frozen=True)
class Line:
    """One line of a log; `trace_id` is hex digits, empty outside a trace."""

    service: str
    level: str
    severity: int
    nanoseconds: int
    trace_id: str
    body: str


class Receiver:
    """Listens on a free loopback port between `start` and `stop`; `spans` and `lines` are all that came."""

    def __init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                takes = {"/v1/traces": receiver.take, "/v1/logs": receiver.take_lines}
                good = self.path in takes and self.headers["Content-Type"] == "application/x-protobuf"
                if good:
                    takes[self.path](body)
                answered = ExportLogsServiceResponse() if self.path == "/v1/logs" else ExportTraceServiceResponse()
                answer = answered.SerializeToString()
                self.send_response(200 if good else 404)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the standard library's name
                """Say nothing."""

        self.spans: list[Span] = []
        self.lines: list[Line] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is to be set to."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, body: bytes) -> None:
        """Keep the spans of one export request."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    values = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
                    self.spans.append(
                        Span(
                            service=named["service.name"].removeprefix("headgate-"),
                            name=span.name,
                            kind=span.kind,
                            trace_id=span.trace_id.hex(),
                            span_id=span.span_id.hex(),
                            parent=span.parent_span_id.hex(),
                            attributes=values,
                            links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                            failed=span.status.code == 2,
                        )
                    )

    def take_lines(self, body: bytes) -> None:
        """Keep the lines of one export request."""
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            named = {one.key: one.value.string_value for one in resource.resource.attributes}
            service = named["service.name"].removeprefix("headgate-")
            self.lines += [
                Line(
                    service, one.severity_text, one.severity_number, one.time_unix_nano, one.trace_id.hex(),
                    one.body.string_value,
                )
                for scope in resource.scope_logs
                for one in scope.log_records
            ]  # fmt: skip

    def tree(self, trace_id: str) -> tuple[list[Span], list[Span]]:
        """The spans of a trace: those that hang on nothing that came (a whole tree has one), and all."""
        spans = [span for span in list(self.spans) if span.trace_id == trace_id]
        known = {span.span_id for span in spans}
        return [span for span in spans if span.parent not in known], spans

    def path(self, leaf: Span) -> list[str]:
        """``service: name`` from the root down to a span."""
        by_id = {span.span_id: span for span in list(self.spans)}
        found: list[str] = []
        one: Span | None = leaf
        while one is not None:
            found.append(f"{one.service}: {one.name}")
            one = by_id.get(one.parent)
        return found[::-1]
