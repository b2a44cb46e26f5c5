"""The OpenAPI 3.1 document, made from the contracts: a route can't exist without its entry here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, TypeAdapter

from libs.common.contracts.base import Command, Csv, Http, Nothing, Operation, Query, Whole
from libs.common.contracts.common import Outcome
from libs.common.contracts.gateway.federation import FederationLogin
from libs.common.contracts.gateway.logins import LoginRenew, LoginView
from libs.common.contracts.gateway.passwords import PasswordOfCode, PasswordSignIn, PasswordView
from libs.common.contracts.gateway.sessions import SessionOpened
from libs.common.contracts.gateway.tokens import TokenIssued
from libs.common.contracts.governance.deliveries import DeliveryReceipt
from libs.common.problems import (
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    TimedOut,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
    UnsupportedMedia,
)
from services.gateway.documents.openapi_doors import doors
from services.gateway.documents.openapi_parts import REF, header, problems
from services.gateway.mount import Binding, binding_of, mounted, paths_of
from services.gateway.readers import READS

_IN_NAMES = str.maketrans({"/": "_", "{": None, "}": None})
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do"},
        "trace_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
ACCEPTED: dict[str, Any] = {
    "type": "object",
    "required": ["command", "state", "status_url"],
    "properties": {
        "command": {"type": "string"},
        "state": {"const": "pending"},
        "status_url": {"type": "string"},
    },
}
ALWAYS: tuple[type[Refusal], ...] = (Unauthorized, Forbidden, Invalid, TooMany, Unavailable, TimedOut)
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"adminToken": []}]
SITE = {
    "name": "site",
    "in": "query",
    "required": False,
    "description": "The site that the request concerns; the reserved site `global` if left out",
    "schema": {"type": "string", "pattern": "^[a-z0-9-]{1,40}$", "default": "global"},
}


class Schemas:
    """The JSON schemas of all models, under names without clashes."""

    def __init__(self) -> None:
        bindings = [binding_of(operation) for operation, _ in mounted()]
        inputs: dict[str, Any] = {f"in:{b.model.__module__}.{b.model.__qualname__}": b.model for b in bindings}
        outputs: dict[str, Any] = {f"out:{b.operation.name}": b.operation.result for b in bindings}
        inputs |= {"in:login": FederationLogin, "in:password": PasswordSignIn, "in:code": PasswordOfCode}
        inputs["in:renewal"] = LoginRenew
        outputs |= {"out:outcome": Outcome, "out:delivery": DeliveryReceipt, "out:login": TokenIssued}
        outputs |= {"out:session": SessionOpened, "out:password": PasswordView, "out:program": LoginView}
        wanted = [(key, "validation", TypeAdapter(model)) for key, model in inputs.items()]
        answered = [(key, "serialization", TypeAdapter(model)) for key, model in outputs.items()]
        found, shared = TypeAdapter.json_schemas([*wanted, *answered], ref_template=REF)  # type: ignore[list-item]
        self._found = {key: schema for (key, _), schema in found.items()}
        self.shared: dict[str, Any] = shared.get("$defs", {})

    def fields(self, model: type[BaseModel]) -> dict[str, Any]:
        """The object schema of what callers send."""
        return self._resolved(self._found[f"in:{model.__module__}.{model.__qualname__}"])

    def sent(self, key: str) -> dict[str, Any]:
        """The schema of what is sent to a door of the edge."""
        schema: dict[str, Any] = self._found[f"in:{key}"]
        return schema

    def result(self, key: str) -> dict[str, Any]:
        """The schema of an operation's result."""
        schema: dict[str, Any] = self._found[f"out:{key}"]
        return schema

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in schema:
            resolved: dict[str, Any] = self.shared[schema["$ref"].rpartition("/")[2]]
            return resolved
        return schema


def document(public_url: str | None = None) -> dict[str, Any]:
    """The whole document as JSON-ready data."""
    schemas = Schemas()
    paths: dict[str, Any] = {}
    for operation, http in mounted():
        binding = binding_of(operation)
        for path, csv in paths_of(http):
            for written, fixed in _written(schemas, binding, http, path):
                paths.setdefault(written, {})[http.method.lower()] = _operation(
                    schemas, binding, http, written, csv, fixed
                )
    for path, methods in _own_paths(schemas).items():
        paths.setdefault(path, {}).update(methods)
    components = {**schemas.shared, "Problem": PROBLEM, "Accepted": ACCEPTED}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headgate",
            "version": "1",
            "summary": "Release governance: gates with reasons, tracked remediation, and an audit log to verify",
            "description": "Errors are RFC 9457 problem documents that say what to do. Times are RFC 3339 in UTC.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url or "/"}],
        "paths": dict(sorted(paths.items())),
        "security": SECURITY,
        "components": {
            "schemas": {name: components[name] for name in sorted(_used(paths, components))},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "hg_…"},
                "adminToken": {"type": "apiKey", "in": "header", "name": "X-Admin-Token"},
                "basic": {"type": "http", "scheme": "basic", "description": "The user's name, and a token"},
            },
        },
    }


def _written(schemas: Schemas, binding: Binding, http: Http, path: str) -> Iterator[tuple[str, frozenset[str]]]:
    """The path, or one for each value of its fields that are enumerations.

    OpenAPI forbids two paths that differ in a field's name only, such as ``/api/signals/{format}`` and
    ``/api/signals/{signal_id}``.
    """
    properties = schemas.fields(binding.model).get("properties", {})
    listed = {name: properties[name]["enum"] for name in http.path_fields if "enum" in properties[name]}
    for values in itertools.product(*listed.values()):
        written = path
        for name, value in zip(listed, values, strict=True):
            written = written.replace(f"{{{name}}}", value)
        yield written, frozenset(listed)


def _used(value: Any, components: dict[str, Any]) -> set[str]:
    """The names of the components that a part of the document refers to, directly or by others."""
    prefix, used, waiting = REF.format(model=""), set[str](), [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            name = one.get("$ref", "")
            if isinstance(name, str) and name.startswith(prefix) and (name := name.removeprefix(prefix)) not in used:
                used.add(name)
                waiting.append(components[name])
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return used


def _operation(
    schemas: Schemas, binding: Binding, http: Http, path: str, csv: Csv | Whole | None, fixed: frozenset[str]
) -> dict[str, Any]:
    operation = binding.operation
    suffix = "" if path == http.path else "." + path.translate(_IN_NAMES).strip("_")
    entry: dict[str, Any] = {
        "operationId": operation.name + suffix,
        "summary": operation.summary,
        "tags": [operation.service],
        "x-headgate-permission": operation.permission,
        "parameters": _parameters(schemas, binding, http, fixed),
        "responses": _responses(schemas, operation, http, csv),
    }
    if http.basic:
        entry["security"] = [*SECURITY, {"basic": []}]
    if http.has_body and (body := _body(schemas, binding, http)):
        entry["requestBody"] = body
    return entry


def _parameters(schemas: Schemas, binding: Binding, http: Http, fixed: frozenset[str]) -> list[dict[str, Any]]:
    schema = schemas.fields(binding.model)
    required = set(schema.get("required", []))
    rows = []
    for name in (*http.path_fields, *sorted(binding.query_fields)):
        if name in fixed:
            continue
        field = dict(schema["properties"][name])
        in_path = name in http.path_fields
        row: dict[str, Any] = {
            "name": name,
            "in": "path" if in_path else "query",
            "required": in_path or name in required,
        }
        if description := field.pop("description", None):
            row["description"] = description
        rows.append({**row, "schema": field})
    if binding.operation.sited:
        rows.append(SITE)
    if isinstance(binding.operation, Command):
        rows += [
            header(
                "Idempotency-Key",
                "The same key and body give the first outcome again",
                {"type": "string", "pattern": "^[!-~]{1,200}$"},
            ),
            header("Prefer", "`respond-async`, or `wait=N` (seconds, at most 60)", {"type": "string"}),
        ]
    if http.if_match is not None:
        text = f"The ETag of what was read; like `{http.if_match}`, refused with 412 if it has changed since"
        rows.append(header("If-Match", text, {"type": "string"}))
    return rows


def _body(schemas: Schemas, binding: Binding, http: Http) -> dict[str, Any] | None:
    if http.reader is not None:
        return {"required": True, "content": {kind: {"schema": {}} for kind in READS[http.reader]}}
    elsewhere = {*http.path_fields, *http.query}
    schema = schemas.fields(binding.model)
    properties = {name: field for name, field in schema.get("properties", {}).items() if name not in elsewhere}
    if binding.model is Nothing or not properties:
        return None
    required = [name for name in schema.get("required", []) if name not in elsewhere]
    body = {"type": "object", "additionalProperties": False, "properties": properties}
    if required:
        body["required"] = required
    return {"required": bool(required), "content": {"application/json": {"schema": body}}}


def _responses(schemas: Schemas, operation: Operation, http: Http, csv: Csv | Whole | None) -> dict[str, Any]:
    as_json = {"application/json": {"schema": schemas.result(operation.name)}}
    as_csv = {"text/csv": {"schema": {"type": "string"}}}
    if http.file is not None:
        # What is no text to a client that unpacks it, JSON and YAML, is an object.
        plain = {"type": "object"} if http.file.endswith(("json", "yaml")) else {"type": "string", "format": "binary"}
        content: dict[str, Any] = {http.file: {"schema": plain}}
    elif isinstance(csv, Whole):
        content = {csv.media_type: {"schema": {"type": "string"}}}
    elif csv is not None:
        content = as_csv
    else:
        content = as_json | (as_csv if http.csv else {})
    found: dict[str, Any] = {str(http.status): {"description": "Done", "content": content}}
    errors: tuple[type[Refusal], ...] = ALWAYS
    if http.has_body:
        errors += (Refusal, TooLarge, UnsupportedMedia)
    if isinstance(operation, Query):
        if not http.has_body:
            found["304"] = {"description": "Not changed since the ETag in If-None-Match"}
    else:
        location = {"Location": {"schema": {"type": "string"}, "description": "Where the outcome will be"}}
        accepted = {"application/json": {"schema": {"$ref": REF.format(model="Accepted")}}}
        found["202"] = {"description": "Stored; it will be applied once", "headers": location, "content": accepted}
    if operation.sited:
        errors += (NotFound,)
    return found | problems(*errors, *operation.errors)


def _own_paths(schemas: Schemas) -> dict[str, Any]:
    def reads(
        name: str, summary: str, permission: str, content: dict[str, Any], *parameters: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "get": {
                "operationId": name,
                "summary": summary,
                "tags": ["gateway"],
                "x-headgate-permission": permission,
                "parameters": list(parameters),
                "responses": {"200": {"description": "Done", "content": content}, **problems(*ALWAYS, NotFound)},
            }
        }

    def text(name: str, where: str = "query", **schema: Any) -> dict[str, Any]:
        return {"name": name, "in": where, "required": where == "path", "schema": {"type": "string", **schema}}

    outcome = {"application/json": {"schema": schemas.result("outcome")}}
    events = {"text/event-stream": {"schema": {"type": "string"}}}
    free = {"application/json": {"schema": {"type": "object"}}}
    note = {"text/plain": {"schema": {"type": "string"}}}
    octets = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    site = SITE | {
        "description": "Only events of this site; may be repeated; all of your scope if left out",
        "schema": {"type": "string"},
    }
    return {
        "/api/commands/{reference}": reads(
            "commands.show", "What became of a command", "me:read", outcome, text("reference", "path")
        ),
        **doors(schemas),
        "/api/status": reads("status.show", "Whether every service works (503 if not)", "status:read", free),
        "/audit/checkpoint": reads("audit.checkpoint", "The audit log's last checkpoint (C2SP)", "audit:read", note),
        "/audit/tile/{path}": reads(
            "audit.tile", "A tile of the audit log (C2SP tlog-tiles)", "audit:read", octets, text("path", "path")
        ),
        "/api/events": reads(
            "events.stream",
            "Events as they happen (server-sent events); resume with Last-Event-ID",
            "event:read",
            events,
            site,
            text("type", description="Only events of this type; may be repeated"),
            text("last_event_id"),
            text(
                "format", description="As CDEvents (approval.closed): what gates decided and revoked", enum=["cdevents"]
            ),
            text("Last-Event-ID", "header"),
        ),
    }
