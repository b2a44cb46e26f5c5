"""Mounts every contract as HTTP: one route per declaration, its CSV twins, and nothing by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from libs.common.buckets import BUCKETS
from libs.common.bus import Reply
from libs.common.cloudevents import CloudEvent
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Command, Csv, Http, Nothing, Operation, Query, Whole
from libs.common.contracts.blobs import Blob
from libs.common.contracts.gateway.seals import SEALED_BODIES
from libs.common.objects import Bucket
from libs.common.problems import Forbidden, PreconditionFailed
from libs.common.service import Clock
from libs.common.vault import Vault
from services.gateway.access import Access
from services.gateway.answers import named_revision, next_link, reply_answer, wants_csv
from services.gateway.blobs import blob_answer
from services.gateway.bodies import merge, path_values, read_json_object, read_query, validate
from services.gateway.commands import SOURCE, Commands
from services.gateway.context import context_of
from services.gateway.denials import Denials
from services.gateway.domain.rates import Rate, of_operation
from services.gateway.identity.callers import Principal
from services.gateway.passwords.proofs import PROVEN, Proofs
from services.gateway.questions import Questions
from services.gateway.readers import READERS, Body
from services.gateway.seals import WebhookSecrets, seal
from services.gateway.second_factors.demands import Demands
from services.gateway.uploads import Uploads
from services.gateway.wholes import whole_answer

WHOLE_COST = 20  # all of a list is many pages
Endpoint = Callable[[Request], Awaitable[Response]]


class MountError(RuntimeError):
    """A declaration that can't be mounted; the message names it. Found at start, never by a caller."""


@lru_cache(maxsize=1024)
def _sorted(permissions: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(permissions))


@dataclass(frozen=True, slots=True)
class Parts:
    """What a mounted route works with."""

    access: Access
    commands: Commands
    questions: Questions
    clock: Clock
    uploads: Uploads
    buckets: Mapping[str, Bucket]
    webhooks: WebhookSecrets
    vault: Vault
    proofs: Proofs
    denials: Denials
    demands: Demands


@dataclass(frozen=True, slots=True)
class Binding:
    """Where an operation's fields come from. ``model`` is what callers may send (see `SEALED_BODIES`)."""

    operation: Operation
    http: Http
    model: type[BaseModel]
    query_fields: frozenset[str]
    names_object: bool
    paged: bool

    @property
    def query_parameters(self) -> frozenset[str]:
        """All names that the query string may hold."""
        return self.query_fields | {"site"} if self.operation.sited else self.query_fields


def binding_of(operation: Operation) -> Binding:
    """Work out a declaration's binding; raises `MountError` if it contradicts itself."""
    http = operation.http
    if http is None:
        raise MountError(f"{operation.name} has no HTTP route")
    declared = operation.params if isinstance(operation, Query) else operation.body
    model = SEALED_BODIES.get(http.seal, declared) if http.seal else declared
    fields = frozenset(model.model_fields)
    if missing := set(http.path_fields) - fields:
        raise MountError(f"{operation.name}: the path names {missing}, which the model does not have")
    query_fields = frozenset(http.query) if http.has_body else fields - set(http.path_fields)
    if not operation.permission:
        raise MountError(f"{operation.name} has a route but no permission")
    if http.seal is not None and http.seal not in SEALED_BODIES:
        raise MountError(f"{operation.name}: unknown seal {http.seal}")
    if http.reader is not None and http.reader not in READERS:
        raise MountError(f"{operation.name}: unknown reader {http.reader}")
    if (http.file is not None) != (operation.result is Blob):
        raise MountError(f"{operation.name}: a file comes as a Blob, and a Blob as a file")
    if http.bucket is not None and (http.file is None or http.bucket not in {plan.name for plan in BUCKETS}):
        raise MountError(f"{operation.name}: a bucket that there is holds an answer that is a file")
    if http.whole is not None and (http.csv is None or http.csv.rows != "items" or "cursor" not in query_fields):
        raise MountError(f"{operation.name}: whole is for a list of pages whose items read as CSV")
    if http.after is not None and not {"cursor", "limit"} <= query_fields:
        raise MountError(f"{operation.name}: a list goes on behind a cursor, and holds so many rows as a limit says")
    if http.basic and not isinstance(operation, Query):
        raise MountError(f"{operation.name}: HTTP Basic is for questions; browsers send it unasked")
    if http.if_match is not None and (http.if_match not in fields or PreconditionFailed not in operation.errors):
        raise MountError(f"{operation.name}: If-Match needs its field, and 412 among the errors")
    if operation.sited and "site" in fields:
        raise MountError(f"{operation.name}: a sited operation can't have a field named site")
    return Binding(
        operation=operation,
        http=http,
        model=model,
        query_fields=query_fields,
        names_object=http.names_object,
        paged="cursor" in query_fields,
    )


def mounted() -> Iterator[tuple[Operation, Http]]:
    """Every operation that has a route."""
    for contract in CONTRACTS.values():
        for operation in contract.operations():
            if operation.http is not None:
                yield operation, operation.http


def paths_of(http: Http) -> Iterator[tuple[str, Csv | Whole | None]]:
    """The paths of an operation; with a `Csv` or `Whole` where the path always answers that."""
    for path in (http.path, *http.also):
        yield path, None
        if http.csv is not None:
            yield f"{path}.csv", http.csv
    if http.csv_path is not None and http.csv is not None:
        yield http.csv_path, http.csv
    if http.whole is not None and http.csv is not None:
        for whole in (Whole(http.csv.filename), Whole(http.csv.filename, http.csv)):
            yield f"{http.whole}.{whole.suffix}", whole


def routes(parts: Parts) -> list[Route]:
    """The routes, those without braces first, so that no name in braces hides a literal one."""
    found: dict[tuple[str, str], Route] = {}
    for operation, http in mounted():
        binding = binding_of(operation)
        for path, csv in paths_of(http):
            key = (http.method, path)
            if key in found:
                raise MountError(f"{operation.name}: {http.method} {path} is mounted twice")
            endpoint = _endpoint(parts, binding, path, csv)
            if isinstance(operation, Command):
                endpoint = _noted(parts, operation, endpoint)
            found[key] = Route(path, endpoint, methods=[http.method], name=operation.name)
    return sorted(found.values(), key=lambda route: (route.path.count("{"), route.path))


def _endpoint(parts: Parts, binding: Binding, path: str, csv: Csv | Whole | None) -> Endpoint:
    rate = _rate_of(binding, path, whole=isinstance(csv, Whole))

    async def answer(request: Request) -> Response:
        context_of(request).route = path
        principal = await parts.access.admit(
            request,
            binding.operation.permission,
            basic=binding.http.basic,
            by_subject=True,
            rate=rate,
            cost=WHOLE_COST if isinstance(csv, Whole) else binding.http.cost,
        )
        query = read_query(request, binding.query_parameters)
        asked = query.pop("site", None) if binding.operation.sited else None
        site = await parts.access.site_of(principal, binding.operation, asked, names_object=binding.names_object)
        context_of(request).site = site if binding.operation.sited else ""
        await parts.demands.require(
            context_of(request),
            binding.operation,
            principal,
            lambda: parts.access.again(request, binding.operation.permission)(),
        )
        if isinstance(binding.operation, Query):
            context_of(request).logged = binding.operation.logged
            if binding.http.has_body:
                query = merge(query, await read_json_object(request))
            return await _ask(parts, binding, binding.operation, request, principal, site, query, csv)
        body = await _read_body(parts, binding, request)
        try:
            public = validate(binding.model, merge(path_values(request), query, _named(binding, request), body.fields))
            parts.access.allowed_subjects(principal, binding.operation, public, names_object=binding.names_object)
            if binding.operation.sited:
                principal = principal.acting(binding.operation.permission, site)
            if binding.http.seal in PROVEN:
                # What was typed is not even digested: a password must not be guessed from what is stored of a command.
                sealed = await parts.proofs.seal(binding.http.seal, context_of(request), principal, public)
                public = Nothing()
            else:
                sealed = seal(binding.http.seal, principal, parts.webhooks, parts.vault, public)
            if body.upload is not None:
                await body.upload.store(parts.uploads.bucket)
        finally:
            if body.upload is not None:
                body.upload.close()
        return await parts.commands.run(request, binding.operation, principal, site, public, sealed)

    return answer


def _rate_of(binding: Binding, path: str, *, whole: bool) -> Rate:
    """The class in which its requests are counted; `docs/operations.md` has the table."""
    http = binding.http
    uploads, downloads = http.reader == "report", whole or http.bucket is not None
    return of_operation(http.method, path, binding.operation.permission or "", uploads=uploads, downloads=downloads)


def _noted(parts: Parts, command: Command, endpoint: Endpoint) -> Endpoint:
    """The same, and a record of each order that is refused here."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Forbidden as refusal:
            if not context_of(request).prompted:
                parts.denials.note(request, command, refusal)
            raise

    return answer


def _named(binding: Binding, request: Request) -> dict[str, Any]:
    """The field that ``If-Match`` fills, where it is known."""
    if binding.http.if_match is None or (revision := named_revision(request)) is None:
        return {}
    return {binding.http.if_match: revision}


async def _read_body(parts: Parts, binding: Binding, request: Request) -> Body:
    if binding.http.reader is not None:
        return await READERS[binding.http.reader](request, parts.uploads)
    return Body(await read_json_object(request))


async def _ask(
    parts: Parts,
    binding: Binding,
    query: Query,
    request: Request,
    principal: Principal,
    site: str,
    fields: dict[str, Any],
    csv: Csv | Whole | None,
) -> Response:
    public = validate(binding.model, merge(path_values(request), fields))
    parts.access.allowed_subjects(principal, query, public, names_object=binding.names_object)
    sealed = seal(binding.http.seal, principal, parts.webhooks, parts.vault, public)
    params = public.model_dump(mode="json", exclude_unset=True) | sealed.fields
    context = context_of(request)
    envelope = CloudEvent(
        id=context.request_id,  # a request asks one question
        source=SOURCE,
        type=query.type,
        time=context.received_at,
        site=site,
        actor=principal.username,
        correlationid=context.request_id,
        traceparent=context.traceparent,
    )
    scope = {
        "sites": principal.sites,
        "permissions": _sorted(principal.permissions),
        "role": principal.role,
    }

    async def ask(asked: dict[str, Any]) -> Reply:
        return await parts.questions.ask(query, envelope, orjson.dumps({"params": asked, **scope}))

    if isinstance(csv, Whole):
        return await whole_answer(request, ask, params, csv, parts.clock())
    reply = await ask(params)
    if binding.http.file is not None and reply.status == 200:
        blob = Blob.model_validate_json(reply.body)
        return await blob_answer(request, blob, parts.buckets[binding.http.bucket] if binding.http.bucket else None)
    if csv is None and binding.http.csv is not None and wants_csv(request):
        csv = binding.http.csv
    answer = reply_answer(request, reply, csv, parts.clock(), revision=binding.http.revision)
    if binding.paged and reply.status == 200:
        limit = getattr(public, "limit", None)
        if link := next_link(request, reply.body, binding.query_parameters, binding.http, limit):
            answer.headers["Link"] = link
    return answer
