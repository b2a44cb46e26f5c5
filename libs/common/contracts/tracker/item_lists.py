"""Lists of items: what to look for, in which order, page by page."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from libs.common.contracts.base import GET, Model, Page, Query, Time, Token
from libs.common.contracts.names import LineFilter, Name, Subject
from libs.common.contracts.tracker.items import BASE, Item, ItemStatus, Label, Person

Sort = Literal["priority", "due", "updated"]
Phrase = Annotated[Name, Field(max_length=100)]


class ItemFilter(Model):
    """All conditions that are given must hold."""

    gate: Token = Field("operations", description="The gate whose board this is")
    subject: Subject | None = None
    line: LineFilter | None = None
    include_inactive: bool = Field(False, description="Resolved items too")
    status: ItemStatus | None = Field(None, description="Only items in this state")
    assignee: Person | None = Field(None, description="Only this person's items; `me`: one's own; `none`: nobody's")
    owner_role: Name | None = Field(None, description="Only items of this owner role")
    rule_id: Name | None = Field(None, description="Only items of this rule")
    overdue: bool = Field(False, description="Only overdue items")
    due_before: Time | None = Field(None, description="Only items that are due before this time")
    label: Label | None = Field(None, description="Only items with this label")
    text: Phrase | None = Field(None, description="Only items with this in rule, reason or action, in any case")
    sort: Sort = Field(
        "priority",
        description="`priority`: active first, then by priority and due time; `due`: active first, then by due time; "
        "`updated`: changed last first",
    )
    limit: int = Field(200, ge=1, le=500, description="How many at the most")


class ItemPageFilter(ItemFilter):
    """The cursor belongs to its ``sort``; keep the conditions from page to page."""

    cursor: str | None = Field(None, max_length=400, description="Where the page before ended")


list_items = Query(
    "tracker.items.list",
    params=ItemFilter,
    result=list[Item],
    permission="remediation:read",
    http=GET(f"{BASE}/items"),
    summary="List items: active first, then by priority and due time",
)
page_items = Query(
    "tracker.items.page",
    params=ItemPageFilter,
    result=Page[Item],
    permission="remediation:read",
    http=GET(f"{BASE}/items/page"),
    summary="List items page by page",
)
