"""From an operation's name and its fields to an HTTP request, by the contracts alone: path, query and body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import BaseModel

from libs.client.errors import BadAnswer, UsageProblem
from libs.client.packing import PackedFile
from libs.common import contracts
from libs.common.contracts.base import Command, Event, Http, Operation, Query
from libs.common.contracts.gateway.seals import SEALED_BODIES

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that is ready to go. ``params`` is the query string; ``content`` None: no body."""

    operation: Operation
    method: str
    path: str
    params: dict[str, str]
    content: bytes | PackedFile | None = None
    content_type: str | None = None


def operation_named(name: str) -> tuple[Operation, Http]:
    """The declaration and its route; raises `UsageProblem` when there is none."""
    declared = contracts.find(name)
    if declared is None or isinstance(declared, Event) or declared.http is None:
        raise UsageProblem(f"There is no operation {name!r}; `headgate operations` lists them.")
    return declared, declared.http


def model_of(operation: Operation, http: Http) -> type[BaseModel]:
    """What a caller may send; where the edge adds fields of its own this is not what travels on the bus."""
    declared = operation.params if isinstance(operation, Query) else operation.body
    return SEALED_BODIES.get(http.seal, declared) if http.seal else declared


def fields_of(operation: Operation, http: Http) -> set[str]:
    """The names that a call may give; ``site`` chooses the site of an operation that concerns one."""
    if http.reader is not None:  # the body is sent as it is, so only the other fields have names
        return {*http.path_fields, *http.query, "site"}
    names = set(model_of(operation, http).model_fields)
    return names | {"site"} if operation.sited else names


def page_of(name: str, answer: Any, fields: Mapping[str, Any]) -> tuple[list[Any], str | None]:
    """The items of a page and the cursor of the next one. Raises `BadAnswer` for what is no page."""
    _, http = operation_named(name)
    if http.after is not None and isinstance(answer, list):
        return answer, http.following(answer, fields.get("limit"))
    try:
        return answer["items"], answer.get("next_cursor")
    except (KeyError, TypeError, AttributeError):
        raise BadAnswer(f"{name} answered something that is no page.") from None


def prepare(
    name: str, fields: Mapping[str, Any], *, content: bytes | PackedFile | None = None, content_type: str | None = None
) -> Prepared:
    """Place each field where the contract says. A None in path or query means: not given; in a body it is null.

    ``content`` is the body of operations that take something else than one JSON object (signals and reports).
    Raises `UsageProblem` naming what is unknown or missing.
    """
    operation, http = operation_named(name)
    if http.reader is not None and content is None:
        raise UsageProblem(f"{name} needs a body: use `headgate signal send` or `headgate report send`.")
    known = fields_of(operation, http)
    if unknown := sorted(set(fields) - known):
        listed = ", ".join(sorted(known)) or "none"
        raise UsageProblem(f"{name} has no field {', '.join(unknown)}; its fields: {listed}.")
    path = http.path
    for part in http.path_fields:
        path = path.replace(f"{{{part}}}", _path_value(name, part, fields.get(part)))
    in_query = set(http.query) | ({"site"} if operation.sited else set())
    params, body = {}, {}
    for field, value in fields.items():
        if field in http.path_fields:
            continue
        if not http.has_body or field in in_query:
            if value is not None:
                params[field] = _query_value(value)
        else:
            body[field] = value
    if content is None and body:
        content, content_type = orjson.dumps(body, default=str), JSON_TYPE
    return Prepared(operation, http.method, path, params, content, content_type)


def _path_value(name: str, field: str, value: Any) -> str:
    if value is None or value == "":
        raise UsageProblem(f"{name} needs the field {field}.")
    text = str(value)
    if text.strip(".") == "":  # "." and ".." would be folded away, and another path asked
        raise UsageProblem(f"{field} can't be {text!r}.")
    return quote(text, safe="")


def _query_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def is_command(operation: Operation) -> bool:
    """Whether it changes something."""
    return isinstance(operation, Command)
