"""Every capability of Headgate, declared once. Services meet here and nowhere else."""

from __future__ import annotations

import importlib

from libs.common.contracts.base import Command, Contract, Event, Query

# The one list of services: each is a package here, with a module per noun.
SERVICES = ("gateway", "governance", "tracker", "audit", "metrics")

CONTRACTS: dict[str, Contract] = {
    service: importlib.import_module(f"{__name__}.{service}").CONTRACT for service in SERVICES
}


def find(name: str) -> Command | Query | Event | None:
    """The declaration with this name (``service.noun.verb``), or None."""
    contract = CONTRACTS.get(name.partition(".")[0])
    return contract.by_name.get(name) if contract else None
