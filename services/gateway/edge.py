"""The HTTP edge put together: its parts, its routes, and what runs beside the requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from libs.common.buckets import BUCKETS, REPORTS
from libs.common.latency import LatencyRecorder
from libs.common.objects import Bucket
from libs.common.problems import PROBLEM_JSON, NotFound, Refusal, problem
from libs.common.running import Running, spawn
from libs.common.runtime import StartError
from libs.common.vault import VaultError, vault_of
from services.gateway import mount, pages
from services.gateway.access import Access
from services.gateway.acknowledge_links import Links
from services.gateway.answers import refusal_answer
from services.gateway.bodies import path_values, read_query
from services.gateway.bootstrap import bootstrap
from services.gateway.callout import Callout
from services.gateway.carrier import Carrier
from services.gateway.commands import Commands
from services.gateway.context import context_of
from services.gateway.deliveries import PATH as WEBHOOK_PATH
from services.gateway.deliveries import Deliveries
from services.gateway.durables import Durables
from services.gateway.envelope import Envelope
from services.gateway.health import Health
from services.gateway.identity import Identity
from services.gateway.latency import publish_latency
from services.gateway.limits import Limiter
from services.gateway.outcomes import Outcomes
from services.gateway.questions import Questions
from services.gateway.refusals import Refusals
from services.gateway.seals import WebhookSecrets
from services.gateway.sse import Streams
from services.gateway.switch import switched
from services.gateway.tlog import StaticLog
from services.gateway.unsubscribe_links import Unsubscriptions
from services.gateway.uploads import Uploads

Handler = Callable[[Request, Exception], Awaitable[Response]]


class Edge:
    """The parts that requests share."""

    def __init__(self, running: Running) -> None:
        settings = running.settings
        self.running = running
        self.stopping = running.stopping
        self.identity = Identity(running.pool, running.clock)
        self.access = Access(
            self.identity, Limiter(settings.requests_per_minute), Limiter(settings.anonymous_requests_per_minute)
        )
        self.questions = Questions(running.bus, running.queries, running.service.name)
        self.outcomes = Outcomes()
        self.commands = Commands(running.bus, self.questions, self.outcomes, running.instance, settings.command_wait_s)
        secret = settings.webhook_secret
        self.webhooks = WebhookSecrets(None if secret is None else secret.get_secret_value().encode())
        try:
            self.vault = vault_of(settings)
        except VaultError as error:
            raise StartError(str(error)) from None
        self.deliveries = Deliveries(running.pool, self.access, self.commands, self.webhooks, running.clock)
        self.refusals = Refusals(running)
        self.links = Links(
            running.pool, self.access, self.questions, self.commands, self.refusals, self.vault, running.clock
        )
        self.unsubscriptions = Unsubscriptions(self.access, self.commands, self.refusals, self.vault, running.clock)
        self.durables = Durables(running)
        self.carrier = Carrier(running.bus)
        self.callout = Callout(running, self.identity, self.durables, self.refusals)
        self.latency = LatencyRecorder()
        self.streams = Streams(self.access, self.identity, running.bus, self.stopping, settings.public_url)
        self.health = Health(running)
        self.static_log = StaticLog(self.access, self.questions, public=settings.audit_public)
        names = [plan.name for plan in BUCKETS if running.service.name in plan.reads]
        self.buckets = {name: Bucket(name).bind(running.bus) for name in names}
        self.uploads = Uploads(self.buckets[REPORTS.name], settings.max_report_bytes)

    async def start(self) -> None:
        """Make the first owner if need be, then hear outcomes and changes of identity. Before the first request."""
        await bootstrap(self.running)
        await self.outcomes.start(self.running.bus, self.running.instance)
        await self.identity.start(self.running.bus)
        await self.deliveries.start(self.running.bus)
        for part in (self.durables, self.carrier, self.callout):
            await part.start()
        await self.running.bus.settle()  # a token that another gateway revokes from now on is heard of here
        spawn(self.running, "edge uses", self.identity.keep_storing_uses())
        spawn(self.running, "edge refusals", self.refusals.keep_flushing())
        spawn(self.running, "edge durables", self.durables.keep())
        spawn(self.running, "edge callout", self.callout.keep())
        spawn(self.running, "edge latency", publish_latency(self.running, self.latency))

    async def stop(self) -> None:
        """After the last request: store what is only in memory."""
        self.stopping.set()
        await self.refusals.flush()
        await self.deliveries.stop()
        for part in (self.callout, self.carrier, self.durables):
            await part.stop()
        await self.identity.stop()


def create_app(running: Running) -> ASGIApp:
    """The gateway's ASGI application: Starlette's router under an outermost layer of our own.

    Routes, their checks and their documents are made from the contracts, so nothing of FastAPI would be used.
    """
    return app_of(Edge(running))


def app_of(edge: Edge) -> ASGIApp:
    """See `create_app`."""
    app = Starlette()
    app.router.redirect_slashes = False
    parts = mount.Parts(
        edge.access,
        edge.commands,
        edge.questions,
        edge.running.clock,
        edge.uploads,
        edge.buckets,
        edge.webhooks,
        edge.vault,
    )
    routes = [
        *pages.routes(edge.access, edge.health, edge.running.settings.public_url),
        *_own_routes(edge),
        *edge.links.routes(),
        *edge.unsubscriptions.routes(),
        *mount.routes(parts),
    ]
    app.router.routes[:] = switched(routes)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _no_route(edge, routes))
    app.add_exception_handler(Exception, _broken)
    return Envelope(
        app,
        clock=edge.running.clock,
        refusals=edge.refusals,
        latency=edge.latency,
        start=edge.start,
        stop=edge.stop,
    )


def _own_routes(edge: Edge) -> list[Route]:
    """The few authenticated routes that are no operation of a service, or are not asked with a token."""

    async def show_command(request: Request) -> Response:
        context_of(request).route = "/api/commands/{reference}"
        principal = await edge.access.admit(request, "me:read")
        read_query(request, frozenset())
        return await edge.commands.show(request, principal, path_values(request)["reference"])

    async def status(request: Request) -> Response:
        context_of(request).route = "/api/status"
        await edge.access.admit(request, "status:read")
        read_query(request, frozenset())
        report = await edge.health.report()
        return Response(orjson.dumps(report), 200 if report["all_up"] else 503, media_type="application/json")

    return [
        Route("/api/commands/{reference}", show_command, methods=["GET"]),
        Route("/api/status", status, methods=["GET"]),
        Route(WEBHOOK_PATH, edge.deliveries.receive, methods=["POST"]),
        Route("/api/events", edge.streams.open, methods=["GET"]),
        *edge.static_log.routes(),
    ]


async def _broken(request: Request, _error: Exception) -> Response:
    """The answer to a fault of ours; `Envelope` logs it."""
    detail = "This is our fault; the log says more under the trace id."
    body = problem(500, "internal", "Internal error", detail, context_of(request).trace_id)
    return Response(body, 500, media_type=PROBLEM_JSON)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101  registered for this class only
    return refusal_answer(request, error)


def _no_route(edge: Edge, routes: list[Route]) -> Handler:
    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  registered for this class only
        context = context_of(request)
        try:
            edge.access.limit_stranger(context)
        except Refusal as refusal:
            return refusal_answer(request, refusal)
        if error.status_code != 405:
            return refusal_answer(request, NotFound("There is no such path; /docs lists those that there are."))
        methods: set[str] = set()
        for route in routes:
            if route.matches(request.scope)[0] is not Match.NONE:
                methods |= route.methods or set()
        allow = ", ".join(sorted(methods))
        detail = f"This path takes {allow}, not {request.method[:20]}."
        body = problem(405, "method-not-allowed", "The method is not allowed here", detail, context.trace_id)
        return Response(body, 405, {"Allow": allow}, media_type=PROBLEM_JSON)

    return answer
