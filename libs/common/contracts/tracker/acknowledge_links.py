"""Acknowledge links: what a person may do who holds the link of an escalation's message. The edge opens it."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from libs.common.contracts.base import Command, Open, Query, Time
from libs.common.contracts.tracker.escalation import Escalation
from libs.common.contracts.tracker.items import ItemKey
from libs.common.problems import Conflict, NotFound


class LinkKey(ItemKey):
    """``key`` is that of the step whose message held the link; a link is for one episode of the item."""

    episode: int = Field(ge=1, le=2**31 - 1)
    key: UUID


class LinkState(Open):
    """``state``: ``open`` if the link would acknowledge now, ``used``, ``acknowledged`` by another word, or ``over``:
    the item is done, or what it was told of then has ended.
    """

    state: Literal["open", "used", "acknowledged", "over"]
    item_id: int
    site: str
    gate: str
    subject: str
    line: str
    version: str
    rule_id: str
    reason: str
    due_at: Time | None
    assignee: str | None
    level: int
    acknowledged_by: str | None = None


show_link = Query(
    "tracker.escalation.link",
    params=LinkKey,
    result=LinkState,
    permission="remediation:write",
    errors=(NotFound,),
    summary="Show what an acknowledge link is about, and whether it would do anything",
)
use_link = Command(
    "tracker.escalation.use_link",
    about="{item_id}",
    body=LinkKey,
    result=Escalation,
    permission="remediation:write",
    errors=(NotFound, Conflict),
    summary="Stop an item's escalation in the name of who was told; each link once",
)
