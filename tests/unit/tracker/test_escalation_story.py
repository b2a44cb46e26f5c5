"""Six weeks of one escalation, written out by hand: weekends, a holiday, and both clock changes of a zone.

In Casablanca clocks are at UTC+1, and at UTC during Ramadan: in 2026 they went back on 15 February and forward on 22
March. The office is open from 9 to 17 on weekdays, and closed on Monday 23 February.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from services.tracker.domain.calendars import Calendar
from services.tracker.domain.duty import Duty
from services.tracker.domain.escalation import Chain, Level, Target, begin, climb
from tests.unit.tracker.test_escalation import item

OFFICE = Calendar(week=(((540, 1020),),) * 5 + ((), ()), zone="Africa/Casablanca", days={date(2026, 2, 23): ()})
CHAIN = Chain(
    name="office",
    rules=frozenset(),
    priorities=frozenset(),
    gates=frozenset(),
    business=True,
    levels=(
        # Again after half a working day; after two working days the boss, who then hears of it every working day.
        Level(timedelta(0), (Target("user", "team"),), timedelta(hours=4), 9, "skip"),
        Level(timedelta(hours=16), (Target("user", "boss"),), timedelta(hours=8), 26, "skip"),
    ),
)
BEGIN = datetime(2026, 2, 12, 15, 0, tzinfo=UTC)  # Thursday, 16:00 there
TEAM = ["02-12 15:00", "02-13 11:00", "02-13 15:00", "02-16 12:00"]  # Thursday, Friday twice, Monday noon
BOSS = [
    *("02-16 16:00", "02-17 16:00", "02-18 16:00", "02-19 16:00", "02-20 16:00"),
    *("02-24 16:00", "02-25 16:00", "02-26 16:00", "02-27 16:00"),  # not on the holiday
    *("03-02 16:00", "03-03 16:00", "03-04 16:00", "03-05 16:00", "03-06 16:00"),
    *("03-09 16:00", "03-10 16:00", "03-11 16:00", "03-12 16:00", "03-13 16:00"),
    *("03-16 16:00", "03-17 16:00", "03-18 16:00", "03-19 16:00", "03-20 16:00"),
    *("03-23 15:00", "03-24 15:00", "03-25 15:00"),  # clocks are at UTC+1 again
]


def test_six_weeks() -> None:
    position, told = begin(BEGIN), []
    look_at: datetime | None = BEGIN
    for minute in range(6 * 7 * 1440):
        now = BEGIN + timedelta(minutes=minute)
        if look_at is None or now < look_at:
            continue
        seen = climb(CHAIN, item(), position, OFFICE, now, Duty().find)
        position, look_at = seen.position, seen.look_at
        if seen.step is not None:
            told.append((f"{now:%m-%d %H:%M}", seen.step.level))
    assert told == [*((at, 1) for at in TEAM), *((at, 2) for at in BOSS)]
    assert look_at is None, "its chain has ended"
