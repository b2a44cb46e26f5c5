"""Paces: when subscriptions to channels may be told, and the time zones of sites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from libs.common.contracts.notifier.pacing import QuietWindow
from libs.common.contracts.tracker.calendars import CALENDAR
from libs.common.contracts.versions import DocumentPublished
from libs.common.contracts.zones import WEEKDAYS
from libs.common.service import Connection
from services.notifier.domain.quiet import Pace, Window

# Of one site the newest version counts, whatever comes later. In the order of names, so that two never wait for each
# other in a circle.
KEEP_ZONES = """
INSERT INTO site_zone (site, zone, version)
SELECT site, zone, version FROM unnest($1::text[], $2::text[], $3::integer[]) AS told (site, zone, version)
ORDER BY site
ON CONFLICT (site) DO UPDATE SET zone = EXCLUDED.zone, version = EXCLUDED.version
WHERE site_zone.version < EXCLUDED.version
"""
CALENDAR_PUBLISHED = CALENDAR.published.type


async def keep_zones(connection: Connection, published: Iterable[DocumentPublished]) -> None:
    """Keep the zones of calendars that were published, unless something newer is known."""
    newest: dict[str, DocumentPublished] = {}
    for one in published:
        if (known := newest.get(one.site)) is None or known.version < one.version:
            newest[one.site] = one
    rows = [(one.site, str(one.content.get("zone") or "UTC"), one.version) for one in newest.values()]
    await connection.execute(KEEP_ZONES, *map(list, zip(*rows, strict=True)))


@lru_cache(maxsize=1024)
def zone_of(name: str | None) -> tzinfo:
    """The zone of this name; UTC where there is none, or none of that name any more."""
    try:
        return ZoneInfo(name) if name and name != "UTC" else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def pace_of(zone: str | None, quiet_hours: Iterable[Mapping[str, Any]], digest_minutes: int) -> Pace:
    """The pace that a row of a subscription says."""
    windows = tuple(window_of(QuietWindow.model_validate(one)) for one in quiet_hours)
    return Pace(zone_of(zone), windows, digest_minutes)


def window_of(one: QuietWindow) -> Window:
    """The window that a person has described."""
    return Window(frozenset(map(WEEKDAYS.index, one.days)), _minute(one.begins), _minute(one.ends))


def windows_of(quiet_hours: Sequence[QuietWindow]) -> list[Window]:
    """All of them."""
    return [window_of(one) for one in quiet_hours]


def _minute(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)
