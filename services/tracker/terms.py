"""What a site's deadlines are counted with: its calendar and its SLA rules, from the documents that are in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TypeVar

from holidays import country_holidays

from libs.common.contracts.base import Model
from libs.common.contracts.tracker.calendars import CALENDAR, CalendarContent, HolidaysOf, minutes
from libs.common.contracts.tracker.sla import SLA_RULES, Severity, SlaRules
from libs.common.contracts.versions import Document, Published
from libs.common.contracts.zones import Weekday
from libs.common.listing import Source
from libs.common.problems import Conflict, Invalid
from libs.common.telemetry import log
from libs.common.versions import current, current_of
from services.tracker.domain.calendars import ALWAYS, Calendar, Holidays, Span, no_holidays
from services.tracker.domain.deadlines import SlaRule, Terms
from services.tracker.domain.plan import priority

C = TypeVar("C", bound=Model)
_WEEK: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PRIORITIES: dict[Severity, int] = {
    "required_fail": priority("fail", True),
    "optional_fail": priority("fail", False),
    "required_warning": priority("warning", True),
    "optional_warning": priority("warning", False),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A site's calendar as far as this Headgate can read it. ``problem``: what it can't read, and what holds instead.

    What can't be read makes time run, so that deadlines come earlier, never later.
    """

    calendar: Calendar
    problem: str | None = None
    content: CalendarContent = CALENDAR.default

    def name_of(self, day: date) -> str:
        """What the calendar calls an own day or a holiday; empty where it has no name."""
        for own in self.content.days:
            if own.date == day:
                return own.name
        of = self.content.holidays
        return "" if of is None else _names_of(of.country, of.subdivision, day.year).get(day, "")


async def terms_of(source: Source, site: str) -> Terms:
    """The terms in force at a site, one round trip. A verdict counts, so what can't be read is no reason to fail.

    Instead of SLA rules that can't be read the hours of the gate's policy hold; for the calendar see `Reading`.
    """
    try:
        calendar, rules = await current_of(source, site, CALENDAR, SLA_RULES)
        return _terms(site, _readable(calendar.content), rules.content)
    except Conflict:
        return _terms(site, await reading_of(source, site), await _rules_of(source, site))


async def reading_of(source: Source, site: str) -> Reading:
    """The calendar in force at a site."""
    try:
        return _readable((await current(source, CALENDAR, site)).content)
    except Conflict as error:
        return Reading(ALWAYS, f"{error.detail} Until then time counts day and night.")


async def calendar_of(source: Source, site: str) -> Calendar:
    """The same without the problem."""
    return (await reading_of(source, site)).calendar


async def with_calendar(source: Source, site: str, document: Document[C]) -> tuple[Published[C], Reading]:
    """A document and the calendar in force at a site, in one round trip. Raises `Conflict` for the document only."""
    try:
        published, calendar = await current_of(source, site, document, CALENDAR)
        return published, _readable(calendar.content)
    except Conflict:
        return await current(source, document, site), await reading_of(source, site)


async def _rules_of(source: Source, site: str) -> SlaRules:
    try:
        return (await current(source, SLA_RULES, site)).content
    except Conflict as error:
        log.warning("the hours of the gates' policies hold", site=site, error=error.detail)
        return SLA_RULES.default


def _readable(content: CalendarContent) -> Reading:
    try:
        return Reading(to_calendar(content), content=content)
    except Invalid as error:
        without = content.model_copy(update={"holidays": None})
        problem = f"{error.detail} Until then holidays count as any other day."
        return Reading(to_calendar(without), problem, without)


def _terms(site: str, reading: Reading, rules: SlaRules) -> Terms:
    if reading.problem is not None:
        log.warning("deadlines come earlier than they should", site=site, error=reading.problem)
    return Terms(
        calendar=reading.calendar,
        rules=tuple(
            SlaRule(
                sla_hours=rule.sla_hours,
                priority=_PRIORITIES[rule.severity] if rule.severity is not None else None,
                rule_id=rule.rule_id,
                tier=rule.tier,
                site=rule.site,
            )
            for rule in rules.rules
        ),
        tiers=rules.tiers,
    )


def to_calendar(content: CalendarContent) -> Calendar:
    """A calendar as the domain has it. Raises `Invalid` for a country or subdivision that the library doesn't know."""
    if content == CALENDAR.default:
        return ALWAYS
    return Calendar(
        week=tuple(_spans(content.week.get(day, [])) for day in _WEEK),
        zone=content.zone,
        holidays=_holidays(content.holidays) if content.holidays is not None else no_holidays,
        days={own.date: _spans(own.hours) for own in content.days},
    )


def _spans(hours: list[str]) -> tuple[Span, ...]:
    return tuple(minutes(span) for span in hours)


def _holidays(of: HolidaysOf) -> Holidays:
    return _holidays_of(of.country, of.subdivision)


@lru_cache(maxsize=64)
def _holidays_of(country: str, subdivision: str | None) -> Callable[[int], AbstractSet[date]]:
    try:
        country_holidays(country, subdiv=subdivision)
    except NotImplementedError:
        where = country if subdivision is None else f"{country}, {subdivision}"
        raise Invalid(
            f"No holidays are known for {where}; leave holidays out and list the days under days instead."
        ) from None

    @lru_cache(maxsize=128)
    def of_year(year: int) -> AbstractSet[date]:
        return frozenset(country_holidays(country, subdiv=subdivision, years=year))

    return of_year


@lru_cache(maxsize=128)
def _names_of(country: str, subdivision: str | None, year: int) -> Mapping[date, str]:
    """The names in the words of the country: unsaid, they would be those of the machine's locale."""
    language = country_holidays(country, subdiv=subdivision).default_language
    return dict(country_holidays(country, subdiv=subdivision, years=year, language=language))
