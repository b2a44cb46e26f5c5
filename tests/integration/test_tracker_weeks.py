"""Six weeks at two sites in Morocco, where the clocks go back on 15 February 2026 and forward again on 22 March.

Every deadline, and every telling of an escalation, was counted by hand. Local time is UTC+1 before and after, UTC+0
between.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from libs.common.contracts.base import Command
from libs.common.contracts.tracker.calendars import CALENDAR, CalendarContent, HolidaysOf, OwnDay
from libs.common.contracts.tracker.chains import Chain, Level
from libs.common.contracts.tracker.clocks import PauseBody, ResumeBody, pause_item, resume_item
from libs.common.contracts.tracker.escalation import JOB, EscalateBody, run_escalation
from libs.common.contracts.tracker.sla import SLA_RULES, SlaFilter, SlaRule, SlaRules
from libs.common.contracts.versions import Publication
from libs.common.contracts.zones import Weekday
from services.tracker.sla import get_sla
from tests.integration.tracker_desk import Desk
from tests.integration.tracker_tower import BOSS, TEAM, Tower

pytestmark = pytest.mark.integration

TWENTY = timedelta(minutes=20)
ZONE = "Africa/Casablanca"
WORKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday")
OFFICE = CalendarContent(
    zone=ZONE,
    week={day: ["09:00-17:00"] for day in WORKDAYS},
    holidays=HolidaysOf(country="MA"),  # Eid al-Fitr is on Friday, 20 March
    days=[OwnDay(date=date(2026, 2, 19), name="moving house")],
)
NIGHTS = CalendarContent(zone=ZONE, week={day: ["00:00-06:00"] for day in (*WORKDAYS, "saturday", "sunday")})
HOURS = SlaRules(
    rules=[
        SlaRule(sla_hours=None, rule_id="wiki"),
        SlaRule(sla_hours=8, severity="required_fail"),
        SlaRule(sla_hours=24, severity="required_warning"),
    ]
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC)


# Two working days until the boss hears of it; the team hears of it each working day until then.
TWO_DAYS = Chain(
    name="two-days",
    levels=(
        Level(targets=(TEAM,), repeat_minutes=480, max_repeats=2),
        Level(targets=(BOSS,), wait_minutes=960),
    ),
)


class Site:
    """A site whose gate is judged anew every six hours, whatever else happens.

    ``told``: what its escalation told by the clock (when, in UTC; rule, level, repeat), where it has chains.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.tower = Tower(desk)
        self.states: dict[str, Any] = {}
        self.escalates = False
        self.told: list[tuple[str, str, int, int]] = []

    async def order(self, command: Command, body: BaseModel) -> Any:
        (ended,) = (await self.desk.order(command, body)).ended
        return orjson.loads(ended.body)

    async def begin(self, at: str, calendar: CalendarContent) -> None:
        self.desk.now = utc(at)
        await self.publish(calendar)
        await self.order(SLA_RULES.publish, Publication[SlaRules](content=HOURS, reason="the rules"))

    async def publish(self, calendar: CalendarContent) -> None:
        await self.order(CALENDAR.publish, Publication[CalendarContent](content=calendar, reason="the hours"))

    async def escalate_by(self, chain: Chain) -> None:
        await self.tower.publish(chain)
        self.escalates = True

    async def until(self, at: str) -> None:
        """Time passes; what fails goes on failing, and no deadline moves by itself."""
        before = await self.due()
        while (step := self._next_step()) <= utc(at):
            self.desk.now = step
            if step.minute == 0 and step.hour % 6 == 2:
                await self.desk.decided(self.states)
            if self.escalates:
                self.desk.told = []
                await self.tower.job("escalation_ladder" if step.minute == 0 else JOB)
                self.told += [(f"{step:%m-%dT%H:%M}", *one) for one in self.tower.steps()]
        self.desk.now = utc(at)
        assert await self.due() == before

    def _next_step(self) -> datetime:
        """The ladder's turn comes on the hour, and the escalation's at 20 past, as its schedule says."""
        hour = self.desk.now.replace(minute=0)
        return next(one for one in (hour + TWENTY, hour + 3 * TWENTY) if one > self.desk.now)

    async def judged(self, **states: Any) -> None:
        self.states |= states
        await self.desk.decided(self.states)

    async def item(self, rule: str) -> int:
        return (await self.desk.items())[rule].id

    async def due(self) -> dict[str, str | None]:
        """When active items are due, by rule: month, day and time in UTC."""
        items = await self.desk.items()
        return {
            rule: f"{item.due_at:%m-%dT%H:%M}" if item.due_at else None
            for rule, item in sorted(items.items())
            if item.is_active
        }

    async def overdue(self) -> int:
        return (await get_sla(self.desk.read(), SlaFilter())).metrics.overdue_count

    async def candidates(self) -> int:
        """How many items a run of the escalation would look at, within the next 12 hours."""
        found = await self.order(run_escalation, EscalateBody(dry_run=True, include_due_soon_hours=12))
        return int(found["candidate_count"])


# Whoever is due within twelve hours is told when the office opens, or at once where it is open. wiki has no deadline.
TOLD = [
    # backup is due on Monday at 15:00. That evening's telling does not come: its clock stands.
    ("02-16T09:00", "backup", 1, 0),
    # docs is due on Wednesday at 15:00.
    ("02-18T09:00", "docs", 1, 0),
    # backup goes on at 11:00; the boss's turn would have come on Tuesday at 17:00.
    ("02-18T11:20", "backup", 2, 0),
    # Eight hours after nine. docs is worse by then, and late, but one escalation: nothing is told twice.
    ("02-18T17:00", "docs", 1, 1),
    # disk is due on Friday at 16:30. Nothing on Thursday, an own day off.
    ("02-20T09:00", "disk", 1, 0),
    # Sixteen hours after Wednesday at nine: the boss's turn goes before another telling of the team's.
    ("02-20T17:00", "docs", 2, 0),
    # backup fails again on Friday, and is due on Monday at 9:30: a new episode, told anew. Then it has been told.
    ("02-23T09:00", "backup", 1, 0),
    ("02-23T17:00", "backup", 1, 1),
    ("02-24T17:00", "backup", 2, 0),
    # net is due on Monday at 15:00, UTC+1 by then. Nothing at the feast, nothing at the weekend.
    ("03-23T08:00", "net", 1, 0),
]


async def test_six_weeks_in_an_office(desk: Desk) -> None:
    office = Site(desk)
    await office.begin("02-09T08:00", OFFICE)
    await office.escalate_by(TWO_DAYS)

    # Friday, 15:00 there. backup: 2 h on Friday, 6 h on Monday, when 15:00 is 15:00 UTC. docs: 2 + 8 + 8 + 6 h.
    await office.until("02-13T14:00")
    await office.judged(backup="fail", docs="warning", wiki="fail")
    assert await office.due() == {"backup": "02-16T15:00", "docs": "02-18T15:00", "wiki": None}

    # Monday 10:00 to Wednesday 11:00: 7 + 8 + 2 working hours do not count; the 5 h that were left end at 16:00.
    await office.until("02-16T10:00")
    await office.order(pause_item, PauseBody(item_id=await office.item("backup"), reason="waits for a disk"))
    await office.until("02-17T12:00")
    assert (await office.overdue(), await office.candidates()) == (0, 0), "its deadline has passed, its clock stands"
    await office.until("02-18T11:00")
    await office.order(resume_item, ResumeBody(item_id=await office.item("backup")))
    assert (await office.due())["backup"] == "02-18T16:00"

    await office.until("02-18T15:30")
    assert (await office.overdue(), await office.candidates()) == (1, 2), "docs is late, and backup nearly"

    # backup passes. docs rises to a failure: 8 h since Friday were over on Monday, 15:00. disk: ½ h today, none on
    # Thursday, an own day off, 7½ h on Friday.
    await office.until("02-18T16:30")
    await office.judged(backup="pass", docs="fail", disk="fail")
    assert await office.due() == {"disk": "02-20T16:30", "docs": "02-16T15:00", "wiki": None}

    # backup fails again, half an hour into Friday: 7½ h, and ½ h on Monday.
    await office.until("02-20T09:30")
    await office.judged(backup="fail")
    assert (await office.due())["backup"] == "02-23T09:30"
    assert (await desk.items())["backup"].episode == 2

    await office.until("02-20T16:00")
    await office.judged(disk="pass")
    await office.until("03-02T10:00")

    # For a week the office closes at 13:00. docs: Monday and Tuesday. backup: 3½ h on Friday, 4 h, ½ h.
    await office.publish(OFFICE.model_copy(update={"week": {day: ["09:00-13:00"] for day in WORKDAYS}}))
    assert await office.due() == {"backup": "02-24T09:30", "docs": "02-17T13:00", "wiki": None}
    assert f"{(await desk.items())['disk'].due_at:%m-%dT%H:%M}" == "02-20T16:30", "what is over stays"
    await office.until("03-09T10:00")
    await office.publish(OFFICE)
    assert await office.due() == {"backup": "02-23T09:30", "docs": "02-16T15:00", "wiki": None}

    # Thursday, 15:00: 2 h, the feast, a weekend on which clocks go forward, 6 h on Monday until 15:00, 14:00 UTC.
    await office.until("03-19T15:00")
    await office.judged(backup="pass", docs="pass", net="fail")
    assert await office.due() == {"net": "03-23T14:00", "wiki": None}
    await office.until("03-23T14:00")
    assert await office.overdue() == 0
    await office.until("03-23T14:01")
    assert await office.overdue() == 1
    episodes = await desk.pool.fetch(
        "SELECT rule_id, e.episode, e.due_at FROM item_episode AS e JOIN item ON id = item WHERE site = $1 "
        "AND resolved_at IS NOT NULL ORDER BY rule_id, e.episode",
        desk.site,
    )
    assert [(one["rule_id"], one["episode"], f"{one['due_at']:%m-%dT%H:%M}") for one in episodes] == [
        ("backup", 1, "02-18T16:00"),
        ("backup", 2, "02-23T09:30"),
        ("disk", 1, "02-20T16:30"),
        ("docs", 1, "02-16T15:00"),
    ]
    assert office.told == TOLD


async def test_six_weeks_of_nights(desk: Desk) -> None:
    nights = Site(desk)
    await nights.begin("02-09T08:00", NIGHTS)

    # Sunday, 00:30 there. The hour from 02:00 comes twice: 6½ h until 06:00, which is 06:00 UTC by then; 1½ h more.
    await nights.until("02-14T23:30")
    await nights.judged(backup="fail")
    assert await nights.due() == {"backup": "02-16T01:30"}
    await nights.until("02-16T00:30")
    await nights.judged(backup="pass")

    # Sunday, 00:00. The hour from 02:00 never is: 5 h until 06:00, which is 05:00 UTC; 3 h from midnight on, 23:00 UTC.
    await nights.until("03-22T00:00")
    await nights.judged(backup="fail")
    assert await nights.due() == {"backup": "03-23T02:00"}

    # Paused over two nights, from 01:00 to 03:00 of the next: 5 h of this one and 3 h of that one do not count.
    await nights.until("03-23T00:00")
    await nights.order(pause_item, PauseBody(item_id=await nights.item("backup"), reason="waits for a disk"))
    await nights.until("03-24T02:00")
    await nights.order(resume_item, ResumeBody(item_id=await nights.item("backup")))
    assert await nights.due() == {"backup": "03-24T04:00"}
