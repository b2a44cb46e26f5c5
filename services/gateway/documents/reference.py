"""``/reference``: every operation on one plain page, made from the contracts. No script, nothing from other hosts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from libs.common.contracts.roles import ROLES
from services.gateway.documents import asyncapi


def page(api: Mapping[str, Any]) -> str:
    """The page as HTML; ``api`` is the OpenAPI document."""
    text = (resources.files("services.gateway.documents") / "reference.html").read_text()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(text).render(
        services=_by_service(api),
        roles=list(ROLES),
        permissions=_permissions(),
        events=asyncapi.events(),
    )


def _by_service(api: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for path, methods in api["paths"].items():
        for method, entry in methods.items():
            body = entry.get("requestBody", {}).get("content", {})
            schema = body.get("application/json", {}).get("schema", {})
            required = schema.get("required", [])
            found.setdefault(entry["tags"][0], []).append(
                {
                    "method": method.upper(),
                    "path": path,
                    "summary": entry["summary"],
                    "permission": entry["x-headgate-permission"],
                    "parameters": [(row["name"], row["in"], row["required"]) for row in entry["parameters"]],
                    "fields": [(name, name in required) for name in schema.get("properties", {})],
                    "kinds": [kind for kind in body if not schema or kind != "application/json"],
                    "statuses": sorted(entry["responses"]),
                }
            )
    return dict(sorted(found.items()))


def _permissions() -> list[tuple[str, list[bool]]]:
    names = sorted(set().union(*ROLES.values()))
    return [(name, [name in held for held in ROLES.values()]) for name in names]
