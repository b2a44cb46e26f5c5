"""What an SLO asks of the HTTP API: which requests count, which of them are good, how many must be, over how long."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from libs.slo.periods import Period

Kind = Literal["availability", "latency"]
Operator = Literal["=", "!=", "=~", "!~"]
# Lives as long as its reader likes: its time is no latency, and no sample tells of it.
STREAM_ROUTE = "/api/events"
# Whoever looks whether all is well, which may be a scraper each ten seconds: their many good answers would hide what
# people meet, some ask every service and so take long by nature, and a 503 of theirs is a report, not a failure.
WATCHING = (
    "/api/ops/preflight", "/api/ops/runbook/checks", "/api/ops/runbook/checks/run", "/api/status", "/healthz",
    "/metrics", "/readyz",
)  # fmt: skip
NEVER_COUNTED = (STREAM_ROUTE, *WATCHING)


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on a label of the request, ``method`` or ``route``, as PromQL writes it."""

    label: str
    operator: Operator
    value: str

    def holds(self, value: str) -> bool:
        """Whether a request with this value of the label counts; patterns match the whole value."""
        if self.operator in ("=", "!="):
            return (value == self.value) is (self.operator == "=")
        return (re.fullmatch(self.value, value, re.ASCII) is not None) is (self.operator == "=~")

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.label}{self.operator}"{escaped}"'


@dataclass(frozen=True, slots=True)
class Indicator:
    """Which requests count, by their method and route template, and which of them are good.

    Availability: those not answered by 500 or above. Latency: those that took less than ``bound_ms``, the largest bound
    of a bucket that is not above the ``threshold_ms`` that was wanted: requests in between count as slow.
    """

    kind: Kind
    matchers: tuple[Matcher, ...] = ()
    threshold_ms: float | None = None
    bound_ms: float | None = None

    def counts(self, method: str, route: str) -> bool:
        """Whether a request of this method and route template counts; those of `NEVER_COUNTED` don't."""
        values = {"method": method, "route": route}
        return route not in NEVER_COUNTED and all(one.holds(values[one.label]) for one in self.matchers)

    @property
    def never_counted(self) -> tuple[str, ...]:
        """The routes of `NEVER_COUNTED` that are asked for, by name or by a pattern; none where nothing names a route.

        What asks for nothing but these is never measured.
        """
        asked = [one for one in self.matchers if one.label == "route"]
        if not any(one.operator in ("=", "=~") for one in asked):
            return ()
        return tuple(route for route in NEVER_COUNTED if all(one.holds(route) for one in asked))


def why_never(routes: Sequence[str]) -> str:
    """A sentence that says why none of these is counted."""
    stream, watching = STREAM_ROUTE in routes, [route for route in routes if route != STREAM_ROUTE]
    said = [f"{STREAM_ROUTE} lasts as long as its reader likes"] if stream else []
    if watching:
        said.append(f"{', '.join(watching)}: asked by who looks whether all is well")
    return f"never counted are {'; '.join(said)}"


@dataclass(frozen=True, slots=True)
class Objective:
    """One SLO. ``target``: the share of good requests, from 0 to below 1. ``file`` and ``line``: where it stands.

    ``subjects``: whose gates are told of it beside each site's own. ``notes``: what of the file counts for nothing.
    """

    name: str
    title: str
    description: str
    service: str
    indicator: Indicator
    target: float
    period: Period
    subjects: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    file: str = ""
    line: int = 0

    @property
    def budget(self) -> float:
        """The share of requests that may be bad."""
        return round(1 - self.target, 12)
