"""What one HTTP request carries along through the edge."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import HTTPConnection

KEY = "headgate"


@dataclass(slots=True)
class Context:
    """``route`` is the template that answered (never the raw path); ``who`` a username or ``address:<ip>``.

    ``headers`` are added to the answer. ``started`` is a reading of the performance counter in seconds.
    """

    request_id: str
    traceparent: str
    received_at: datetime
    started: float
    address: str
    route: str = "unmatched"
    who: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def trace_id(self) -> str:
        """The 32 hex digits that logs, spans and problems share."""
        return self.traceparent[3:35]


def context_of(request: HTTPConnection) -> Context:
    """The request's context, put there by the outermost layer."""
    context = request.scope[KEY]
    assert isinstance(context, Context)  # noqa: S101  set by `Envelope` for every request
    return context
