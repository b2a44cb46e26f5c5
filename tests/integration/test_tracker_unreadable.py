"""Documents that this Headgate can't read any more: a verdict counts all the same, and the self-check says so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
import pytest

from libs.common.contracts.tracker.calendars import CALENDAR, CalendarContent
from libs.common.contracts.tracker.chains import Level
from libs.common.contracts.tracker.clocks import PauseBody, ResumeBody, pause_item, resume_item
from libs.common.contracts.tracker.retirement import Retire, retire_board
from libs.common.contracts.tracker.sla import SLA_RULES
from libs.common.contracts.versions import Publication
from libs.common.versions import digest_of
from services.tracker.escalation import check
from tests.integration.tracker_desk import Desk
from tests.integration.tracker_tower import BOSS, TEAM, TWO_LEVELS, Tower, chain

pytestmark = pytest.mark.integration
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
OFFICE = {"zone": "Europe/Berlin", "week": {day: ["09:00-17:00"] for day in DAYS}}
THURSDAY = datetime(2026, 4, 2, 13, 0, tzinfo=UTC)  # 15:00 in Berlin, before Good Friday
DROPPED = OFFICE | {"holidays": {"country": "ZZ"}}
PUT = """
INSERT INTO document_version (kind, site, version, content, digest, author, reason, published_at)
VALUES ($1, $2, 1, $3, $4, 'mia', 'of old', $5)
"""


async def published_once(desk: Desk, kind: str, content: dict[str, Any]) -> None:
    """What an older Headgate could read."""
    text = orjson.dumps(content).decode()
    await desk.pool.execute(PUT, kind, desk.site, text, digest_of(text), desk.now)


async def due(desk: Desk) -> str:
    item = (await desk.items())["a"]
    assert item.due_at is not None
    return f"{item.due_at:%m-%dT%H:%M}"


@pytest.fixture
def tower(desk: Desk) -> Tower:
    desk.now = THURSDAY
    return Tower(desk)


@pytest.mark.parametrize(
    ("content", "due_at", "says"),
    [
        # 2 h on Thursday, and 2 on Friday as if it were no feast; 4 hours by the clock.
        (DROPPED, "04-03T09:00", "No holidays are known for ZZ; leave holidays out and list the days under days"),
        (OFFICE | {"zone": "Atlantis/Deep"}, "04-02T17:00", "does not fit this version of Headgate; publish one"),
    ],
)
async def test_a_verdict_counts_under_a_calendar_that_cannot_be_read(
    tower: Tower, content: dict[str, Any], due_at: str, says: str
) -> None:
    desk = tower.desk
    await published_once(desk, CALENDAR.noun, content)
    ids = await tower.fails("a")
    assert await due(desk) == due_at
    await desk.order(pause_item, PauseBody(item_id=ids["a"], reason="the vendor"))
    await desk.order(resume_item, ResumeBody(item_id=ids["a"]))
    assert await due(desk) == due_at
    await tower.publish(TWO_LEVELS)
    assert (await tower.run(include_due_soon_hours=168)).raised_count == 1
    found = await check(desk.pool, desk.site, desk.now)
    assert found.status == "warning"
    assert found.calendar_problem is not None
    assert says in found.calendar_problem
    assert "Until then" in found.calendar_problem
    run = await tower.job("escalation_check")
    assert run is not None
    assert (run.status, run.detail["calendar_problem"]) == ("warning", found.calendar_problem)

    mended = CalendarContent.model_validate(OFFICE | {"holidays": {"country": "DE"}})
    await desk.order(CALENDAR.publish, Publication[CalendarContent](content=mended, reason="the country's name"))
    assert await due(desk) == "04-07T09:00", "after Easter, once the calendar can be read"
    assert await tower.job("escalation_check") is None
    await desk.decided({"a": "pass"})
    assert not (await desk.items())["a"].is_active


async def test_an_escalation_whose_frozen_chain_cannot_be_read_goes_on_by_the_present_one(
    tower: Tower, tracker_url: str
) -> None:
    """And it holds up no other: the ladder is one job for all sites."""
    await tower.publish(TWO_LEVELS)
    ids = await tower.fails("a")
    await tower.run()
    other = Tower(Desk(tower.desk.pool))
    other.desk.now = tower.desk.now
    await other.publish(chain(Level(targets=(TEAM,)), Level(targets=(BOSS,), wait_minutes=60)))
    await other.fails("x")
    await other.run()
    admin = await asyncpg.connect(tracker_url.partition("?")[0], server_settings={"search_path": "tracker"})
    try:
        await admin.execute("INSERT INTO frozen_chain VALUES ($1, $2)", "0" * 64, '{"rungs": 1}')
        await admin.execute("UPDATE escalation SET chain_digest = repeat('0', 64) WHERE item = $1", ids["a"])
    finally:
        await admin.close()
    tower.desk.told, other.desk.told = [], []
    tower.desk.later(1)
    await tower.job("escalation_ladder")
    told = [(one.data["item"]["rule_id"], one.data["level"]) for one in tower.desk.told if one.name.endswith("raised")]
    assert sorted(told) == [("a", 2), ("x", 2)], "the second level, and nobody twice"
    assert (await tower.state(ids["a"])).chain is None
    assert (await check(tower.desk.pool, tower.desk.site, tower.desk.now)).status == "success"
    short = chain(Level(targets=(BOSS,), repeat_minutes=20, max_repeats=1))
    await tower.publish(short)
    tower.desk.told = []
    assert [step[1:] for step in await tower.tick(60)] == [("a", 1, 1)], "of fewer levels the last"


async def test_without_readable_rules_the_hours_of_the_policy_hold(tower: Tower) -> None:
    desk = tower.desk
    await published_once(desk, SLA_RULES.noun, {"rules": [{"sla_minutes": 1}]})
    await tower.fails("a")
    assert await due(desk) == "04-02T17:00"
    await published_once(desk, CALENDAR.noun, DROPPED)
    await desk.decided({"b": "fail"})
    item = (await desk.items())["b"]
    assert (item.due_at, item.sla_hours) == (datetime(2026, 4, 3, 9, 0, tzinfo=UTC), 4), "each for itself"


async def test_a_subject_can_be_retired_under_a_calendar_that_cannot_be_read(desk: Desk) -> None:
    await published_once(desk, CALENDAR.noun, DROPPED)
    await desk.decided({"a": "fail"}, gate="release", subject="app")
    item = (await desk.items(gate="release"))["a"]
    await desk.order(pause_item, PauseBody(item_id=item.id, reason="the vendor"))
    await desk.order(retire_board, Retire(gate="release", subject="app", reason="replaced"))
    assert not (await desk.items(gate="release"))["a"].is_active
