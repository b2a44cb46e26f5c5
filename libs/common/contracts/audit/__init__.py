"""Audit: every event and what became of every command, in one hash chain that an outsider can recompute."""

from __future__ import annotations

from libs.common.contracts.base import EVERYTHING
from libs.common.contracts.collect import collect

CONTRACT = collect(
    __name__,
    hears=EVERYTHING,
    hears_records=True,
    asks=(
        "notifier.deliveries.of_events",
        "governance.capsules.get",
        "operations.rehearsals.list",
        "gateway.clients.open",
    ),
)
