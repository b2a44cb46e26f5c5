"""Freeze calendars on real servers: published, previewed, and weighed by each run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.cloudevents import format_time
from libs.common.contracts.governance.freezes import FREEZES, FreezeWindow, preview_freezes
from libs.common.contracts.governance.runs import list_runs
from libs.common.problems import Invalid
from services.governance.frozen import occurrences
from tests.integration.governance_desk import run, send_ops, start
from tests.stack import Answer, Stack


def window(begin: datetime, hours: float = 48, **more: Any) -> dict[str, Any]:
    """A window as it is published."""
    ends_at = format_time(begin + timedelta(hours=hours))
    return {"starts_at": format_time(begin), "ends_at": ends_at, "reason": "closing the books", **more}


async def publish(stack: Stack, *windows: dict[str, Any], site: str = "global", **more: Any) -> Answer:
    """Publish one calendar for the operations gate."""
    calendar = {"name": "year-end", "gates": ["oper*"], "windows": list(windows), **more}
    return await stack.command(FREEZES.publish, {"content": {"calendars": [calendar]}, "reason": "new"}, site=site)


async def test_a_freeze_of_everywhere_forbids_go_until_it_ends(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack, site="plant-a")
    begin = stack.clock() + timedelta(hours=1)
    assert (await publish(stack, window(begin, 1))).status == 200
    assert (await publish(stack, window(begin + timedelta(days=5)), site="plant-a")).status == 200
    before = await run(stack, site="plant-a")
    assert (before["decision"], datetime.fromisoformat(before["next_change_at"])) == ("go", begin)
    shown = (await stack.query(preview_freezes, {"gate": "operations"}, site="plant-a")).json
    assert [one["origin"] for one in shown["items"]] == ["global", "own"]
    stack.clock.advance(hours=1)
    assert await stack.run_job("governance", "rejudge")
    during = (await stack.query(list_runs, {"gate": "operations"}, site="plant-a")).json["items"][0]
    assert (during["decision"], during["holds"][0]["kind"]) == ("no_go", "freeze")
    assert "closing the books" in during["reasons"][0]
    stack.clock.advance(hours=1)
    assert (await run(stack, site="plant-a"))["decision"] == "go"


async def test_a_new_calendar_has_standing_gos_judged_again(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack)
    assert (await run(stack))["decision"] == "go"
    await publish(stack, window(stack.clock() - timedelta(hours=1)))
    assert await stack.run_job("governance", "rejudge")
    assert (await stack.query(list_runs, {"gate": "operations"})).json["items"][0]["decision"] == "no_go"


async def test_what_a_calendar_does_not_concern_is_not_frozen(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack)
    now = stack.clock() - timedelta(hours=1)
    elsewhere: tuple[dict[str, Any], ...] = ({"gates": ["release"]}, {"subjects": ["acme/*"]}, {"exempt": ["site"]})
    for more in elsewhere:
        assert (await publish(stack, window(now), **more)).status == 200
        assert (await run(stack))["decision"] == "go", more
    assert (await publish(stack, window(now))).status == 200
    assert (await run(stack))["decision"] == "no_go"


@pytest.mark.parametrize(
    "more",
    [
        {"rrule": "FREQ=HOURLY"},
        {"rrule": "FREQ=DAILY;BYHOUR=1,2,3"},
        {"rrule": "FREQ=DAILY;COUNT=3"},
        {"rrule": "nonsense"},
        {"rrule": "FREQ=DAILY;INTERVAL=0"},
        {"rrule": "FREQ=WEEKLY;BYDAY=XX"},
        {"zone": "Mars/Olympus"},
        {"ends_at": "2000-01-01T00:00:00Z"},
    ],
)
async def test_bad_windows_are_refused(stack: Stack, more: dict[str, Any]) -> None:
    await start(stack)
    answer = await publish(stack, {**window(stack.clock()), **more})
    assert answer.status == 422, answer


def test_a_repetition_keeps_its_hours_across_changes_of_the_clocks() -> None:
    berlin = FreezeWindow(
        starts_at=datetime(2026, 1, 2, 16, tzinfo=UTC),  # Friday 17:00 in Berlin
        ends_at=datetime(2026, 1, 5, 6, tzinfo=UTC),
        rrule="FREQ=WEEKLY;BYDAY=FR",
        zone="Europe/Berlin",
        reason="weekend",
    )
    found = occurrences(berlin, datetime(2026, 3, 26, tzinfo=UTC))
    begin, end = found[0]
    assert (begin, end) == (datetime(2026, 3, 27, 16, tzinfo=UTC), datetime(2026, 3, 30, 5, tzinfo=UTC))
    assert found[1][0] == datetime(2026, 4, 3, 15, tzinfo=UTC)
    assert len(found) == 13


def test_a_day_that_never_comes_ends_the_search() -> None:
    never = FreezeWindow(
        starts_at=datetime(1970, 1, 1, tzinfo=UTC),
        ends_at=datetime(1970, 1, 2, tzinfo=UTC),
        rrule="FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        reason="never",
    )
    assert occurrences(never, datetime(2026, 3, 1, tzinfo=UTC)) == []
    with pytest.raises(Invalid):
        occurrences(never.model_copy(update={"rrule": "FREQ=WEEKLY;BYDAY=XX"}), datetime(2026, 3, 1, tzinfo=UTC))
