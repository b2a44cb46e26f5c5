"""The feed: a person's open items with a deadline, as a calendar program reads them (RFC 5545, 5546 and 7986)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import fields

from icalendar import Event, vUri

from libs.common.columns import listed
from libs.common.contracts.blobs import Blob
from libs.common.contracts.tracker import feed as contract
from libs.common.contracts.tracker.feed import MAX_ENTRIES, FeedFilter
from libs.common.ical import LONG, NOBODY_TO_ANSWER, content, published
from libs.common.problems import Invalid
from libs.common.service import Read, Table
from services.tracker import feed_entries as domain
from services.tracker.item_lists import ME, NOBODY

PRODUCT = "-//Headgate//Due items//EN"
_COLUMNS = tuple(one.name for one in fields(domain.Due))
# What a person has to do is found by the person (item_in_hand) and little, so that no index needs to have it in order.
# While a clock is paused nobody can say when its item is due.
SELECT_DUE = f"""
SELECT {listed(_COLUMNS)} FROM item
WHERE assignee = $1 AND is_active AND status <> 'done' AND due_at IS NOT NULL AND paused_at IS NULL
    AND ($2::text[] IS NULL OR site = ANY ($2))
ORDER BY due_at, id LIMIT $3
"""  # noqa: S608 - names of our own class


async def feed_items(read: Read, wanted: FeedFilter) -> Blob:
    """The feed as a file. Raises `Forbidden` for a site out of scope, `Invalid` for nobody's items."""
    if wanted.assignee == NOBODY:
        raise Invalid("A feed is of one person's items; name the person, or leave assignee away for your own.")
    who = read.actor if wanted.assignee == ME else wanted.assignee
    rows = await read.pool.fetch(SELECT_DUE, who, read.sites_of(wanted.only_site), MAX_ENTRIES + 1)
    items = [domain.Due(**row) for row in rows[:MAX_ENTRIES]]
    # 500 entries take a sixth of a second, in which nobody else would be answered.
    written = await asyncio.to_thread(write, who, wanted.only_site, items, more=len(rows) > MAX_ENTRIES)
    return Blob.of(written, media_type="text/calendar; charset=utf-8", filename=f"headgate-{who}.ics")


def write(who: str, only_site: str | None, items: Sequence[domain.Due], *, more: bool) -> bytes:
    """The feed's bytes. They follow from the items alone, so that who has them already is told 304."""
    title = f"Headgate: {who} at {only_site}" if only_site else f"Headgate: {who}"
    about = f"Open items of {who} with a deadline."
    if more:
        about += f" There are more: these are the {MAX_ENTRIES} that are due first."
    calendar = published(PRODUCT, title, about)
    for item in items:
        calendar.add_component(_entry(item))
    return content(calendar)


def _entry(item: domain.Due) -> Event:
    entry = Event()
    entry.add("uid", domain.entry_id(item))
    entry.add("dtstamp", item.updated_at)
    entry.add("created", item.opened_at)
    entry.add("last-modified", item.updated_at)
    entry.add("sequence", item.revision)
    entry.add("dtstart", item.due_at)
    entry.add("dtend", item.due_at + LONG)
    entry.add("summary", domain.summary(item))
    entry.add("description", domain.description(item))
    entry.add("categories", domain.categories(item))
    entry.add("priority", domain.rank(item.priority))
    entry.add("organizer", vUri(NOBODY_TO_ANSWER), parameters={"CN": "Headgate"})
    entry.add("status", "CONFIRMED")
    entry.add("transp", "TRANSPARENT")  # a deadline takes nobody's time
    return entry


TABLE = Table(queries={contract.feed_items: feed_items})
