"""Sessions: when somebody was at work here, from which address, with which program."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, Model, Open, Page, Query, Time

# Users' names, people who were told without being users, and what comes behind ``webhook:`` and ``service:``.
Actor = Annotated[str, StringConstraints(pattern=r"^[\w-][\w:@ .-]{0,119}$")]


class SessionFilter(Model):
    actor: Actor = Field(description="Whose sessions")
    gap_minutes: int = Field(30, ge=1, le=1440, description="After so long without a command another session begins")
    cursor: str | None = Field(None, pattern=r"^[1-9][0-9]{0,17}$", description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class Session(Open):
    """Commands of one actor from one address with one program, without a longer gap between two of them.

    ``first_seq`` and ``last_seq`` are the entries at its ends. Entries of before commands left records make sessions
    without address and program, and count what was done.
    """

    started_at: Time
    ended_at: Time
    client_address: str | None
    client_agent: str | None
    command_count: int
    refused_count: int
    sites: list[str]
    actions: list[str]
    first_seq: int
    last_seq: int


list_sessions = Query(
    "audit.sessions.list",
    params=SessionFilter,
    result=Page[Session],
    permission="audit:read",
    logged=True,
    http=GET("/api/audit/actors/{actor}/sessions"),
    summary="List when somebody was at work, from where, newest first",
    sited=False,
)
