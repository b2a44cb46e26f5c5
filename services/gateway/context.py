"""What one HTTP request carries along through the edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import HTTPConnection

KEY = "headgate"


@dataclass(slots=True)
class Context:
    """``route`` is the template that answered (never the raw path); ``who`` a username or ``address:<ip>``.

    ``site``: the one that the request concerns, empty while it is not known, and where it concerns none.

    ``agent`` is what the caller's program calls itself, cut to 200 signs. ``logged``: it shows some of the audit log.
    ``prompted``: the answer asks for a code, which is a question and no refusal of what the caller may.

    ``headers`` are added to the answer; ``at_end`` is called when it has been given, or can't be.
    ``started`` is a reading of the performance counter in seconds.
    """

    request_id: str
    traceparent: str
    received_at: datetime
    started: float
    address: str
    agent: str = ""
    route: str = "unmatched"
    who: str = ""
    site: str = ""
    logged: bool = False
    prompted: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    at_end: list[Callable[[], None]] = field(default_factory=list)

    @property
    def trace_id(self) -> str:
        """The 32 hex digits that logs, spans and problems share."""
        return self.traceparent[3:35]


def context_of(request: HTTPConnection) -> Context:
    """The request's context, put there by the outermost layer."""
    context = request.scope[KEY]
    assert isinstance(context, Context)  # noqa: S101  set by `Envelope` for every request
    return context
