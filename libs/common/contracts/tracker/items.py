"""Items: what must be done, one episode per (gate, site, subject, rule)."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from libs.common.contracts.base import GET, PATCH, Command, Event, Json, Model, Open, Query, Time
from libs.common.contracts.changes import FieldChange
from libs.common.contracts.governance.runs import CountedStatus
from libs.common.contracts.names import printable_name
from libs.common.contracts.revisions import GUARDED, IfRevision
from libs.common.problems import Conflict, NotFound, PreconditionFailed

BASE = "/api/ops/governance/gate/remediation/tracker"
ItemStatus = Literal["pending", "in_progress", "done", "blocked"]


def _printable(value: str) -> str:
    if any(unicodedata.category(sign) == "Cc" for sign in value):
        raise ValueError("control characters, line breaks too, are not allowed here")
    return value


def printable_lines(value: str) -> str:
    """Text of several lines, if it holds no other control characters than tabs and line breaks; else `ValueError`."""
    if any(unicodedata.category(sign) == "Cc" and sign not in "\n\r\t" for sign in value):
        raise ValueError("control characters are not allowed here, except line breaks and tabs")
    return value


Assignee = Annotated[str, StringConstraints(strip_whitespace=True, max_length=120), AfterValidator(_printable)]
Person = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120), AfterValidator(_printable)
]
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000), AfterValidator(printable_lines)]

MAX_LABELS = 20  # of an item
Label = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50), AfterValidator(printable_name)
]
Labels = Annotated[list[Label], Field(max_length=MAX_LABELS)]


class Item(Open):
    """A remediation item. Done is a claim until a later run passes the rule.

    ``due_at`` is ``sla_hours`` of the site's working time after ``opened_at``; both are null without an SLA. It moves
    by pauses, a rise in severity, a change of the calendar, or by a person's hand (``due_by_hand``, with the reason).
    While ``paused_at`` is set the clock stands still; ``pauses`` are begin and end of the episode's earlier pauses, one
    after the other. ``revision`` counts the item's changes; a run that finds nothing new is none.
    """

    id: int
    item_id: str
    gate: str
    site: str
    subject: str
    version: str
    rule_id: str
    rule_status: CountedStatus
    required: bool
    priority: int
    owner_role: str
    sla_hours: int | None
    due_at: Time | None
    action: str
    reason: str
    detail: Json
    assignee: str | None
    status: ItemStatus
    completion_checked: bool
    completion_note: str
    completed_at: Time | None
    verified_at: Time | None = None
    is_active: bool
    episode: int
    opened_at: Time
    gate_generated_at: Time
    gate_run_id: int
    created_by: str
    updated_by: str
    created_at: Time
    updated_at: Time
    line: str = ""
    revision: int = 1
    responded_at: Time | None = None
    labels: list[str] = []
    retired_at: Time | None = None
    due_by_hand: bool = False
    due_reason: str = ""
    paused_at: Time | None = None
    pause_reason: str = ""
    pauses: list[Time] = []


class ItemKey(Model):
    item_id: int = Field(ge=1, le=2**63 - 1, description="The item's number")


class PatchFields(Model):
    """Missing fields keep their value. An empty assignee, or null, means nobody; no other field may be null.

    Labels are removed first, then added; an item has them once each, in the order of the alphabet.
    """

    assignee: Assignee | None = Field(None, description="Who does it; empty: nobody")
    status: ItemStatus | None = Field(None, description="Its new state")
    completion_checked: bool | None = Field(None, description="Whether the completion was checked")
    completion_note: Note | None = Field(None, description="The completion note")
    add_labels: Labels | None = Field(None, description="Labels that it shall have")
    remove_labels: Labels | None = Field(None, description="Labels that it shall not have")
    if_revision: IfRevision = None


class ItemPatch(PatchFields, ItemKey):
    """A patch of one item."""


class ItemChanged(Open):
    """An item after a change; ``changed`` names the fields, ``changes`` says from what to what.

    The detail of a rule is kept by its run and not again here, and a new item has no values of before.
    """

    item: Item
    changed: list[str] = []
    changes: list[FieldChange] = []


patch_item = Command(
    "tracker.item.patch",
    body=ItemPatch,
    result=Item,
    permission="remediation:write",
    http=PATCH(f"{BASE}/items/{{item_id}}", **GUARDED),
    errors=(NotFound, Conflict, PreconditionFailed),
    summary="Assign an item, move it, note on it, label it, or claim it done",
)
get_item = Query(
    "tracker.items.get",
    params=ItemKey,
    result=Item,
    permission="remediation:read",
    http=GET(f"{BASE}/items/{{item_id}}", revision="revision"),
    errors=(NotFound,),
    summary="Show an item",
)
item_opened = Event("tracker.item.opened", data=ItemChanged, summary="A rule began to fail: an episode opened")
item_updated = Event("tracker.item.updated", data=ItemChanged, summary="An item changed, by a person or by a run")
item_reopened = Event("tracker.item.reopened", data=ItemChanged, summary="A resolved or claimed item fails again")
item_assigned = Event(
    "tracker.item.assigned", data=ItemChanged, summary="Somebody took an item, got it handed over, or was given it"
)
item_resolved = Event("tracker.item.resolved", data=ItemChanged, summary="A run passed the item's rule")
