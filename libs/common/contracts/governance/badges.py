"""Badges: what a gate says of a version now, as a picture for a page."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, Query
from libs.common.contracts.blobs import Blob
from libs.common.contracts.governance.runs import GateTarget
from libs.common.contracts.names import Version
from libs.common.problems import Invalid, NotFound


class BadgeFilter(GateTarget):
    version: Version | None = Field(None, description="Else the version that was judged last")


get_badge = Query(
    "governance.badges.get",
    params=BadgeFilter,
    result=Blob,
    permission="gate:read",
    http=GET("/api/gates/{gate}/badge.svg", file="image/svg+xml"),
    errors=(NotFound, Invalid),
    summary="A badge: GO, GO with warnings, NO-GO, expired or unknown, as it is at this moment",
)
