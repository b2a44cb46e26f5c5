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
from libs.common.contracts.gateway.federation import PATH as LOGIN_PATH
from libs.common.contracts.gateway.logins import PATH as LOGINS_PATH
from libs.common.contracts.gateway.logins import RENEW_PATH
from libs.common.contracts.gateway.passwords import SET_PATH
from libs.common.contracts.gateway.passwords import SIGN_IN_PATH as PASSWORD_PATH
from libs.common.contracts.gateway.sessions import PATH as SESSIONS_PATH
from libs.common.contracts.gateway.sign_in import CALLBACK_PATH, LIST_PATH, LOGOUT_PATH, SIGN_OUT_PATH, SIGNED_OUT_PATH
from libs.common.contracts.gateway.sign_in import PATH as SIGN_IN_PATH
from libs.common.latency import LatencyRecorder
from libs.common.objects import Bucket
from libs.common.outbound import Outbound
from libs.common.problems import PROBLEM_JSON, NotFound, Refusal, problem
from libs.common.running import Running, spawn
from libs.common.runtime import StartError
from libs.common.vault import VaultError, vault_of
from services.gateway import mount, pages
from services.gateway.access import Access
from services.gateway.answers import refusal_answer
from services.gateway.bodies import path_values, read_query
from services.gateway.commands import Commands
from services.gateway.context import context_of
from services.gateway.denials import Denials
from services.gateway.doors.acknowledge_links import Links
from services.gateway.doors.deliveries import PATH as WEBHOOK_PATH
from services.gateway.doors.deliveries import Deliveries
from services.gateway.doors.federated_login import FederatedLogin
from services.gateway.doors.tlog import StaticLog
from services.gateway.doors.unsubscribe_links import Unsubscriptions
from services.gateway.envelope import Envelope
from services.gateway.health import Health
from services.gateway.identity.bootstrap import bootstrap
from services.gateway.identity.callers import Identity
from services.gateway.identity.issuer_keys import IssuerKeys
from services.gateway.identity.keeper import admit_keeper
from services.gateway.identity.session_callers import Sessions
from services.gateway.keys import keep_rewrapping
from services.gateway.latency import publish_latency
from services.gateway.limits.counting import limits_of
from services.gateway.log_reads import LogReads
from services.gateway.outcomes import Outcomes
from services.gateway.passwords.breached import BreachedList
from services.gateway.passwords.checking import Checker
from services.gateway.passwords.door import PasswordDoor
from services.gateway.passwords.hashing import Hashing
from services.gateway.passwords.proofs import Proofs
from services.gateway.passwords.tries import TryCounter
from services.gateway.personal.clients import Clients
from services.gateway.questions import Questions
from services.gateway.refusals import Refusals
from services.gateway.seals import WebhookSecrets
from services.gateway.second_factors.checking import Factors
from services.gateway.second_factors.demands import Demands
from services.gateway.sessions.door import SessionDoor
from services.gateway.sessions.leaving import LeavingDoor
from services.gateway.sessions.login_door import LoginDoor
from services.gateway.sessions.provider import Providers
from services.gateway.sessions.sign_in import SignInDoor
from services.gateway.sessions.sign_out import SignOutDoor
from services.gateway.sharing.door import ShareDoor
from services.gateway.sse import Streams
from services.gateway.subscribing.callout import Callout
from services.gateway.subscribing.carrier import Carrier
from services.gateway.subscribing.durables import Durables
from services.gateway.switch import switched
from services.gateway.uploads import Uploads

Handler = Callable[[Request, Exception], Awaitable[Response]]


class Edge:
    """The parts that requests share."""

    def __init__(self, running: Running) -> None:
        settings = running.settings
        self.running = running
        self.stopping = running.stopping
        self.identity = Identity(running.pool, running.clock)
        self.sessions = Sessions(running.pool, running.clock)
        self.limits = limits_of(settings, running.bus)
        self.demands = Demands(running.pool, running.clock)
        self.access = Access(self.identity, self.sessions, self.limits, self.demands, settings.requests_at_once)
        self.questions = Questions(running.bus, running.queries, running.service.name)
        self.outcomes = Outcomes()
        self.clients = Clients(running.pool, running.clock)
        self.commands = Commands(
            running.bus, self.questions, self.outcomes, self.clients, running.instance, settings.command_wait_s
        )
        secret = settings.webhook_secret
        self.webhooks = WebhookSecrets(None if secret is None else secret.get_secret_value().encode())
        try:
            self.vault = vault_of(settings)
        except VaultError as error:
            raise StartError(str(error)) from None
        self.deliveries = Deliveries(running.pool, self.access, self.commands, self.webhooks, running.clock)
        self.outbound = Outbound(settings.outbound_networks, settings.outbound_ports)
        keys = IssuerKeys(self.outbound)
        self.federated_login = FederatedLogin(running.pool, self.access, self.commands, keys, running.clock)
        client_secrets = {name: one.get_secret_value() for name, one in settings.sign_in_secrets.items()}
        providers = Providers(self.outbound, IssuerKeys(self.outbound), client_secrets, running.clock)
        self.sign_in = SignInDoor(
            running.pool, self.access, self.commands, providers, self.vault, running.clock, settings.public_url
        )
        self.sign_out = SignOutDoor(self.sign_in.rules, self.access, self.commands, providers)
        self.leaving = LeavingDoor(running, self.sign_in.rules, self.access, self.commands, providers, self.vault)
        self.session_door = SessionDoor(self.access, self.commands)
        try:
            breached = BreachedList(settings.breached_passwords)
        except OSError as error:
            raise StartError(f"HEADGATE_BREACHED_PASSWORDS can't be read: {error.strerror}.") from None
        self.hashing = Hashing(settings.password_hashes_at_once)
        tries = TryCounter(running.pool, running.clock)
        checker = Checker(running.pool, self.hashing, tries, breached, self.vault)
        factors = Factors(running.pool, self.vault, running.clock)
        self.proofs = Proofs(checker, factors, tries)
        self.password_door = PasswordDoor(
            running.pool, self.access, self.commands, checker, factors, self.vault, running.clock
        )
        self.login_door = LoginDoor(running.pool, self.access, self.commands)
        self.refusals = Refusals(running)
        self.log_reads = LogReads(running)
        self.denials = Denials(running, self.clients)
        self.links = Links(
            running.pool, self.access, self.questions, self.commands, self.refusals, self.vault, running.clock
        )
        self.unsubscriptions = Unsubscriptions(self.access, self.commands, self.refusals, self.vault, running.clock)
        self.share_door = ShareDoor(
            running.pool, self.access, self.questions, self.commands, self.refusals, running.clock
        )
        self.durables = Durables(running)
        self.carrier = Carrier(running.bus)
        self.callout = Callout(running, self.identity, self.durables, self.refusals)
        self.latency = LatencyRecorder()
        self.streams = Streams(self.access, running.bus, self.stopping, settings.public_url)
        self.health = Health(running)
        self.static_log = StaticLog(self.access, self.questions, public=settings.audit_public)
        names = [plan.name for plan in BUCKETS if running.service.name in plan.reads]
        self.buckets = {name: Bucket(name).bind(running.bus) for name in names}
        self.uploads = Uploads(self.buckets[REPORTS.name], settings.max_report_bytes)

    async def start(self) -> None:
        """Make the first owner and the keeper if need be, then hear outcomes and identity. Before the first request."""
        await bootstrap(self.running)
        await admit_keeper(self.running)
        await self.outcomes.start(self.running.bus, self.running.instance)
        await self.identity.start(self.running.bus)
        await self.sessions.start(self.running.bus)
        await self.demands.start(self.running.bus)
        await self.deliveries.start(self.running.bus)
        await self.federated_login.start(self.running.bus)
        for part in (self.durables, self.carrier, self.callout):
            await part.start()
        await self.running.bus.settle()  # a token that another gateway revokes from now on is heard of here
        spawn(self.running, "edge uses", self.identity.keep_storing_uses())
        spawn(self.running, "edge sessions", self.sessions.keep_storing_seen())
        spawn(self.running, "edge keys", keep_rewrapping(self.running.pool, self.vault))
        spawn(self.running, "edge refusals", self.refusals.keep_flushing())
        spawn(self.running, "edge log reads", self.log_reads.keep_flushing())
        spawn(self.running, "edge denials", self.denials.keep_flushing())
        spawn(self.running, "edge durables", self.durables.keep())
        spawn(self.running, "edge callout", self.callout.keep())
        spawn(self.running, "edge latency", publish_latency(self.running, self.latency))

    async def stop(self) -> None:
        """After the last request: store what is only in memory."""
        self.stopping.set()
        await self.refusals.flush()
        await self.log_reads.flush()
        await self.denials.flush()
        await self.deliveries.stop()
        await self.federated_login.stop()
        await self.outbound.close()
        self.hashing.close()
        for part in (self.callout, self.carrier, self.durables):
            await part.stop()
        await self.demands.stop()
        await self.sessions.stop()
        await self.identity.stop()
        await self.limits.close()


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
        edge.proofs,
        edge.denials,
        edge.demands,
    )
    routes = [
        *pages.routes(edge.access, edge.health, edge.running.settings.public_url),
        *_own_routes(edge),
        *edge.links.routes(),
        *edge.unsubscriptions.routes(),
        *edge.share_door.routes(),
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
        log_reads=edge.log_reads,
        latency=edge.latency,
        logs_requests=edge.running.settings.log_requests,
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
        Route(LOGIN_PATH, edge.federated_login.receive, methods=["POST"]),
        Route(SESSIONS_PATH, edge.session_door.receive, methods=["POST"]),
        Route(PASSWORD_PATH, edge.password_door.sign_in, methods=["POST"]),
        Route(SET_PATH, edge.password_door.choose, methods=["POST"]),
        Route(LOGINS_PATH, edge.login_door.open, methods=["POST"]),
        Route(RENEW_PATH, edge.login_door.renew, methods=["POST"]),
        Route(LIST_PATH, edge.sign_in.offer, methods=["GET"]),
        Route(SIGN_IN_PATH, edge.sign_in.begin, methods=["GET"]),
        Route(CALLBACK_PATH, edge.sign_in.finish, methods=["GET"]),
        Route(SIGN_OUT_PATH, edge.leaving.leave, methods=["POST"]),
        Route(SIGNED_OUT_PATH, edge.leaving.back, methods=["GET"]),
        Route(LOGOUT_PATH, edge.sign_out.receive, methods=["POST"]),
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
            await edge.access.limit_stranger(context)
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
