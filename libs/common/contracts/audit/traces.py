"""Traces: all that one request set off, in whichever services, as a tree."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, Model, Open, Query, Time
from libs.common.problems import NotFound

MAX_ENTRIES = 1000


class TraceKey(Model):
    trace_id: Annotated[
        str,
        StringConstraints(pattern=r"^([0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"),
    ] = Field(description="A trace's 32 hex digits, or the id of a request (X-Request-Id) with its dashes")


class TraceNode(Open):
    """One step. ``parent_id`` is what set it off, null for what began it all; ``depth`` counts from there.

    ``request``: an HTTP request (its ``node_id`` is the request's id) with the client's address and program, if a
    command of it is in the log. ``command`` and ``event``: entries of the log, whose number is ``seq``. A
    ``notification`` is what the notifier made of an event: ``outcome`` is its state.
    """

    node_id: str
    parent_id: str | None
    depth: int
    kind: Literal["request", "command", "event", "notification"]
    action: str
    at: Time | None = None
    seq: int | None = None
    site: str | None = None
    actor: str | None = None
    subject: str | None = None
    outcome: str | None = None
    reason: str | None = None
    issue: str | None = None
    client_address: str | None = None
    client_agent: str | None = None


class Trace(Open):
    """``nodes`` in the order of the tree: each right behind what set it off and what that set off before.

    ``left_out``: there are entries behind the first 1,000. ``notifications``: ``unknown`` while the notifier is away,
    ``hidden`` from those who may not read subscriptions.
    """

    trace_id: str
    entry_count: int
    left_out: bool
    notifications: Literal["known", "unknown", "hidden"]
    nodes: list[TraceNode]


get_trace = Query(
    "audit.traces.get",
    params=TraceKey,
    result=Trace,
    permission="audit:read",
    logged=True,
    http=GET("/api/audit/traces/{trace_id}"),
    errors=(NotFound,),
    summary="Show what one request set off: commands, events and notifications as a tree",
    sited=False,
)
