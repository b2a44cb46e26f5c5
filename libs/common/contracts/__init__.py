"""Every capability of Headgate, declared once. Services meet here and nowhere else."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from libs.common.contracts.base import EVERYTHING, Command, Contract, Event, Query
from libs.common.contracts.common import refused_event
from libs.common.roster import SERVICES

__all__ = ["CONTRACTS", "SERVICES", "check", "find", "heard", "refusals"]

CONTRACTS: dict[str, Contract] = {
    service: importlib.import_module(f"{__name__}.{service}").CONTRACT for service in SERVICES
}


def find(name: str) -> Command | Query | Event | None:
    """The declaration with this name (``service.noun.verb``), or None."""
    contract = CONTRACTS.get(name.partition(".")[0])
    return contract.by_name.get(name) if contract else None


def heard(service: str, stream: str = "events") -> tuple[str, ...]:
    """The names of the events that a service hears on ``events`` or ``telemetry``, sorted; `EVERYTHING` for all.

    Who sends commands also hears that they were refused. Who sends everything is the edge: it awaits each outcome.
    """
    contract = CONTRACTS[service]
    if contract.hears == EVERYTHING:
        return EVERYTHING if stream == "events" else ()
    samples = {sample.name for other in CONTRACTS.values() for sample in other.samples}
    names = {name for name in contract.hears if (name in samples) == (stream == "telemetry")}
    if stream == "events" and contract.sends != EVERYTHING:
        names |= refusals(service)
    return tuple(sorted(names))


def refusals(service: str) -> set[str]:
    """The names of the events that tell a service that a command which it sent was refused."""
    return {refused_event(name.partition(".")[0]).name for name in CONTRACTS[service].sends if name not in EVERYTHING}


WATCHED = ("preflight.get", "vitals.get", "jobs.list")  # who watches all services asks these of itself, too


def check(contracts: Mapping[str, Contract]) -> None:
    """Raise `ValueError` unless all that services hear, send and ask is declared by another's contract."""
    declared = {name: one for contract in contracts.values() for name, one in contract.by_name.items()}
    declared |= {sample.name: sample for contract in contracts.values() for sample in contract.samples}
    for contract in contracts.values():
        wanted = (("hears", contract.hears, Event), ("sends", contract.sends, Command), ("asks", contract.asks, Query))
        for verb, names, kind in wanted:
            for name in names if names != EVERYTHING else ():
                if not isinstance(declared.get(name), kind):
                    raise ValueError(f"{contract.service} {verb} {name}, which no contract declares as {kind.__name__}")
                own = name.removeprefix(f"{contract.service}.")
                if verb != "hears" and own != name and not (verb == "asks" and own in WATCHED):
                    raise ValueError(f"{contract.service} {verb} {name}, which is its own")


check(CONTRACTS)
