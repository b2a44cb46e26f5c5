"""The history of one thing: who did what to it, from where, from what to what, and why."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.audit.entries import Entity, Kind
from libs.common.contracts.base import GET, Model, Open, Page, Query, Time
from libs.common.contracts.changes import FieldChange
from libs.common.problems import Invalid


class ResourceFilter(Model):
    resource_type: Kind = Field(description="Its kind, such as tracker.item or gateway.user")
    resource_id: Entity = Field(description="Its id")
    cursor: str | None = Field(None, pattern=r"^[1-9][0-9]{0,17}$", description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class Deed(Open):
    """What was done to it, or tried. The client is that of the command that caused it, whose entry is ``command_seq``.

    ``changes``: as the event states them, empty where it states none, and where ``changes_omitted`` says why they are
    not shown: the entry's body is over 1 MiB (``too_large``), or its time was over (``erased``). ``changes_left_out``:
    how many more there are than an event states.
    """

    seq: int
    time: Time
    action: str
    site: str
    actor: str
    outcome: str | None
    reason: str | None
    issue: str | None
    changes: list[FieldChange]
    changes_omitted: Literal["too_large", "erased"] | None = None
    changes_left_out: int = 0
    command_seq: int | None
    client_address: str | None
    client_agent: str | None
    trace_id: str | None
    correlationid: str | None


list_deeds = Query(
    "audit.deeds.list",
    params=ResourceFilter,
    result=Page[Deed],
    permission="audit:read",
    logged=True,
    http=GET("/api/audit/resources/{resource_type}/{resource_id}"),
    errors=(Invalid,),
    summary="List what was done to one thing, by whom, from where, from what to what, newest first",
    sited=False,
)
find_deeds = Query(
    "audit.deeds.find",
    params=ResourceFilter,
    result=Page[Deed],
    permission="audit:read",
    logged=True,
    http=GET("/api/audit/resources"),
    errors=(Invalid,),
    summary="The same of a thing whose id does not fit a path, such as a board (gate/subject)",
    sited=False,
)
