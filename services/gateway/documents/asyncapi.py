"""The AsyncAPI 3.0 document of all events, made from the contracts."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from libs.common.cloudevents import CONTENT_TYPE
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Event

REF = "#/components/schemas/{model}"
ABOUT = (
    "CloudEvents 1.0 on the JetStream stream EVENTS, and over HTTP on GET /api/events. To pull them, make a subscriber "
    "(`POST /api/subscribers`): its answer holds the name of its durable, which is also its user name, and the prefix "
    "of its inbox. Any JetStream client reads the durable with the API prefix `headgate.subscriber`, and acknowledges "
    "an event by publishing its reply subject to `headgate.subscriber.ACK.<user>`. A channel's address is the subject "
    "of its events; nobody subscribes to it directly."
)
SECURITY: dict[str, Any] = {
    "type": "userPassword",
    "description": "The subscriber's user, such as subscriber-7, and a token of its owner as the password",
}
SERVERS: dict[str, Any] = {
    "bus": {
        "host": "{host}:{port}",
        "protocol": "nats",
        "description": "NATS with JetStream, for subscribers",
        "variables": {
            "host": {"default": "127.0.0.1", "description": "Where NATS is reached"},
            "port": {"default": "4222"},
        },
        "security": [{"$ref": "#/components/securitySchemes/subscriber"}],
    }
}
ATTRIBUTES: dict[str, Any] = {
    "specversion": {"const": "1.0"},
    "id": {"type": "string", "format": "uuid"},
    "source": {"type": "string", "description": "`/headgate/<service>`"},
    "subject": {"type": "string", "description": "The entity's id"},
    "time": {"type": "string", "format": "date-time"},
    "datacontenttype": {"const": "application/json"},
    "site": {"type": "string", "pattern": "^[a-z0-9-]{1,40}$"},
    "actor": {"type": "string", "description": "A username, or `service:<name>`"},
    "correlationid": {"type": "string", "description": "The request that began it"},
    "causationid": {"type": "string", "description": "The command or event that caused it"},
    "traceparent": {"type": "string"},
}


def events() -> list[Event]:
    """Every event by name."""
    found = [event for contract in CONTRACTS.values() for event in contract.events]
    return sorted(found, key=lambda event: event.name)


def document() -> dict[str, Any]:
    """The whole document as JSON-ready data."""
    adapters = [(event.name, "serialization", TypeAdapter(event.data)) for event in events()]
    schemas, shared = TypeAdapter.json_schemas(adapters, ref_template=REF)  # type: ignore[arg-type]
    channels, operations, messages = {}, {}, {}
    for event in events():
        data = schemas[(event.name, "serialization")]
        messages[event.name] = {
            "name": event.type,
            "title": event.summary,
            "contentType": CONTENT_TYPE,
            "payload": {
                "type": "object",
                "required": ["specversion", "id", "source", "type", "time", "site", "data"],
                "properties": {**ATTRIBUTES, "type": {"const": event.type}, "data": data},
            },
        }
        channels[event.name] = {
            "address": f"headgate.event.{{site}}.{event.name}",
            "parameters": {"site": {"description": "The site that the event concerns"}},
            "messages": {event.name: {"$ref": f"#/components/messages/{event.name}"}},
        }
        operations[event.name] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{event.name}"},
            "summary": event.summary,
            "messages": [{"$ref": f"#/channels/{event.name}/messages/{event.name}"}],
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Headgate events",
            "version": "1",
            "description": ABOUT,
        },
        "servers": SERVERS,
        "defaultContentType": CONTENT_TYPE,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": shared.get("$defs", {}),
            "securitySchemes": {"subscriber": SECURITY},
        },
    }
