"""Commands over HTTP: one id, one message, then the outcome, or 202 and a place to look for it."""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass
from uuid import UUID

import nats.js.errors
import orjson
from opentelemetry.trace import SpanKind
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from libs.common.bus import NATS_ERRORS, Bus
from libs.common.cloudevents import CloudEvent, DecodeError, decode
from libs.common.contracts import CONTRACTS, SERVICES, find
from libs.common.contracts.base import Command, Query
from libs.common.contracts.common import Outcome
from libs.common.ids import command_id, uuid7
from libs.common.outcomes import KEY_USED
from libs.common.problems import Invalid, NotFound, Refusal, TimedOut, TooLarge, Unavailable
from libs.common.telemetry import messaging, span
from services.gateway.answers import etag_of, json_answer, service_problem
from services.gateway.bodies import canonical
from services.gateway.context import context_of
from services.gateway.domain.narrowing import WHOLE
from services.gateway.domain.scope import ALL, covers
from services.gateway.identity.callers import Principal
from services.gateway.outcomes import Outcomes
from services.gateway.personal.clients import Clients
from services.gateway.questions import Questions
from services.gateway.seals import Sealed

MAX_WAIT_S = 60.0
CHECK_S = 2.0  # how long a 202 waits for what the service knows of its Idempotency-Key
MAX_MESSAGE_BYTES = 7_900_000  # the bus takes 8 MB; the envelope and the subject need some of it
SOURCE = "/headgate/gateway"
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_REFERENCE = re.compile(r"([a-z]+)\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class Preference:
    """What ``Prefer`` asks for (RFC 7240): ``applied`` goes back in ``Preference-Applied``."""

    wait_s: float
    applied: str | None = None


def preference_of(request: Request, default_wait_s: float) -> Preference:
    """``respond-async`` or ``wait=N`` (seconds, at most 60); what can't be read is ignored, as RFC 7240 says."""
    wait_s, applied = default_wait_s, None
    for part in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = part.partition(";")[0].strip().lower().partition("=")
        if name.strip() == "respond-async":
            return Preference(0.0, "respond-async")
        number = value.strip().strip('"')
        if name.strip() == "wait" and number.isascii() and number.isdigit() and len(number) <= 6:
            wait_s, applied = min(float(number), MAX_WAIT_S), f"wait={min(int(number), int(MAX_WAIT_S))}"
    return Preference(wait_s, applied)


def idempotency_key_of(request: Request) -> str | None:
    """The ``Idempotency-Key``; raises `Invalid` for one that can't be a key."""
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise Invalid("Idempotency-Key must be 1 to 200 visible ASCII characters, such as a UUID.")
    return key


class Commands:
    """Sends commands and answers what became of them."""

    def __init__(
        self,
        bus: Bus,
        questions: Questions,
        outcomes: Outcomes,
        clients: Clients,
        instance: str,
        default_wait_s: float,
    ) -> None:
        self._bus = bus
        self._questions = questions
        self._outcomes = outcomes
        self._clients = clients
        self._instance = instance
        self._default_wait_s = default_wait_s

    async def run(
        self,
        request: Request,
        command: Command,
        principal: Principal,
        site: str,
        public: BaseModel,
        sealed: Sealed,
        key: str | None = None,
    ) -> Response:
        """Publish the command once and answer with its outcome, or 202. Raises `Unavailable`, `TooLarge`, `Invalid`.

        ``key`` is of a caller who sends no Idempotency-Key but tells its requests apart in a way of its own.
        """
        preference, key = preference_of(request, self._default_wait_s), key or idempotency_key_of(request)
        # Only fields that were given: the digest is of what the caller sent, so that under one Idempotency-Key a null
        # and a missing field are two bodies, though most handlers take them as the same.
        asked = public.model_dump_json(exclude_unset=True).encode()
        digest = hashlib.sha256(canonical(asked)).hexdigest()
        body = sealed.on_bus(asked)
        if len(body) > MAX_MESSAGE_BYTES:
            raise TooLarge("The request is too large for one message; send it in parts.", max_bytes=MAX_MESSAGE_BYTES)
        id_ = command_id(_keyholder(principal), site, command.name, key) if key is not None else uuid7()
        context = context_of(request)
        address, agent = await self._clients.seal(principal.username, context.address, context.agent)
        envelope = CloudEvent(
            id=str(id_),
            source=SOURCE,
            type=command.type,
            time=context.received_at,
            site=site,
            actor=principal.username,
            correlationid=context.request_id,
            traceparent=context.traceparent,
            replyto=self._bus.topology.outcome_subject(self._instance),
            digest=digest,
            clientaddress=address,
            clientagent=agent,
        )
        with self._outcomes.waiter(envelope.id, digest) as waiter:
            about = messaging("send", command.name, envelope.id)
            parent = context.traceparent
            with span("gateway", f"send {command.name}", parent, SpanKind.PRODUCER, about) as envelope.traceparent:
                await self._bus.publish_command(command, envelope, body)
            outcome = await waiter.wait(preference.wait_s) if preference.wait_s > 0 else None
        applied = {"Preference-Applied": preference.applied} if preference.applied else {}
        if outcome is None:
            if key is not None:
                await self._check_first(request, principal, command.service, envelope)
            return _accepted(command, envelope.id, sealed, applied)
        if 200 <= outcome.status < 300:
            answer = Response(sealed.open(outcome.body), outcome.status, media_type="application/json")
            if command.http is not None and command.http.revision is not None:
                answer.headers["ETag"] = etag_of(outcome.body, command.http.revision)
        else:
            answer = service_problem(request, outcome.status, outcome.body)
        answer.headers.update(applied)
        return answer

    async def show(self, request: Request, principal: Principal, reference: str) -> Response:
        """``GET /api/commands/{reference}``: the outcome, or ``pending`` while the command lies on the queue.

        Readable by who sent it and by owners, within their sites; for everybody else there is no such command. A token
        that is bound to subjects is told how it ended, and not what came of it.
        """
        match = _REFERENCE.fullmatch(reference)
        if match is None or match[1] not in SERVICES:
            raise NotFound("There is no such command; the reference reads <service>.<uuid>.")
        service, id_ = match[1], match[2]
        down: Refusal | None = None
        for _ in range(2):  # between the two looks a command may leave the queue, but then its outcome is stored
            try:
                outcome = await self._ask(request, principal, service, id_)
            except (Unavailable, TimedOut) as error:
                outcome, down = None, error
            if outcome is None:
                outcome = await self._pending(service, id_)
            if outcome is not None:
                if not _readable(principal, outcome):
                    break
                if principal.narrowing.subjects is not None:  # nobody can say whom it was about
                    outcome = outcome.model_copy(update={"result": None})
                return json_answer(request, outcome.model_dump_json().encode())
            if down is not None:
                raise down
        raise NotFound("There is no such command, or it is not yours.")

    async def _check_first(self, request: Request, principal: Principal, service: str, sent: CloudEvent) -> None:
        """Raise `Invalid` if the key was used before with another body, as far as queue and service can say now.

        The service answers such a repeat with 422 too, but nobody waits for that any more. The queue comes first: what
        has left it meanwhile is known to the service. The service's word counts: on the queue there may be another
        repeat, with another body, behind a first command that has been applied.
        """
        try:
            known = await self._pending(service, sent.id)
        except Unavailable:
            return  # ours is stored, and whether it is applied is read at its status_url
        with contextlib.suppress(Unavailable, TimedOut):
            known = await self._ask(request, principal, service, sent.id, timeout_s=CHECK_S) or known
        # A command that was buried (500) has used up no key: the next body may be applied.
        if known is not None and known.http_status != 500 and known.digest not in ("", sent.digest):
            raise Invalid(KEY_USED)

    async def _ask(
        self, request: Request, principal: Principal, service: str, id_: str, *, timeout_s: float = 5.0
    ) -> Outcome | None:
        query = CONTRACTS[service].by_name[f"{service}.outcomes.get"]
        assert isinstance(query, Query)  # noqa: S101  every contract declares it
        context = context_of(request)
        envelope = CloudEvent(
            id=str(uuid7()),
            source=SOURCE,
            type=query.type,
            time=context.received_at,
            actor=principal.username,
            correlationid=context.request_id,
            traceparent=context.traceparent,
        )
        params = {"params": {"command_id": id_}, "sites": list(principal.sites), "permissions": []}
        reply = await self._questions.ask(query, envelope, orjson.dumps(params), timeout_s=timeout_s)
        if reply.status == 404:
            return None
        if reply.status != 200:
            raise Unavailable(f"The {service} service can't say what became of the command; try again.")
        return Outcome.model_validate_json(reply.body)

    async def _pending(self, service: str, id_: str) -> Outcome | None:
        """The first command of this id on the queue; None if there is none. Raises `Unavailable` if nobody can say."""
        try:
            message = await self._bus.js.get_msg(
                self._bus.topology.commands_stream,
                subject=f"{self._bus.topology.namespace}.command.{service}.*.*.{id_}",
                next=True,
                seq=1,
            )
            event = decode(message.data or b"")
        except (nats.js.errors.NotFoundError, DecodeError):
            return None
        except NATS_ERRORS as error:
            raise Unavailable("The message bus can't be reached; try again in a few seconds.") from error
        return Outcome(
            command_id=UUID(id_),
            operation=event.name,
            state="pending",
            actor=event.actor,
            site=event.site,
            created_at=event.time,
            digest=event.digest,
        )


def _keyholder(principal: Principal) -> str:
    """Whose an ``Idempotency-Key`` is: a narrow token must not be answered what a wider one of the same user got, nor
    use up its keys. One that was rotated is bound as before, so what is sent again under its key is the same command.
    """
    bound = principal.narrowing
    if bound == WHOLE:
        return principal.username
    said = (None if bound.permissions is None else sorted(bound.permissions), bound.subjects, bound.cidrs)
    return f"{principal.username} {hashlib.sha256(orjson.dumps(said)).hexdigest()}"


def _readable(principal: Principal, outcome: Outcome) -> bool:
    mine, owner = outcome.actor == principal.username, principal.role == "owner" and principal.narrowing == WHOLE
    declared = find(outcome.operation)
    if isinstance(declared, Command) and not principal.narrowing.allows(declared.permission):
        return False
    if isinstance(declared, Command) and not declared.sited:
        return mine or (owner and ALL in principal.sites)
    return (mine or owner) and covers(principal.sites, outcome.site)


def _accepted(command: Command, id_: str, sealed: Sealed, applied: dict[str, str]) -> Response:
    location = f"/api/commands/{command.service}.{id_}"
    body = {"command": f"{command.service}.{id_}", "state": "pending", "status_url": location, **sealed.preview()}
    return Response(
        orjson.dumps(body), 202, {"Location": location, "Retry-After": "1", **applied}, media_type="application/json"
    )
