"""The outermost layer: ids, traces, headers, measures, and a problem document where nothing else answered.

Crash here means: one request is lost; nothing is stored in this layer.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from functools import cache

from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.common import acknowledge_links, unsubscribe_links
from libs.common.ids import uuid7
from libs.common.latency import LatencyRecorder
from libs.common.problems import Invalid, Refusal, Unavailable, problem
from libs.common.security_headers import secured
from libs.common.series import HTTP_DURATION, HTTP_REQUESTS
from libs.common.service import Clock
from libs.common.telemetry import bind_request, describe, exemplar, log, span, valid_traceparent
from services.gateway.answers import problem_answer, refusal_answer
from services.gateway.context import KEY, Context
from services.gateway.identity.token_addresses import place_of
from services.gateway.log_reads import LogReads
from services.gateway.refusals import STATUSES, Refusals
from services.gateway.request_log import PROBES, log_request

MAX_AT_ONCE = 1_000
MAX_AGENT = 200
SECRET_PATHS = (acknowledge_links.PATH, unsubscribe_links.PATH)  # what follows is a link's token, so no trace has it
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
Step = Callable[[], Awaitable[None]]


class Envelope:
    """Wraps the whole application; ``start`` runs before the first request of the server, ``stop`` after the last."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        clock: Clock,
        refusals: Refusals,
        log_reads: LogReads,
        latency: LatencyRecorder,
        logs_requests: bool,
        start: Step,
        stop: Step,
    ) -> None:
        self._app = app
        self._clock = clock
        self._refusals = refusals
        self._log_reads = log_reads
        self._latency = latency
        self._logs_requests = logs_requests
        self._steps = {"startup": start, "shutdown": stop}
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: HTTP and lifespan; there are no web sockets."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            self._at_once += 1
            try:
                await self._serve(scope, receive, send)
            finally:
                self._at_once -= 1
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            phase = (await receive())["type"].removeprefix("lifespan.")
            try:
                await self._steps[phase]()
            except Exception as error:  # the server prints the sentence and ends
                log.error("the edge can't start" if phase == "startup" else "the edge did not stop", error=str(error))
                await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
                return
            await send({"type": f"lifespan.{phase}.complete"})
            if phase == "shutdown":
                return

    def _context(self, scope: Scope) -> Context:
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get("x-request-id")) or str(uuid7())
        address = scope["client"][0] if scope.get("client") else "unknown"
        return Context(
            request_id=request_id,
            traceparent=valid_traceparent(headers.get("traceparent", "")),
            received_at=self._clock(),
            started=time.perf_counter(),
            address=address,
            agent=_agent(headers.get("user-agent")),
            who=f"address:{place_of(address)}",
        )

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = scope[KEY] = self._context(scope)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._with_ours(message["headers"], context, scope["scheme"])
            await send(message)

        bind_request(context.request_id)
        with span("gateway", _method(scope), context.traceparent, SpanKind.SERVER) as context.traceparent:
            try:
                if refusal := self._refuse_early(scope):
                    await refusal_answer(Request(scope), refusal)(scope, receive, send_with_headers)
                else:
                    await self._app(scope, receive, send_with_headers)
            except ClientDisconnect:
                status = status or 499
            except Exception as error:
                log.exception("request failed", method=_method(scope), route=context.route, error=repr(error))
                if status == 0:
                    detail = "This is our fault; the log says more under the trace id."
                    body = problem(500, "internal", "Internal error", detail, context.trace_id)
                    await problem_answer(500, body, {})(scope, receive, send_with_headers)
            finally:
                for done in context.at_end:
                    done()
            self._describe(scope, context, status)
        self._measure(scope, context, status)

    def _describe(self, scope: Scope, context: Context, status: int) -> None:
        """Name the span by the route's template, as the OpenTelemetry conventions for HTTP ask."""
        method = _method(scope)
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": context.route,
            "http.response.status_code": status,
            "url.path": next((path for path in SECRET_PATHS if scope["path"].startswith(path)), scope["path"][:200]),
            "client.address": context.address,
            "headgate.request_id": context.request_id,
        }
        describe(f"{method} {context.route}", attributes, failed=status >= 500)

    def _refuse_early(self, scope: Scope) -> Refusal | None:
        if "\x00" in scope["path"]:
            return Invalid("The path may not hold the character NUL.")
        if self._at_once > MAX_AT_ONCE and scope["path"] not in PROBES:
            return Unavailable("Too many requests are being worked on; try again in a second.", retry_after_s=1)
        return None

    def _with_ours(
        self, headers: Iterable[tuple[bytes, bytes]], context: Context, scheme: str
    ) -> list[tuple[bytes, bytes]]:
        """Names in lower case, as ASGI has them."""
        found = secured(list(headers), scheme)
        took_ms = f"{(time.perf_counter() - context.started) * 1000:.1f}"
        found += (
            (b"x-request-id", context.request_id.encode()),
            (b"traceparent", context.traceparent.encode()),
            (b"x-request-duration-ms", took_ms.encode()),
        )
        found += [(name.lower().encode(), value.encode()) for name, value in context.headers.items()]
        return found

    def _measure(self, scope: Scope, context: Context, status: int) -> None:
        method, seconds = _method(scope), time.perf_counter() - context.started
        _requests(method, context.route, status).inc()
        if self._logs_requests:
            log_request(context, method, scope["path"], status, seconds * 1000)
        if status in STATUSES and not context.prompted:
            self._refusals.count(context.who, context.route, status)
        if context.logged and status < 400:
            self._log_reads.count(context.who, context.route)
        if context.route == "/api/events" and status == 200:
            return  # a stream lasts as long as its reader likes: that is no latency
        _durations(method, context.route).observe(seconds, exemplar("gateway", context.traceparent))
        self._latency.record(method, context.route, status, seconds * 1000)


def _request_id(text: str | None) -> str | None:
    """The caller's own id for the request, if it is a UUID."""
    if not text:
        return None
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def _agent(text: str | None) -> str:
    """What the caller's program calls itself: it goes into the audit log, so it is cut and holds no control signs."""
    return "".join(sign if sign.isprintable() else "?" for sign in (text or "")[:MAX_AGENT])


# The series are looked up by label values at each request; both are bounded by the route templates.
@cache
def _requests(method: str, route: str, status: int) -> Counter:
    return HTTP_REQUESTS.labels("gateway", method, route, str(status))


@cache
def _durations(method: str, route: str) -> Histogram:
    return HTTP_DURATION.labels("gateway", method, route)


def _method(scope: Scope) -> str:
    method = scope["method"]
    return method if method in METHODS else "OTHER"
