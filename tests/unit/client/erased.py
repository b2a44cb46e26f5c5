"""Logs of which bodies have gone, as samples: entries 1 to 5, then the one that says so a hundred days later."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.client.samples import entries

TOLD = 6
LATER = timedelta(days=100)


def said(**changed: Any) -> dict[str, Any]:
    """What an entry ``audit.bodies.erased`` says: of 1 to 4."""
    before = (datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=5)).isoformat()
    return {"retention_class": "default", "first_seq": 1, "last_seq": 4, "erased_count": 2, "recorded_before": before,
            "archive_month": "2026-03", "archive_sha256": "ab", **changed}  # fmt: skip


def erased_log(
    gone: tuple[int, ...] = (2, 3), envelope: dict[str, Any] | None = None, later: timedelta = LATER, **changed: Any
) -> list[dict[str, Any]]:
    """The log, oldest first."""

    def payload_of(event: dict[str, Any]) -> str:
        if event["subject"] == str(TOLD):
            event |= {"type": "headgate.audit.bodies.erased.v1", "source": "/headgate/audit"} | (envelope or {})
            event["data"] = said(**changed)
        return json.dumps(event)

    chain = entries(8, payload_of, lambda seq, at: at + later if seq >= TOLD else at)
    erased_at = chain[TOLD - 1]["recorded_at"]
    return [without_body(one, erased_at) if one["seq"] in gone else one for one in chain]


def without_body(entry: dict[str, Any], erased_at: str) -> dict[str, Any]:
    return entry | {"payload": None, "event": None, "erased_at": erased_at}
