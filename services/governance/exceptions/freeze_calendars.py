"""Freeze calendars from and to calendar programs: a file becomes a published calendar, what is published a feed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial

from libs.common import versions
from libs.common.contracts.blobs import Blob
from libs.common.contracts.governance.freezes import (
    FREEZES,
    MAX_WINDOWS,
    PREVIEW_DAYS,
    FeedFilter,
    FreezeCalendar,
    FreezeImport,
    Freezes,
    FreezesImported,
    feed_freezes,
    import_freezes,
)
from libs.common.problems import Conflict, Invalid
from libs.common.service import Read, Table, Tx
from services.governance.catalog import SITE_SUBJECT, Catalog, Target
from services.governance.exceptions.freeze_files import Shown, read_windows, write
from services.governance.exceptions.freezes import apply_freezes
from services.governance.frozen import frozen, occurrences

MAX_ENTRIES = 500
MAX_SAID = 5

SELECT_PUBLISHED_CALENDARS = """
SELECT site, content, published_at FROM (
    (SELECT * FROM document_version WHERE kind = 'freezes' AND site = $1 ORDER BY version DESC LIMIT 1)
    UNION ALL
    (SELECT * FROM document_version WHERE kind = 'freezes' AND site = 'global' AND $1 <> 'global'
     ORDER BY version DESC LIMIT 1)
) AS newest
"""


async def import_file(tx: Tx, body: FreezeImport) -> FreezesImported:
    """Publish what a file holds as one calendar of the site, beside those that it has.

    Raises `Invalid` for a file that can't be read or that holds events that can't be kept (naming each), `Conflict` if
    somebody publishes meanwhile, `TooLarge`.
    """
    found = await asyncio.to_thread(read_windows, body.content, body.zone, tx.now)
    refused = list(found.refused)
    if refused and not body.skip_refused:
        said = "; ".join(f"{one.uid or one.summary}: {one.why}" for one in refused[:MAX_SAID])
        more = f" (and {len(refused) - MAX_SAID} more)" if len(refused) > MAX_SAID else ""
        raise Invalid(
            f"{len(refused)} events can't be kept as they are: {said}{more}. Set them right, or skip them, and nothing "
            "is frozen then.",
            refused=[one.model_dump() for one in refused[:MAX_WINDOWS]],
        )
    if len(found.windows) > MAX_WINDOWS:
        raise Invalid(
            f"These are {len(found.windows)} windows, and a calendar has at most {MAX_WINDOWS}; split the file, or "
            "make one event that repeats of many."
        )
    if not found.windows:
        raise Invalid("No event of the file freezes anything any more: they are over, called off or refused.")
    known = await versions.current(tx.connection, FREEZES, tx.site)
    # What is in force everywhere holds here anyway; a site without a document of its own begins with none.
    own = known.content.calendars if known.source == "own" else []
    before = next((one for one in own if one.name == body.name), FreezeCalendar(name=body.name))
    calendar = before.model_copy(
        update={
            "windows": list(found.windows),
            **({} if body.gates is None else {"gates": body.gates}),
            **({} if body.subjects is None else {"subjects": body.subjects}),
        }
    )
    version = None
    if not body.dry_run:
        if body.expected_version is not None and body.expected_version != known.own_version:
            raise Conflict(f"The site's own version is {known.own_version} now; look at it, and import again.")
        every = Freezes(calendars=[*(one for one in own if one.name != body.name), calendar])
        published = await versions.publish(tx, FREEZES, every, body.reason, known.own_version)
        await apply_freezes(tx, published)
        version = published.version
    return FreezesImported(
        version=version,
        calendar=calendar,
        refused=refused,
        past_count=found.past_count,
        cancelled_count=found.cancelled_count,
    )


async def feed(catalog: Catalog, read: Read, wanted: FeedFilter) -> Blob:
    """The freezes of the next days as a file. Raises `NotFound`, `Invalid`."""
    rows = await read.pool.fetch(SELECT_PUBLISHED_CALENDARS, read.site)
    since = {row["site"]: row["published_at"] for row in rows}
    contents = {row["site"]: row["content"] for row in rows}
    # By the day, so that the bytes stay the same for as long.
    now = read.now.replace(hour=0, minute=0, second=0, microsecond=0)
    about, more = f"Freezes at {read.site}", ""
    if wanted.gate is None:
        if wanted.subject is not None:
            raise Invalid("A subject is frozen for a gate; say which.")
        shown = await asyncio.to_thread(_every, contents, now)
    else:
        policy = (await catalog.in_force(read.pool, wanted.gate, read.site)).policy(wanted.subject or SITE_SUBJECT)
        if policy.subject_mode == "version" and wanted.subject is None:
            raise Invalid(f"The gate {wanted.gate} judges one subject; say which.")
        target = Target(wanted.gate, read.site, wanted.subject or SITE_SUBJECT, "")
        found, missing = await asyncio.to_thread(frozen, policy, target, contents, now)
        shown = [(site, one.calendar, one.begins_at, one.ends_at, one.reason) for site, one in found]
        about = f"Freezes of the gate {wanted.gate} at {read.site}"
        more += f" Not published, so that it is frozen: {', '.join(missing)}." if missing else ""
    until = now + timedelta(days=PREVIEW_DAYS)
    windows = [Shown(*one, since[one[0]]) for one in sorted(shown, key=lambda one: one[2:4]) if one[2] <= until]
    more += f" There are more: these are the next {MAX_ENTRIES}." if len(windows) > MAX_ENTRIES else ""
    title = f"Headgate: {about[:1].lower()}{about[1:]}"
    written = await asyncio.to_thread(write, title, f"{about}.{more}", windows[:MAX_ENTRIES])
    return Blob.of(written, media_type="text/calendar; charset=utf-8", filename="headgate-freezes.ics")


def _every(contents: dict[str, str], now: datetime) -> list[tuple[str, str, datetime, datetime, str]]:
    try:
        documents = {site: Freezes.model_validate_json(content) for site, content in sorted(contents.items())}
    except ValueError:
        raise Invalid("A freeze calendar that was published can't be read any more; publish it anew.") from None
    return [
        (site, calendar.name, begin, end, window.reason)
        for site, document in documents.items()
        for calendar in document.calendars
        for window in calendar.windows
        for begin, end in occurrences(window, now)
    ]


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    return Table(commands={import_freezes: import_file}, queries={feed_freezes: partial(feed, catalog)})
