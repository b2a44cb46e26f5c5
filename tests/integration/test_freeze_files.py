"""Freeze calendars from files of calendar programs, and back as a feed."""

from __future__ import annotations

import base64
import zlib
from datetime import UTC, datetime
from typing import Any

from icalendar import Calendar

from libs.common.contracts.governance.freezes import FREEZES, feed_freezes, import_freezes, preview_freezes
from tests.integration.governance_desk import run, send_release, start
from tests.stack import Answer, Stack

NEW_YEAR = """BEGIN:VEVENT
UID:1@example
SUMMARY:Year end
DTSTART;VALUE=DATE:20261224
DTEND;VALUE=DATE:20270104
END:VEVENT"""


def file(*events: str) -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//EN", *events, "END:VCALENDAR", ""])


async def take(stack: Stack, *events: str, actor: str = "ann", **more: Any) -> Answer:
    body = {"name": "holidays", "content": file(*events), "reason": "from HR", "gates": ["release"], **more}
    return await stack.command(import_freezes, body, actor=actor)


async def feed(stack: Stack, **asked: Any) -> Any:
    blob = (await stack.query(feed_freezes, asked)).json
    return Calendar.from_ical(zlib.decompress(base64.b64decode(blob["content_zlib_base64"])).decode())


async def test_a_file_becomes_a_calendar_that_freezes_and_comes_back_as_a_feed(stack: Stack) -> None:
    stack.clock.now = datetime(2026, 12, 20, 12, tzinfo=UTC)
    await start(stack)
    await send_release(stack, "1")
    assert (await run(stack, "release", subject="app", version="1"))["decision"] == "go"
    dry = await take(stack, NEW_YEAR, zone="Europe/Berlin", dry_run=True)
    assert (dry.json["version"], len(dry.json["calendar"]["windows"])) == (None, 1)
    done = await take(stack, NEW_YEAR, zone="Europe/Berlin")
    assert (done.status, done.json["version"]) == (200, 1)
    stack.clock.now = datetime(2026, 12, 23, 23, 30, tzinfo=UTC)  # the 24th in Berlin
    frozen = await run(stack, "release", subject="app", version="1")
    assert "The calendar holidays freezes until 2027-01-03T23:00:00+00:00: Year end." in frozen["reasons"]
    (entry,) = (await feed(stack)).walk("VEVENT")
    assert (entry["summary"], entry["dtstart"].dt) == ("Frozen: Year end", datetime(2026, 12, 23, 23, tzinfo=UTC))
    (entry,) = (await feed(stack, gate="release", subject="app")).walk("VEVENT")
    assert not (await feed(stack, gate="operations")).walk("VEVENT")
    assert (await stack.query(feed_freezes, {"subject": "app"})).status == 422


async def test_other_calendars_of_the_site_stay_and_those_of_everywhere_are_not_copied(stack: Stack) -> None:
    await start(stack)
    content = {"calendars": [{"name": "mine", "gates": ["operations"]}, {"name": "holidays", "exempt": ["hotfix-*"]}]}
    assert (await stack.command(FREEZES.publish, {"content": content, "reason": "first"})).status == 200
    done = await take(stack, NEW_YEAR, zone="UTC", gates=None)
    assert (done.json["calendar"]["exempt"], done.json["calendar"]["gates"]) == (["hotfix-*"], [])
    names = [one["name"] for one in (await stack.query(FREEZES.show, {})).json["content"]["calendars"]]
    assert names == ["mine", "holidays"]
    body = {"name": "local", "content": file(NEW_YEAR), "reason": "x", "zone": "UTC"}
    await stack.command(import_freezes, body, site="plant-a")
    shown = (await stack.query(FREEZES.show, {}, site="plant-a")).json["content"]["calendars"]
    assert [one["name"] for one in shown] == ["local"]
    stale = await take(stack, NEW_YEAR, zone="UTC", expected_version=1)
    assert (stale.status, "version is 2 now" in stale.json["detail"]) == (409, True)


async def test_what_can_t_be_kept_is_refused_by_name_or_skipped_on_purpose(stack: Stack) -> None:
    await start(stack)
    floating = NEW_YEAR.replace("1@", "2@")
    endless = "BEGIN:VEVENT\r\nUID:3@example\r\nSUMMARY:Talk\r\nDTSTART:20270101T100000Z\r\nEND:VEVENT"
    refused = await take(stack, floating, endless)
    assert refused.status == 422
    assert "2@example: it has days or times without a zone" in refused.json["detail"]
    assert "3@example: it has neither DTEND nor DURATION" in refused.json["detail"]
    assert [one["uid"] for one in refused.json["refused"]] == ["2@example", "3@example"]
    done = await take(stack, NEW_YEAR, endless, zone="UTC", skip_refused=True)
    assert (done.status, len(done.json["refused"]), len(done.json["calendar"]["windows"])) == (200, 1, 1)
    assert (await take(stack, endless, skip_refused=True)).status == 422
    for text in ("", "BEGIN:VCALENDAR", "nonsense", "\x00", file(), file("BEGIN:VTODO", "END:VTODO")):
        answer = await stack.command(import_freezes, {"name": "x", "content": text, "reason": "x"})
        assert answer.status == 422, text
    asked = {"gate": "release", "subject": "app"}
    assert (await stack.query(preview_freezes, asked)).json["missing"] == []
