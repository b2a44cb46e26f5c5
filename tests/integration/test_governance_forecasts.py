"""Forecasts on real servers: the facts of now at moments to come, as an answer and as a calendar."""

from __future__ import annotations

import base64
import zlib
from datetime import datetime, timedelta
from typing import Any

import pytest
from icalendar import Calendar

from libs.common.cloudevents import format_time
from libs.common.contracts.governance.forecasts import feed_forecast, get_forecast
from libs.common.contracts.governance.runs import list_runs
from tests.integration.governance_desk import run, send_ops, send_release, start
from tests.integration.test_governance_freezes import publish, window
from tests.stack import Answer, Stack

APP = {"gate": "release", "subject": "app", "version": "1.0"}


async def ask(stack: Stack, ahead: timedelta | None, **target: str) -> Answer:
    at = {} if ahead is None else {"at": format_time(stack.clock() + ahead)}
    return await stack.query(get_forecast, {**target, **at})


async def test_what_breaks_first_and_what_to_renew(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1.0")
    made = await run(stack, "release", subject="app", version="1.0")
    found = (await ask(stack, timedelta(days=3), **APP)).json
    assert (found["now"]["verdict"], found["then"]["verdict"]) == ("GO", "NO_GO")
    assert found["breaks_at"] == made["next_change_at"] == found["held"]["valid_until"]
    assert found["held"]["run_id"] == made["run_id"]
    assert found["turns"][0]["rules"][0]["after"] == "fail"
    assert {one["kind"] for one in found["renewals"]} >= {"alert.alertmanager"}
    stack.clock.advance(seconds=(datetime.fromisoformat(found["breaks_at"]) - stack.clock()).total_seconds())
    await stack.run_job("governance", "rejudge")
    latest = (await stack.query(list_runs, {"gate": "release"})).json["items"][0]
    assert (latest["decision"], latest["decided_at"]) == ("no_go", found["breaks_at"])
    assert latest["reasons"] == found["turns"][0]["reasons"], "what was foreseen is what is judged then"


async def test_a_freeze_far_ahead_is_foreseen(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack)
    for days in (150, 300):
        assert (await publish(stack, window(stack.clock() + timedelta(days=days)))).status == 200
        found = (await ask(stack, timedelta(days=days, hours=1), gate="operations")).json
        assert any("closing the books" in reason for reason in found["then"]["reasons"]), days
        assert any("year-end begins" in words for turn in found["turns"] for words in turn["changes"]), days
    weekly = window(stack.clock() + timedelta(days=1), 2, rrule="FREQ=WEEKLY")
    assert (await publish(stack, weekly)).status == 200
    inside = (await ask(stack, timedelta(days=1 + 7 * 57, hours=1), gate="operations")).status
    assert inside == 422, "that is more than 400 days"
    found = (await ask(stack, timedelta(days=1 + 7 * 50, hours=1), gate="operations")).json
    assert any("closing the books" in reason for reason in found["then"]["reasons"])
    assert found["known_until"] < found["then"]["at"]


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(hours=-1), timedelta(days=401)])
async def test_the_past_and_what_is_too_far_away_is_no_forecast(stack: Stack, ahead: timedelta) -> None:
    await start(stack)
    assert (await ask(stack, ahead, **APP)).status == 422
    assert (await ask(stack, None, **APP)).json["held"] is None
    assert (await ask(stack, None, gate="release")).status == 422
    assert (await ask(stack, None, gate="nothing")).status == 404


async def test_the_calendar_has_the_breaks_and_the_renewals(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1.0")
    await run(stack, "release", subject="app", version="1.0")
    answer = (await stack.query(feed_forecast, {**APP, "days": 10})).json
    entries: list[Any] = list(Calendar.from_ical(_content(answer)).walk("VEVENT"))
    titles = [str(one["summary"]) for one in entries]
    assert titles[0].startswith("NO-GO from now on: app 1.0")
    assert any(title.startswith("Renew alert.alertmanager") for title in titles)
    again = (await stack.query(feed_forecast, {**APP, "days": 10})).json
    assert _content(again) == _content(answer), "who has it already is told so"
    never = _content((await stack.query(feed_forecast, {**APP, "version": "9"})).json).decode()
    assert "NO-GO from now on" not in never, "what never was GO does not break"


def _content(answer: Any) -> bytes:
    return zlib.decompress(base64.b64decode(answer["content_zlib_base64"]))
