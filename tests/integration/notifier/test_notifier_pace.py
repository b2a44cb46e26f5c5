"""Nights, digests and words of a subscription to a channel: what waits, what passes, what is gathered, what is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
import pytest_asyncio

from libs.common.contracts.tracker.calendars import CALENDAR
from libs.common.contracts.tracker.people import AbsenceView, absence_set
from libs.common.contracts.versions import DocumentPublished
from tests.integration.notifier_desk import WAIT_S, Desk, open_desk
from tests.integration.sink import Sink, answer
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def desk(stack: Stack, sink: Sink) -> AsyncIterator[Desk]:
    found = await open_desk(stack, sink)
    body = {"name": "ops", "kind": "generic", "address": sink.url("/room")}
    await found.ask("POST", "/channels", body, 201)
    yield found
    await found.http.close()


async def subscribe(desk: Desk, status: int = 201, **fields: Any) -> Any:
    body = {"name": "to people", "event_types": ["governance.line.halted"], "channel": "ops", **fields}
    return await desk.ask("POST", "/subscriptions", body, status)


def window(desk: Desk, begins_in: float, ends_in: float) -> dict[str, Any]:
    """A window on each day, in UTC, by hours from now."""
    now = desk.stack.clock()
    begins, ends = (f"{now + timedelta(hours=hours):%H:%M}" for hours in (begins_in, ends_in))
    return {"begins": begins, "ends": ends}


def rounded(desk: Desk) -> datetime:
    """The clock at a full hour, from here on."""
    now = desk.stack.clock()
    desk.stack.clock.advance(minutes=60 - now.minute, seconds=-now.second, microseconds=-now.microsecond)
    return desk.stack.clock()


async def test_what_comes_at_night_waits_until_morning_and_what_is_urgent_does_not(desk: Desk, sink: Sink) -> None:
    now = rounded(desk)
    quiet = [window(desk, -1, 8)]
    await subscribe(desk, zone="UTC", quiet_hours=quiet, urgent_event_types=["governance.line.lifted"])
    await desk.halt()
    [row] = await desk.until("pending")
    assert datetime.fromisoformat(row["due_at"]) == now + timedelta(hours=8)
    urgent = await subscribe(desk, zone="UTC", quiet_hours=quiet, urgent_event_types=["governance.line.*"])
    await desk.halt()
    await sink.wait_for("/room")
    await desk.until("delivered", subscription_id=urgent["subscription_id"])
    assert len(sink.at("/room")) == 1
    desk.stack.clock.advance(hours=8, seconds=1)
    await sink.wait_for("/room", 3)
    await desk.until("delivered", 3)


async def test_what_fails_in_the_evening_is_not_tried_at_night(desk: Desk, sink: Sink) -> None:
    now = rounded(desk)
    await subscribe(desk, zone="UTC", quiet_hours=[window(desk, 1, 9)])
    sink.says["/room"] = answer(500)
    await desk.halt()
    await desk.until("retrying")
    desk.stack.clock.advance(hours=1, seconds=1)  # it is due, and it is night
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(WAIT_S):
        while not found or datetime.fromisoformat(found[0]["due_at"]) < now + timedelta(hours=9):
            found = await desk.until("retrying")
    assert (found[0]["attempt_count"], len(sink.at("/room"))) == (1, 1)
    sink.says["/room"] = answer(204)
    # A person who has one sent again means now.
    await desk.ask("POST", f"/deliveries/{found[0]['delivery_id']}/retry")
    await desk.until("delivered")
    assert len(sink.at("/room")) == 2


async def test_many_are_one_message_and_each_row_says_what_became_of_it(desk: Desk, sink: Sink) -> None:
    now = rounded(desk)
    desk.stack.clock.advance(minutes=1)
    made = await subscribe(desk, zone="UTC", digest_minutes=30)
    for number in range(87):
        await desk.halt(subjects=f"subject-{number}")
    rows = await desk.until("pending", 50, limit=200)
    assert {datetime.fromisoformat(row["due_at"]) for row in rows} == {now + timedelta(minutes=30)}
    await desk.ask("POST", f"/subscriptions/{made['subscription_id']}/test")  # a sample is for now
    await sink.wait_for("/room")
    sink.says["/room"] = answer(503)
    desk.stack.clock.advance(minutes=30)
    await desk.until("retrying", 87, limit=200)
    assert len(sink.at("/room")) == 2
    sink.says["/room"] = answer(204)
    desk.stack.clock.advance(minutes=1)
    rows = await desk.until("delivered", 88, limit=200)
    assert len(sink.at("/room")) == 3
    document = orjson.loads(sink.at("/room")[-1].body)
    assert document["title"].startswith("87 messages: ")
    assert len(document["facts"]) == 51
    assert document["facts"][-1] == {"label": "More", "text": "and 37 more"}
    assert {row["attempt_count"] for row in rows if row["event_name"] == "governance.line.halted"} == {2}
    assert document["facts"][0]["text"].startswith("The line is stopped: subject-0")


async def test_digests_of_one_moment_hold_each_its_own(desk: Desk, sink: Sink) -> None:
    rounded(desk)
    desk.stack.clock.advance(minutes=1)
    await desk.ask("POST", "/channels", {"name": "two", "kind": "generic", "address": sink.url("/two")}, 201)
    for channel, subject in (("ops", "web"), ("two", "app")):
        wanted = f"data.subjects.startsWith('{subject}')"
        await subscribe(desk, name=channel, zone="UTC", digest_minutes=30, channel=channel, condition=wanted)
    for number in range(60):
        for subject in ("web", "app"):
            await desk.halt(subjects=f"{subject}-{number}")
    await desk.until("pending", 120, limit=200)
    desk.stack.clock.advance(minutes=30)
    await desk.until("delivered", 120, limit=200)
    for path, subject, other in (("/room", "web-", "app-"), ("/two", "app-", "web-")):
        [got] = sink.at(path)
        document = orjson.loads(got.body)
        assert document["title"].startswith("60 messages: ")
        assert document["facts"][-1] == {"label": "More", "text": "and 10 more"}
        texts = [fact["text"] for fact in document["facts"][:-1]]
        assert sum(subject in text for text in texts) == 50
        assert not any(other in text for text in texts)


async def test_what_its_owner_may_not_see_any_more_is_in_no_digest(desk: Desk, sink: Sink, stack: Stack) -> None:
    made = await subscribe(desk, digest_minutes=5, event_types=["governance.line.halted", "gateway.user.created"])
    for number in range(2):
        await desk.halt(subjects=f"subject-{number}")
    await desk.http.user("pia", "viewer")
    await desk.until("pending", 3)
    connection = await stack.superuser()
    await connection.execute("UPDATE notifier.person SET role = 'viewer'")
    await connection.close()
    stack.clock.advance(minutes=6)
    [row] = await desk.until("dead", subscription_id=made["subscription_id"])
    assert (row["event_name"], "may not see this event" in row["error"]) == ("gateway.user.created", True)
    [got] = await sink.wait_for("/room")
    assert orjson.loads(got.body)["title"].startswith("2 messages")
    await desk.until("delivered", 2)


async def test_one_that_is_alone_in_its_digest_is_sent_as_it_is(desk: Desk, sink: Sink) -> None:
    await subscribe(desk, digest_minutes=5)
    await desk.halt(subjects="one")
    await desk.until("pending")
    desk.stack.clock.advance(minutes=6)
    [got] = await sink.wait_for("/room")
    assert orjson.loads(got.body)["title"] == "The line is stopped: one"


async def test_another_night_is_looked_at_at_once(desk: Desk, sink: Sink) -> None:
    rounded(desk)
    made = await subscribe(desk, zone="UTC", quiet_hours=[window(desk, -1, 8)])
    await desk.halt()
    await desk.until("pending")
    body = {"name": "to people", "event_types": ["governance.line.halted"], "channel": "ops"}
    await desk.ask("PUT", f"/subscriptions/{made['subscription_id']}", body)
    await sink.wait_for("/room")
    await desk.until("delivered")


async def test_what_can_t_be_kept_is_refused_with_what_to_do(desk: Desk) -> None:
    hook = {"channel": "webhook", "endpoint": desk.sink.url("/hook")}
    duty = {"name": "duty", "kind": "pagerduty", "address": "A" * 32}
    await desk.ask("POST", "/channels", duty, 201)
    for fields, said in (
        ({**hook, "digest_minutes": 5}, "these are for people"),
        ({**hook, "quiet_hours": [{"begins": "22:00", "ends": "07:00"}]}, "name a channel of the site"),
        ({"digest_minutes": 4}, "digest_minutes"),
        ({"digest_minutes": 5, "channel": "duty"}, "one by one"),
        ({"quiet_hours": [{"begins": "22:00", "ends": "24:00"}]}, "a time of day reads 22:00"),
        ({"quiet_hours": [{"begins": "00:00", "ends": "00:00"}]}, "no minute of a week"),
        ({"zone": "Europe/Nowhere"}, "IANA"),
        ({"template": "gone"}, "no template is called gone"),
        ({"urgent_event_types": ["nobody.*"]}, "urgent_event_types: no event is called"),
    ):
        refused = await subscribe(desk, 422, **fields)
        assert said in orjson.dumps(refused).decode(), refused


async def test_a_site_s_own_words_are_sent_and_what_fails_is_sent_in_built_in_ones(desk: Desk, sink: Sink) -> None:
    templates = [
        {"name": "ours", "body": "{{ data.reason }} / {{ data.subjects[:3] }}{% if data.subjects == 'bad' %}"
         "{{ data.gone }}{% endif %}", "title": "Stop"},
        {"name": "ours", "language": "ko", "body": "중단 {{ data.subjects }}"},
    ]  # fmt: skip
    content = {"content": {"templates": templates}, "reason": "ours"}
    await desk.ask("PUT", "/templates", content)
    await subscribe(desk, template="ours")
    await subscribe(desk, template="ours", language="ko")
    await desk.halt(subjects="good")
    await desk.until("delivered", 2)
    texts = {orjson.loads(got.body)["text"] for got in sink.at("/room")}
    assert texts == {"a test / goo", "중단 good"}
    await desk.halt(subjects="bad")
    rows = await desk.until("delivered", 4)
    notes = {row["note"] for row in rows}
    assert len(notes) == 2
    assert any(note and "The template ours failed (line 1: " in note for note in notes)
    assert any("The line is stopped: bad" in orjson.loads(got.body)["title"] for got in sink.at("/room"))
    await desk.ask("PUT", "/templates", {"content": {"templates": []}, "reason": "none"})
    await desk.halt(subjects="later")
    rows = await desk.until("delivered", 6)
    assert rows[0]["note"] == "The site has no template ours any more."


async def test_a_channel_has_words_of_its_own_and_a_sample_is_in_them(desk: Desk, sink: Sink) -> None:
    missing = {"name": "late", "kind": "generic", "address": sink.url("/late"), "template": "ours"}
    refused = await desk.ask("POST", "/channels", missing, 422)
    assert "no template is called ours" in refused["detail"]
    templates = [{"name": "ours", "body": "Hello {{ data.name }}", "event_types": ["notifier.channel.*"]}]
    await desk.ask("PUT", "/templates", {"content": {"templates": templates}, "reason": "ours"})
    made = await desk.ask("POST", "/channels", missing, 201)
    await desk.ask("POST", f"/channels/{made['channel_id']}/test")
    [got] = await sink.wait_for("/late")
    assert orjson.loads(got.body)["text"] == "Hello late"
    await desk.ask("PUT", f"/channels/{made['channel_id']}", {"name": "late", "kind": "generic"})
    desk.stack.clock.advance(seconds=31)  # until there may be another sample
    await desk.ask("POST", f"/channels/{made['channel_id']}/test")
    await sink.wait_for("/late", 2)
    assert "This is a test of the channel late" in orjson.loads(sink.at("/late")[1].body)["text"]


async def test_times_are_shown_in_the_zone_of_the_site_s_calendar(desk: Desk, sink: Sink, stack: Stack) -> None:
    told = DocumentPublished(
        site="global", version=1, digest="d", author="ann", reason="r", restores=None, published_at=stack.clock(),
        content={"zone": "Asia/Seoul"},
    )  # fmt: skip
    await stack.publish(CALENDAR.published, told)
    await subscribe(desk, event_types=["tracker.absence.*"])
    at = datetime.fromisoformat("2026-03-02T09:00:00+00:00")
    await stack.publish(
        absence_set,
        AbsenceView(absence_id=1, username="bob", away_from=at, away_to=at, created_by="ann", created_at=at),
    )
    [got] = await sink.wait_for("/room")
    assert "2026-03-02 18:00 (Asia/Seoul)" in orjson.loads(got.body)["text"]
