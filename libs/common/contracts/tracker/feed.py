"""The feed: a person's due items for their calendar program."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, Model, Query, Site
from libs.common.contracts.blobs import Blob
from libs.common.contracts.tracker.items import BASE, Person
from libs.common.problems import Forbidden, Invalid

MAX_ENTRIES = 500


class FeedFilter(Model):
    """Items of all sites that you may see are in it, unless ``only_site`` names one."""

    assignee: Person = Field("me", description="Whose items; `me`: one's own")
    only_site: Site | None = Field(None, description="Items of this one site; it must be in your scope")


feed_items = Query(
    "tracker.items.feed",
    params=FeedFilter,
    result=Blob,
    permission="remediation:read",
    http=GET(f"{BASE}/items.ics", file="text/calendar", basic=True),
    errors=(Forbidden, Invalid),
    summary=f"A person's open items with a deadline as an iCalendar feed: the {MAX_ENTRIES} that are due first",
    sited=False,
)
