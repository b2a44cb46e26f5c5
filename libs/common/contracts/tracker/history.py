"""The history of an item: what changed, who did it, when, and what made them."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from libs.common.contracts.base import GET, Json, Open, Page, Query, Time
from libs.common.contracts.tracker.items import BASE, ItemKey
from libs.common.problems import NotFound


class HistoryFilter(ItemKey):
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class HistoryEntry(Open):
    """One change. ``before`` and ``after`` hold the fields that ``changed`` names, of a new item all that it has.

    ``cause`` is the id of the command or event that was applied, ``run_id`` the run that made the change, if one did.
    The detail of a rule is kept by its run and not again here. ``comment`` is what was said; null once it was
    withdrawn.
    """

    id: int
    kind: str
    at: Time
    actor: str
    episode: int
    revision: int
    changed: list[str]
    before: Json
    after: Json
    cause: UUID
    run_id: int | None
    comment_id: int | None = None
    comment: str | None = None


item_history = Query(
    "tracker.items.history",
    params=HistoryFilter,
    result=Page[HistoryEntry],
    permission="remediation:read",
    http=GET(f"{BASE}/items/{{item_id}}/history"),
    errors=(NotFound,),
    summary="List the changes of an item, newest first",
)
