"""An order about what somebody else may have changed meanwhile says which revision it is about."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

# Where it stands in a command, `If-Match` fills it; `GUARDED` says so of the route.
IfRevision = Annotated[
    int | None,
    Field(ge=0, le=2**31 - 1, description="Refuse (412) unless it has this revision; as `If-Match` does"),
]
GUARDED: dict[str, Any] = {"revision": "revision", "if_match": "if_revision"}
