"""Many items patched by one command, with a result for each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from libs.common.contracts.base import POST, Command, Event, Json, Model, Open
from libs.common.contracts.tracker.items import BASE, ItemPatch, PatchFields
from libs.common.problems import Invalid

MAX_BULK = 500
ItemId = Annotated[int, Field(ge=1, le=2**63 - 1)]


class BulkPatch(Model):
    """Either ``item_ids`` and one ``patch`` for all of them, or ``patches`` with an ``item_id`` in each."""

    item_ids: list[ItemId] = Field([], max_length=MAX_BULK, description="The items that `patch` is for")
    patch: PatchFields | None = Field(None, description="What to do to each of `item_ids`")
    patches: list[ItemPatch] = Field([], max_length=MAX_BULK, description="What to do to each item")

    @property
    def ids(self) -> list[int]:
        """The items that it names, in its order."""
        return self.item_ids or [patch.item_id for patch in self.patches]

    def each(self) -> list[ItemPatch]:
        """A patch for each item, in the order sent; a field that was not sent is not set."""
        if self.patch is None:
            return self.patches
        sent = self.patch.model_dump(exclude_unset=True)
        return [ItemPatch.model_validate({"item_id": item_id, **sent}) for item_id in self.item_ids]


class BulkOutcome(Open):
    """What became of one item. ``changed`` is empty where it was as wanted already; ``problem`` says why it is refused.

    ``revision`` is what the item has now; null if there is no such item.
    """

    item_id: int
    outcome: Literal["applied", "refused"]
    revision: int | None = None
    changed: list[str] = []
    problem: Json | None = None


class BulkResult(Open):
    """``items`` in the order in which they were named."""

    applied_count: int
    refused_count: int
    items: list[BulkOutcome]


class BulkPatched(Open):
    """What a bulk patch did, in numbers; each changed item is told by an event of its own."""

    applied_count: int
    changed_count: int
    refused_count: int


patch_bulk = Command(
    "tracker.bulk.patch",
    about="items",
    body=BulkPatch,
    result=BulkResult,
    permission="remediation:write",
    http=POST(f"{BASE}/items/bulk"),
    errors=(Invalid,),
    summary="Patch up to 500 items at once; each is applied or refused by itself",
)
bulk_patched = Event("tracker.bulk.patched", data=BulkPatched, summary="Many items were patched at once")
