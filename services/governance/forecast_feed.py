"""A forecast as a calendar: when the GO breaks, and by when which fact must be said anew."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, time

from icalendar import Event, vUri

from libs.common.contracts.governance.forecasts import Forecast, Renewal, Turn
from libs.common.ical import LONG, NOBODY_TO_ANSWER, TEXT_LIMIT, TITLE_LIMIT, content, lines, one_line, published

PRODUCT = "-//Headgate//Forecast//EN"
NAMES = uuid.UUID("5f0e7c52-3a7e-4f0e-9d3a-2a8f6f5a7c11")  # ours, made once: the names of entries follow from it
MAX_BREAKS = 100


def write(found: Forecast) -> bytes:
    """The calendar's bytes: what of it stays the same keeps its name."""
    about = _about(found)
    calendar = published(
        PRODUCT, f"Headgate: {found.gate} gate, {about}", f"When the {found.gate} gate turns for {about}."
    )
    for turn in [turn for turn in found.turns if _breaks(turn)][:MAX_BREAKS]:
        why = [*turn.changes, *(rule.message for rule in turn.rules), *turn.reasons]
        words = "\n".join(dict.fromkeys(why))
        calendar.add_component(_entry(found, turn.at, "break", f"NO-GO from now on: {about}", words))
    if found.held is not None and found.held.valid_until is not None:
        words = f"The GO of run {found.held.run_id} holds no longer; run the gate again."
        calendar.add_component(_entry(found, found.held.valid_until, "held", f"The GO ends: {about}", words))
    for one in found.renewals:
        title = f"Renew {one.kind} {one.part} ({about})"
        calendar.add_component(_entry(found, one.renew_by, f"renew {one.kind} {one.part}", title, _how(one)))
    return content(calendar)


def _breaks(turn: Turn) -> bool:
    return turn.before != "NO_GO" and turn.after == "NO_GO"


def _how(one: Renewal) -> str:
    again = f"\nUntil the end of the forecast it is to be renewed {one.times} times." if one.times > 1 else ""
    return (
        f"{one.action}\nFor {', '.join(one.rule_ids)}. {one.owner_role} has {one.sla_hours} hours: "
        f"begin by {one.begin_by.isoformat()}.{again}"
    ).strip()


def _about(found: Forecast) -> str:
    return f"{found.subject} {found.version}, {found.site}" if found.version else found.site


def _entry(found: Forecast, at: datetime, what: str, title: str, words: str) -> Event:
    entry = Event()
    named = "\n".join((found.site, found.gate, found.subject, found.version, what, at.isoformat()))
    entry.add("uid", f"{uuid.uuid5(NAMES, named)}@headgate")
    # The day on which it was foreseen: the same bytes as long as nothing changes, so that 304 can be said.
    entry.add("dtstamp", datetime.combine(found.now.at.date(), time(), UTC))
    entry.add("dtstart", at)
    entry.add("dtend", at + LONG)
    entry.add("summary", one_line(title, TITLE_LIMIT))
    entry.add("description", lines(words, TEXT_LIMIT))
    entry.add("categories", [found.site, found.gate])
    entry.add("organizer", vUri(NOBODY_TO_ANSWER), parameters={"CN": "Headgate"})
    entry.add("status", "CONFIRMED")
    entry.add("transp", "TRANSPARENT")
    return entry
