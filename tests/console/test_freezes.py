"""A calendar program's file becomes a freeze calendar, once somebody has seen what would come of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from playwright.sync_api import FilePayload, expect

from tests.console.conftest import Visitor
from tests.console.filling import Filled, ok


def ical_file(*events: str) -> FilePayload:
    """A calendar program's file."""
    text = "\r\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//acme//EN", *events, "END:VCALENDAR", ""))
    return {"name": "holidays.ics", "mimeType": "text/calendar", "buffer": text.encode()}


def ical_event(name: str, days: int, *more: str) -> str:
    """A day, so many days from now."""
    begin = datetime.now(UTC).date() + timedelta(days=days)
    end = begin + timedelta(days=1)
    days_ = f"DTSTART;VALUE=DATE:{begin:%Y%m%d}", f"DTEND;VALUE=DATE:{end:%Y%m%d}"
    return "\r\n".join(("BEGIN:VEVENT", f"UID:{name}", f"SUMMARY:{name}", *days_, *more, "END:VEVENT"))


def test_a_file_is_looked_at_then_published_without_what_cannot_be_kept(visit: Visitor, filled: Filled) -> None:
    visit.expect(r"422 POST .*/freezes/import")
    page = visit("/documents/freezes")
    page.get_by_role("button", name="Import an iCalendar file").press("Enter")
    dialog = page.get_by_role("dialog")
    file = dialog.get_by_label("File (.ics)")
    file.set_input_files({"name": "no.ics", "mimeType": "text/calendar", "buffer": b"no calendar"})
    dialog.get_by_label("Name of the calendar").fill("holidays")
    dialog.get_by_label("Time zone").fill("Asia/Seoul")
    dialog.get_by_label("Gates").fill("nothing-of-ours")
    dialog.get_by_label("Reason").fill("from HR")
    dialog.get_by_role("button", name="Look at it").press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("no iCalendar file")

    hourly = ical_event("every hour", 5, "RRULE:FREQ=HOURLY")
    file.set_input_files(ical_file(ical_event("kept day", 3), ical_event("long ago", -9), hourly))
    dialog.get_by_role("button", name="Look at it").press("Enter")
    found = dialog.get_by_role("status")
    expect(found).to_contain_text("kept day")
    expect(found).to_contain_text("Over: 1")
    expect(found.get_by_role("listitem").filter(has_text="every hour")).to_contain_text("FREQ")
    with filled.http() as http:
        assert ok(http.get("/api/freezes"))["content"]["calendars"] == [], "it was published by a look"
    dialog.get_by_role("button", name="Publish").press("Enter")
    expect(dialog).to_be_visible()  # whether the rest goes without it must be said
    dialog.get_by_label("Publish it without this one").check()
    dialog.get_by_role("button", name="Publish").press("Enter")
    expect(dialog).to_have_count(0)
    expect(page.locator(".cm-content")).to_contain_text('"name": "holidays"')
    expect(page.get_by_role("row").filter(has_text="from HR")).to_be_visible()
    with filled.http() as http:
        [calendar] = ok(http.get("/api/freezes"))["content"]["calendars"]
        assert [one["reason"] for one in calendar["windows"]] == ["kept day"]
        assert (calendar["gates"], calendar["windows"][0]["zone"]) == (["nothing-of-ours"], "Asia/Seoul")
        ok(http.put("/api/freezes", json={"content": {"calendars": []}, "reason": "as before"}))
    expect(page.locator(".cm-content")).not_to_contain_text("holidays")
