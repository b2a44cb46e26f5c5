"""Tracker: the board of remediation items, one episode per (gate, site, subject, rule)."""

from __future__ import annotations

from libs.common.contracts.collect import collect

CONTRACT = collect(
    __name__,
    hears=(
        "governance.gate.decided",
        "gateway.user.created",
        "gateway.user.changed",
        "notifier.escalation.delivered",
        "notifier.escalation.failed",
    ),
    sends=("governance.gate.run",),
    asks=("gateway.users.page", "gateway.users.name"),
)
