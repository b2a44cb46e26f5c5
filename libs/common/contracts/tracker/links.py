"""Links of an item: where else its matter is dealt with, such as a ticket or a change."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from libs.common.contracts.base import DELETE, GET, POST, Command, Event, Open, Query, Time
from libs.common.contracts.names import Name
from libs.common.contracts.tracker.items import BASE, ItemKey
from libs.common.problems import Conflict, NotFound

MAX_LINKS = 20  # of an item


def _web_address(value: str) -> str:
    """An address that a browser may follow without running anything or logging in as somebody."""
    if not value.isprintable() or " " in value:
        raise ValueError("an address has no spaces and no control characters; percent-encode them")
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ValueError("this is not an address, such as https://tickets.example/42") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ValueError("an address begins with http:// or https:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("leave user and password out of the address: everybody who sees the item would see them")
    return value


Url = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    AfterValidator(_web_address),
    Field(json_schema_extra={"format": "uri"}),
]


class Link(Open):
    id: int
    item_id: int
    title: str
    url: str
    added_by: str
    added_at: Time


class LinkAdd(ItemKey):
    title: Name = Field(description="What is there")
    url: Url = Field(description="Where it is: http or https")


class LinkKey(ItemKey):
    link_id: int = Field(ge=1, le=2**63 - 1, description="The link's number")


class LinkTold(Open):
    gate: str
    subject: str
    link: Link


add_link = Command(
    "tracker.link.add",
    body=LinkAdd,
    result=Link,
    permission="remediation:write",
    http=POST(f"{BASE}/items/{{item_id}}/links", status=201),
    errors=(NotFound, Conflict),
    summary="Add a link to an item",
)
remove_link = Command(
    "tracker.link.remove",
    about="{item_id}",
    body=LinkKey,
    result=Link,
    permission="remediation:write",
    http=DELETE(f"{BASE}/items/{{item_id}}/links/{{link_id}}"),
    errors=(NotFound,),
    summary="Remove a link from an item",
)
list_links = Query(
    "tracker.links.list",
    params=ItemKey,
    result=list[Link],
    permission="remediation:read",
    http=GET(f"{BASE}/items/{{item_id}}/links"),
    errors=(NotFound,),
    summary="List the links of an item, in the order in which they were added",
)
link_added = Event("tracker.link.added", data=LinkTold, summary="A link was added to an item")
link_removed = Event("tracker.link.removed", data=LinkTold, summary="A link was removed from an item")
