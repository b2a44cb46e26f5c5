"""A sample of each declared event, made from its model's schema, with a text of choice wherever one may stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from libs.common.cloudevents import CloudEvent
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Event

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
ID = "0195a1b2-0000-7000-8000-000000000001"
EVENTS: dict[str, Event] = {
    name: one for contract in CONTRACTS.values() for name, one in contract.by_name.items() if isinstance(one, Event)
}
_PLAIN = ("release", "ab" * 32, "sha256:" + "ab" * 32, "a.b", "2026-03-01")


def sample(name: str, text: str = "some text", **fields: Any) -> CloudEvent:
    """An event whose model takes its data; ``fields`` stand in for those of the sample."""
    declared = EVENTS[name]
    schema = declared.data.model_json_schema()
    made = {**_value(schema, schema.get("$defs", {}), text), **fields}
    data = declared.data.model_validate(made).model_dump(mode="json")
    return CloudEvent(id=ID, source="/headgate/x", type=declared.type, data=data, site="plant-a", actor="ann", time=AT)


def _value(schema: Mapping[str, Any], named: Mapping[str, Any], text: str) -> Any:
    if "$ref" in schema:
        return _value(named[schema["$ref"].rpartition("/")[2]], named, text)
    for word in ("enum", "const"):
        if word in schema:
            return schema[word][0] if word == "enum" else schema[word]
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return _value(schema[word][0], named, text)
    kind = schema.get("type")
    if kind == "object":
        return {key: _value(one, named, text) for key, one in schema.get("properties", {}).items()}
    if kind == "array":
        return [_value(schema.get("items", {"type": "string"}), named, text)]
    if kind == "string":
        return _string(schema, text)
    return {"integer": 7, "number": 7.5, "boolean": True, "null": None}.get(kind or "", text)


def _string(schema: Mapping[str, Any], text: str) -> str:
    if schema.get("format") == "date-time":
        return "2026-03-02T09:00:00Z"
    if schema.get("format") == "uuid":
        return ID
    if pattern := schema.get("pattern"):
        return next((one for one in _PLAIN if re.search(pattern, one)), text[:20])
    return text[: schema.get("maxLength", len(text))]
