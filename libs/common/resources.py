"""What a command is about: the id of the thing under which its record stands, the same under which its events do.

A contract says it once (`Command.about`), in the names of what was asked, of what came of it, and of the envelope. Most
say nothing: then it is what the route names last, and of a published document its site.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from libs.common.cloudevents import CloudEvent
from libs.common.contracts import find
from libs.common.contracts.base import Command, Json

MAX_ID = 300
NEW = "new"  # what was to be made, and was not: it has no id
_PLACE = re.compile(r"{([a-z_.0-9]+)}")


@lru_cache(maxsize=1024)
def about(command: Command) -> str | Callable[[Json, Json], str]:
    """What the command's contract says of its id; empty where neither it nor the rule says anything."""
    if command.about:
        return command.about
    if command.http is not None and command.http.path_fields:
        return f"{{{command.http.path_fields[-1]}}}"
    return "{site}" if find(f"{command.name.rpartition('.')[0]}.published") is not None else ""


def kind_of(command: Command) -> str:
    """The kind of thing, such as ``tracker.item``."""
    return command.kind or command.name.rpartition(".")[0]


def names_in(template: str) -> tuple[str, ...]:
    """The names in braces; one with dots leads into what came of it."""
    return tuple(_PLACE.findall(template))


def resource_id(message: CloudEvent, http_status: int, body: bytes, *, read: bool = True) -> str:
    """The id of what a command that has ended is about, at most 300 characters.

    ``body`` is its result or a problem document. What was refused before there was such a thing is about ``new``, with
    what the route names behind a colon: ``new:release/7``. So is what was refused before its body had been ``read``
    where the route does not name it. Empty of a command that no contract here knows.
    """
    declared = find(message.name)
    if not isinstance(declared, Command):
        return ""
    asked = message.data if isinstance(message.data, dict) else {}
    wanted = about(declared)
    said = {**_unsaid(declared), **asked} if read else asked
    if not isinstance(wanted, str):
        if not read:
            return _unmade(declared, asked)
        return wanted(said, _made(http_status, body))[:MAX_ID]
    made: Json | None = None
    found = []
    for name in names_in(wanted):
        value = said.get(name)
        if value is None:
            made = _made(http_status, body) if made is None else made
            value = _into(made, name.split("."))
        if value is None and name not in declared.body.model_fields:
            value = {"site": message.site, "actor": message.actor}.get(name)
        if value is None:
            return "" if http_status < 400 else _unmade(declared, asked)
        found.append(str(value))
    values = iter(found)
    return _PLACE.sub(lambda _: next(values), wanted)[:MAX_ID]


def _unmade(declared: Command, asked: Mapping[str, Any]) -> str:
    named = [str(asked.get(name, "")) for name in (declared.http.path_fields if declared.http else ())]
    return f"{NEW}:{'/'.join(named)}"[:MAX_ID] if named else NEW


@lru_cache(maxsize=1024)
def _unsaid(declared: Command) -> Json:
    """What the contract takes for what was not said."""
    fields = declared.body.model_fields.items()
    return {name: one.default for name, one in fields if not one.is_required() and one.default_factory is None}


def _made(http_status: int, body: bytes) -> Json:
    """What came of it: nothing of what was refused."""
    try:
        found = orjson.loads(body) if http_status < 400 else None
    except orjson.JSONDecodeError:
        found = None
    return found if isinstance(found, dict) else {}


def _into(value: Any, way: Sequence[str]) -> Any:
    for name in way:
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value if isinstance(value, str | int) else None
