"""The services: the one list. Standard library only, so that a container's health check reads it in a moment.

A service is a line here, a package in `libs.common.contracts`, and a folder in `services`. Its port (the gateway's plus
its place), database roles, bus user, streams, routes, containers, scrape targets and sweep tests follow from that.
"""

from __future__ import annotations

# Add at the end: what a place gives (ports, the class of its run numbers) must stay with its service.
SERVICES = (
    "gateway",
    "governance",
    "tracker",
    "audit",
    "metrics",
    "notifier",
    "operations",
)


def place(service: str) -> int:
    """How far a service's port lies above the gateway's. Raises `ValueError` for a name that is not in the list."""
    return SERVICES.index(service)


RUN_CLASSES = 16  # room for as many services; more would need another step of every `job_run_id`


def run_class(service: str) -> int:
    """Numbers of the service's runs leave this remainder when divided by `RUN_CLASSES`; the first run has it."""
    return place(service) + 1
