"""A sample of each event that is declared, made from its model's schema: to show and to try templates with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from libs.common.cloudevents import CloudEvent
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Event

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
ID = "0195a1b2-0000-7000-8000-000000000001"
ACTOR = "ann"
EVENTS: Mapping[str, Event] = {
    name: one for contract in CONTRACTS.values() for name, one in contract.by_name.items() if isinstance(one, Event)
}
_FORMATTED = {"date-time": "2026-03-02T09:00:00Z", "uuid": ID, "date": "2026-03-02"}
_PLAIN = ("release", "09:00", "ab" * 32, "sha256:" + "ab" * 32, "a.b")
_NAMED = {
    "action": "Mend what fails",
    "assignee": "bob",
    "gate": "release",
    "issue": "APP-17",
    "line": "1.4",
    "message": "It is 71, but at least 80 is wanted.",
    "owner_role": "operator",
    "reason": "It is 71, but at least 80 is wanted.",
    "reasons": "It is 71, but at least 80 is wanted.",
    "rule_id": "coverage",
    "subject": "acme/payments-api",
    "version": "1.4.0",
}


def sample(name: str, site: str, text: str | None = None, /, **fields: Any) -> CloudEvent:
    """An event whose model takes its data. ``text`` stands wherever any may; ``fields`` stand in for those made."""
    declared = EVENTS[name]
    made = {**_made(name, text), **fields}
    try:
        data = declared.data.model_validate(made).model_dump(mode="json")
    except ValidationError:  # a rule that its schema does not say; to try words with, it is good enough
        data = made
    return CloudEvent(
        id=ID, source=f"/headgate/{declared.service}", type=declared.type, data=data, site=site, actor=ACTOR, time=AT
    )


@lru_cache(maxsize=1024)
def _made(name: str, text: str | None) -> dict[str, Any]:
    schema = EVENTS[name].data.model_json_schema()
    made: dict[str, Any] = _value("", schema, schema.get("$defs", {}), text)
    return made


def _value(field: str, schema: Mapping[str, Any], named: Mapping[str, Any], text: str | None) -> Any:
    if "$ref" in schema:
        return _value(field, named[schema["$ref"].rpartition("/")[2]], named, text)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return _value(field, schema[word][0], named, text)
    kind = schema.get("type", "string")
    if kind == "object":
        return {key: _value(key, one, named, text) for key, one in schema.get("properties", {}).items()}
    if kind == "array":
        return [_value(field, schema.get("items", {"type": "string"}), named, text)]
    if kind == "string":
        return _string(field, schema, text)
    return {"integer": 7, "number": 7.5, "boolean": True}.get(kind)


def _string(field: str, schema: Mapping[str, Any], text: str | None) -> str:
    if found := _FORMATTED.get(schema.get("format", "")):
        return found
    said = text if text is not None else _NAMED.get(field, field.replace("_", " ") or "some text")
    pattern = schema.get("pattern")
    if pattern and not re.search(pattern, said):
        said = next((one for one in _PLAIN if re.search(pattern, one)), said)
    return said[: schema.get("maxLength", len(said))]
