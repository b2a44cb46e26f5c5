"""From hand to hand: taking an item that nobody has, handing it over, letting it go."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from libs.common.contracts.base import POST, Command, Token
from libs.common.contracts.names import printable_name
from libs.common.contracts.revisions import GUARDED, IfRevision
from libs.common.contracts.tracker.items import BASE, Item, ItemKey
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Invalid, NotFound, PreconditionFailed

_ITEM = f"{BASE}/items/{{item_id}}"
MaybeReason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), AfterValidator(printable_name)]


class Take(ItemKey):
    if_revision: IfRevision = None


class HandOver(Take):
    to: Token = Field(description="Who gets it: an active user of the site who may work on items")
    reason: Reason = Field(description="Why, in a line; it is noted with the item")


class Release(Take):
    reason: MaybeReason = Field("", description="Why, in a line; it is noted with the item")


take_item = Command(
    "tracker.item.take",
    body=Take,
    result=Item,
    permission="remediation:write",
    http=POST(f"{_ITEM}/take", **GUARDED),
    errors=(NotFound, Conflict, PreconditionFailed),
    summary="Take an item that nobody has",
)
hand_over_item = Command(
    "tracker.item.hand_over",
    body=HandOver,
    result=Item,
    permission="remediation:write",
    http=POST(f"{_ITEM}/hand-over", **GUARDED),
    errors=(NotFound, Conflict, Invalid, PreconditionFailed),
    summary="Give an item to another person of the site",
)
release_item = Command(
    "tracker.item.release",
    body=Release,
    result=Item,
    permission="remediation:write",
    http=POST(f"{_ITEM}/release", **GUARDED),
    errors=(NotFound, Conflict, PreconditionFailed),
    summary="Let an item go: it waits for somebody again",
)
