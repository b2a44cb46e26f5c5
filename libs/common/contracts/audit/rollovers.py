"""Rollovers: a database that was set back, accepted by a person; nothing is ever rewritten."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Query, Time
from libs.common.problems import Conflict, Unavailable

Reason = Annotated[str, StringConstraints(min_length=3, max_length=1000, pattern=r"^[^\x00]+$")]


def name_after(base: str, rollovers: int) -> str:
    """The log's name: after each rollover another one."""
    return f"{base}/{rollovers + 1}" if rollovers else base


class RolloverCreate(Model):
    lost_size: int = Field(ge=1, le=2**62, description="The size that was signed and is lost, as the refusal names it")
    reason: Reason = Field(description="Why the older copy is accepted")


class Rollover(Open):
    """From here on the log has another name, ``origin``, since what was signed under the old one goes on differently.

    ``lost_checkpoint`` is the last one of the old name; the first ``kept_size`` entries are common to both.
    """

    number: int
    origin: str
    lost_checkpoint: str
    lost_size: int
    kept_size: int
    accepted_by: str
    reason: str
    accepted_at: Time


create_rollover = Command(
    "audit.rollover.create",
    about="{number}",
    kind="audit.log",
    body=RolloverCreate,
    result=Rollover,
    permission="audit:write",
    http=POST("/api/audit/rollovers", status=201),
    errors=(Conflict, Unavailable),
    summary="Accept that signed entries are lost, so that the log may go on under another name",
    sited=False,
)
list_rollovers = Query(
    "audit.rollovers.list",
    result=list[Rollover],
    permission="audit:read",
    http=GET("/api/audit/rollovers"),
    summary="List where the log went on from an older copy of itself",
    sited=False,
)
log_rolled_over = Event("audit.log.rolled_over", data=Rollover, summary="The log goes on from an older copy of itself")
