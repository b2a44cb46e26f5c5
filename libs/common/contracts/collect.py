"""A service's contract, collected from its noun modules: what a module declares is listed nowhere else."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from libs.common.contracts.base import Command, Contract, Event, Query
from libs.common.contracts.common import (
    dead_letter_commands,
    dead_letter_events,
    dead_letter_queries,
    outcome_query,
)
from libs.common.contracts.jobs import job_event, jobs_query
from libs.common.contracts.preflight import preflight_event, preflight_query
from libs.common.contracts.versions import Document
from libs.common.contracts.vitals import vitals_query


def collect(
    package: str,
    *,
    hears: tuple[str, ...] = (),
    sends: tuple[str, ...] = (),
    asks: tuple[str, ...] = (),
    hears_records: bool = False,
) -> Contract:
    """The contract of the service whose noun modules lie in ``package``, such as ``libs.common.contracts.tracker``.

    It holds every Command, Query, Event and Document that a module of the package declares, in the order of the
    modules' names, then of the lines; and what every service promises: the outcomes of its commands, its dead
    letters, its jobs, its preflight and its vitals.

    ``hears``, ``sends`` and ``asks`` are names, not declarations, so that contract packages never import each other in
    a circle; `libs.common.contracts` checks that each is declared. Raises `ValueError` if a name is declared twice.
    """
    service = package.rpartition(".")[2]
    found = list(_declared(package, service))
    return Contract(
        service,
        commands=(*(d for d in found if isinstance(d, Command)), *dead_letter_commands(service)),
        queries=(
            *(d for d in found if isinstance(d, Query)),
            outcome_query(service),
            *dead_letter_queries(service),
            jobs_query(service),
            preflight_query(service),
            vitals_query(service),
        ),
        events=(
            *(d for d in found if isinstance(d, Event) and d.stream == "events"),
            *dead_letter_events(service),
            job_event(service),
            preflight_event(service),
        ),
        samples=tuple(d for d in found if isinstance(d, Event) and d.stream != "events"),
        hears=hears,
        sends=sends,
        asks=asks,
        hears_records=hears_records,
    )


def _declared(package: str, service: str) -> Iterator[Command | Query | Event]:
    """What the modules declare. What one imports from another service is that one's; a repeat is imported too."""
    seen: set[int] = set()
    for found in pkgutil.iter_modules(importlib.import_module(package).__path__):
        for value in vars(importlib.import_module(f"{package}.{found.name}")).values():
            for one in value.declared() if isinstance(value, Document) else (value,):
                if isinstance(one, Command | Query | Event) and one.service == service and id(one) not in seen:
                    seen.add(id(one))
                    yield one
