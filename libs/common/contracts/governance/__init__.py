"""Governance: signals become facts, a gate judges them, a NO_GO yields a remediation plan."""

from __future__ import annotations

from libs.common.contracts.collect import collect

CONTRACT = collect(
    __name__,
    hears=(
        "gateway.user.changed",
        "gateway.account.created",
        "gateway.account.changed",
        "tracker.board.completed",
        *(f"tracker.item.{verb}" for verb in ("opened", "updated", "reopened", "assigned", "resolved")),
    ),
)
