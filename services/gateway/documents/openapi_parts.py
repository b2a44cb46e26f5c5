"""Pieces of the OpenAPI document that several of its parts use."""

from __future__ import annotations

from typing import Any

from libs.common.problems import Refusal

REF = "#/components/schemas/{model}"


def header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An optional header of a request."""
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def problems(*errors: type[Refusal]) -> dict[str, Any]:
    """The answers that refuse."""
    content = {"application/problem+json": {"schema": {"$ref": REF.format(model="Problem")}}}
    return {str(error.status): {"description": error.title, "content": content} for error in errors}
