"""What a site's deadlines are counted with: its calendar and its SLA rules, from the documents that are in force."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import date
from functools import lru_cache

from holidays import country_holidays

from libs.common.contracts.tracker.calendars import CALENDAR, CalendarContent, HolidaysOf, Weekday, minutes
from libs.common.contracts.tracker.sla import SLA_RULES, Severity, SlaRules
from libs.common.listing import Source
from libs.common.problems import Invalid
from libs.common.versions import current, current_of
from services.tracker.domain.calendars import ALWAYS, Calendar, Holidays, Span, no_holidays
from services.tracker.domain.deadlines import SlaRule, Terms
from services.tracker.domain.plan import priority

_WEEK: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PRIORITIES: dict[Severity, int] = {
    "required_fail": priority("fail", True),
    "optional_fail": priority("fail", False),
    "required_warning": priority("warning", True),
    "optional_warning": priority("warning", False),
}


async def terms_of(source: Source, site: str) -> Terms:
    """The terms in force at a site; one round trip."""
    calendar, rules = await current_of(source, site, CALENDAR, SLA_RULES)
    return to_terms(calendar.content, rules.content)


async def calendar_of(source: Source, site: str) -> Calendar:
    """The calendar in force at a site."""
    return to_calendar((await current(source, CALENDAR, site)).content)


def to_terms(calendar: CalendarContent, rules: SlaRules) -> Terms:
    """Documents as the domain has them. Raises `Invalid`, see `to_calendar`."""
    return Terms(
        calendar=to_calendar(calendar),
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
