"""The calendar feed: what a program reads of it, whatever people wrote into items."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from services.tracker import feed_entries as domain
from services.tracker.feed import write

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ITEM = domain.Due(
    id=12,
    episode=2,
    site="plant-a",
    gate="release",
    subject="acme/payments-api",
    line="",
    version="1.4.0",
    rule_id="tests_pass",
    priority=1,
    owner_role="Release Manager",
    status="in_progress",
    due_at=NOON,
    due_reason="",
    action="Mend the tests",
    reason="3 tests fail, 0 may",
    labels=["db"],
    opened_at=NOON - timedelta(hours=8),
    created_at=NOON - timedelta(days=30, microseconds=7),
    updated_at=NOON - timedelta(hours=1),
    revision=7,
)


def feed(*items: domain.Due, who: str = "ann", more: bool = False) -> bytes:
    return write(who, None, items, more=more)


def events(content: bytes) -> list[Any]:
    return list(Calendar.from_ical(content).walk("VEVENT"))


def read_plainly(content: bytes) -> list[tuple[str, str]]:
    """A second reader, of RFC 5545, 3.1 and 3.3.11 alone: lines unfolded, names with parameters, texts unescaped."""
    text = content.decode()
    assert text.endswith("\r\n")
    assert not re.search(r"(?<!\r)\n|\r(?!\n)", text), "lines end in CRLF only"
    assert all(len(line) <= 75 for line in content.split(b"\r\n")), "octets of a line"
    found = []
    for line in text.replace("\r\n ", "").removesuffix("\r\n").split("\r\n"):
        assert not [sign for sign in line if unicodedata.category(sign) == "Cc"], line
        name, _, value = line.partition(":")
        value = re.sub(r"\\(.)", lambda match: "\n" if match[1] in "nN" else match[1], value)
        found.append((name, value))
    return found


def test_an_entry_says_what_by_when_and_why() -> None:
    (entry,) = events(feed(ITEM))
    assert (entry.start, entry.end - entry.start) == (NOON, timedelta(minutes=15))
    assert entry["summary"] == "Priority 1: tests_pass (acme/payments-api, plant-a)"
    assert entry["description"] == (
        "Mend the tests\n\nWhy: 3 tests fail, 0 may\n\n"
        "Item 12 of the gate release, version 1.4.0; in progress, for Release Manager.\n"
        "headgate items show 12 --site plant-a"
    )
    assert entry.categories == ["plant-a", "release", "db"]
    assert (entry["sequence"], entry["priority"], entry["transp"]) == (7, 1, "TRANSPARENT")
    assert entry.LAST_MODIFIED == entry.DTSTAMP == ITEM.updated_at
    (of_site,) = events(feed(replace(ITEM, subject="site", due_reason="Audit on Monday", priority=3)))
    assert of_site["summary"] == "Priority 3: tests_pass (plant-a)"
    assert "Deadline set by hand: Audit on Monday" in of_site["description"]
    assert of_site["priority"] == 9


def test_the_feed_says_whose_it_is_and_when_to_look_again() -> None:
    found = dict(read_plainly(feed(ITEM, more=True)))
    assert (found["METHOD"], found["X-WR-CALNAME"], found["NAME"]) == ("PUBLISH", "Headgate: ann", "Headgate: ann")
    assert (found["REFRESH-INTERVAL;VALUE=DURATION"], found["X-PUBLISHED-TTL"]) == ("PT1H", "PT1H")
    assert "500 that are due first" in found["X-WR-CALDESC"]
    assert "500" not in dict(read_plainly(feed(ITEM)))["X-WR-CALDESC"]
    assert dict(read_plainly(write("ann", "plant-a", [], more=False)))["X-WR-CALNAME"] == "Headgate: ann at plant-a"


def test_the_same_items_give_the_same_bytes_and_an_episode_keeps_its_name() -> None:
    assert feed(ITEM) == feed(ITEM)
    name = domain.entry_id(ITEM)
    later = replace(ITEM, revision=9, due_at=NOON + timedelta(days=1), updated_at=NOON, rule_id="x", status="blocked")
    assert domain.entry_id(later) == name == "2cd1b253-1c8a-5c2c-940a-4980c9305b05@headgate"
    others = [replace(ITEM, id=13), replace(ITEM, episode=3), replace(ITEM, created_at=NOON)]
    assert len({name, *map(domain.entry_id, others)}) == 4, "an item, an episode, an installation"


def test_a_feed_of_nothing_is_a_calendar_all_the_same() -> None:
    calendar = Calendar.from_ical(feed())
    assert [part.name for part in calendar.subcomponents] == ["VTIMEZONE"], "RFC 5545, 3.6: one component at least"
    assert calendar.errors == []


def test_texts_can_not_break_out_of_their_line() -> None:
    hostile = "a,b;c\\d\r\nBEGIN:VEVENT\nUID:x\x00\x1b\u2028END:VCALENDAR\x85\N{PARTY POPPER}" + "é" * 80
    (entry,) = events(feed(replace(ITEM, rule_id=hostile, reason=hostile, labels=[hostile[:7], "e\u0301"])))
    assert "\n" not in entry["summary"]
    assert entry["description"].splitlines()[2:5] == ["Why: a,b;c\\d", "BEGIN:VEVENT", "UID:x  "]
    assert entry.categories[2:] == ["a,b;c\\d", "e\u0301"]
    long = domain.description(replace(ITEM, reason="x" * 10_000, action="y" * 10_000, due_reason="z" * 500))
    assert len(long) < 2_300
    assert "x…" in long


TEXT = st.text(max_size=60)


@given(rule=TEXT, action=TEXT, reason=TEXT, label=TEXT.filter(lambda text: text.isprintable()), who=TEXT)
def test_two_readers_find_what_was_written(rule: str, action: str, reason: str, label: str, who: str) -> None:
    item = replace(ITEM, rule_id=rule, action=action, reason=reason, labels=[label] if label else [])
    content = feed(item, item, who=who)
    first, second = events(content)
    assert first == second
    plain = read_plainly(content)
    names = [name for name, _ in plain]
    assert names.count("BEGIN") == names.count("END") == 3
    for name, wanted in (("SUMMARY", domain.summary(item)), ("DESCRIPTION", domain.description(item))):
        assert first[name] == wanted
        assert (name, wanted) in plain
    assert first.categories == domain.categories(item)
    assert ("CATEGORIES", ",".join(domain.categories(item))) in plain
