"""Calendars that programs subscribe to (RFC 5545, 5546 and 7986), and texts that are safe in them."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta

from icalendar import Calendar, Component, Timezone, TimezoneStandard, vDuration, vText

NOBODY_TO_ANSWER = "invalid:nomail"  # what calendar programs write where an organizer has no address
LONG = timedelta(minutes=15)  # of an entry: what lasts no time, some programs don't show
LOOK_AGAIN = timedelta(hours=1)
TITLE_LIMIT, TEXT_LIMIT = 250, 1000  # in characters, so that the largest feed stays far below what the bus carries


def published(product: str, title: str, about: str) -> Calendar:
    """A calendar without entries; ``product`` names what writes it, such as ``-//Headgate//Due items//EN``."""
    calendar = Calendar()
    calendar.add("prodid", product)
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    title = one_line(title, TITLE_LIMIT)
    for name, text in (("name", title), ("x-wr-calname", title), ("description", about), ("x-wr-caldesc", about)):
        calendar.add(name, vText(one_line(text, TEXT_LIMIT)))
    calendar.add("refresh-interval", vDuration(LOOK_AGAIN), parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(LOOK_AGAIN))
    return calendar


def content(calendar: Calendar) -> bytes:
    """The calendar's bytes. It holds one component at the least, also when it has no entry."""
    if not calendar.subcomponents:
        calendar.add_component(_utc())
    return bytes(calendar.to_ical())


def _utc() -> Component:
    standard = TimezoneStandard()
    standard.add("dtstart", datetime(1970, 1, 1))  # noqa: DTZ001 - of a zone itself there is only local time
    standard.add("tzoffsetfrom", timedelta())
    standard.add("tzoffsetto", timedelta())
    zone = Timezone()
    zone.add("tzid", "UTC")
    zone.add_component(standard)
    return zone


def one_line(text: str, limit: int) -> str:
    """The text without line breaks, and else as `lines` gives it."""
    return " ".join(lines(text, limit).split("\n"))


def lines(text: str, limit: int) -> str:
    """The text as RFC 5545 allows it: no control characters but line breaks, cut to ``limit`` characters.

    What is a line break to some readers only (U+2028, U+0085) becomes one, so that none takes the rest of a text for
    a line of the feed.
    """
    broken = text.replace("\r\n", "\n")
    kept = "".join("\n" if sign in "\n\r\x0b\x0c\x85\u2028\u2029" else sign if _shown(sign) else " " for sign in broken)
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def _shown(sign: str) -> bool:
    return unicodedata.category(sign) not in ("Cc", "Cs")
