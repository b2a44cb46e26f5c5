"""The clock of an item: pause it, let it run again, move its deadline by hand."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import POST, Command, Time
from libs.common.contracts.revisions import GUARDED, IfRevision
from libs.common.contracts.tracker.items import BASE, Item, ItemKey
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, NotFound, PreconditionFailed


class ClockBody(ItemKey):
    if_revision: IfRevision = None


class PauseBody(ClockBody):
    reason: Reason = Field(description="What is waited for, in a line")


class ResumeBody(ClockBody):
    pass


class DueBody(ClockBody):
    due_at: Time | None = Field(description="The new deadline; null: counted on the site's calendar again")
    reason: Reason = Field(description="Why, in a line")


pause_item = Command(
    "tracker.item.pause",
    body=PauseBody,
    result=Item,
    permission="remediation:write",
    http=POST(f"{BASE}/items/{{item_id}}/pause", **GUARDED),
    errors=(NotFound, Conflict, PreconditionFailed),
    summary="Stop an item's clock: time does not count until it is resumed",
)
resume_item = Command(
    "tracker.item.resume",
    body=ResumeBody,
    result=Item,
    permission="remediation:write",
    http=POST(f"{BASE}/items/{{item_id}}/resume", **GUARDED),
    errors=(NotFound, Conflict, PreconditionFailed),
    summary="Let an item's clock run again; its deadline moves by the working time that was paused",
)
move_due = Command(
    "tracker.item.due",
    body=DueBody,
    result=Item,
    permission="remediation:complete",
    http=POST(f"{BASE}/items/{{item_id}}/due", **GUARDED),
    errors=(NotFound, Conflict, PreconditionFailed),
    summary="Move an item's deadline by hand; runs and calendars leave it alone from then on",
)
