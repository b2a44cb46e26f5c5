"""Every capability of Headgate, declared once. Services meet here and nowhere else."""

from __future__ import annotations

from libs.common.contracts import audit, gateway, governance, metrics, tracker
from libs.common.contracts.base import Command, Contract, Event, Query

CONTRACTS: dict[str, Contract] = {
    contract.service: contract
    for contract in (gateway.CONTRACT, governance.CONTRACT, tracker.CONTRACT, audit.CONTRACT, metrics.CONTRACT)
}


def find(name: str) -> Command | Query | Event | None:
    """The declaration with this name (``service.noun.verb``), or None."""
    contract = CONTRACTS.get(name.partition(".")[0])
    return contract.by_name.get(name) if contract else None
