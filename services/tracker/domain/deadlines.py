"""Deadlines: how long an item may stay open at a site, and when that time is over.

A deadline is counted in working time of the site's calendar, from when the episode opened. It moves by a pause, by a
rise in severity (nearer only), by a change of the calendar, or because a person moves it; by nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from services.tracker.domain.calendars import ALWAYS, HORIZON, Calendar, NeverOpen
from services.tracker.domain.changes import Change, change, change_by_person
from services.tracker.domain.item import Item

MAX_PAUSES = 100  # of one episode
MAX_HOURS = HORIZON // timedelta(hours=1)


class ClockRefused(ValueError):
    """The item's clock is not in a state in which that can be done; the text says what to do."""


@dataclass(frozen=True, slots=True)
class SlaRule:
    """Hours for the items that fit everything it names; None of ``sla_hours`` is: no SLA."""

    sla_hours: int | None
    priority: int | None = None
    rule_id: str | None = None
    tier: str | None = None
    site: str | None = None

    def fits(self, site: str, priority: int, rule_id: str, tier: str | None) -> bool:
        """Whether an item is one of those that the rule means."""
        return all(
            wanted is None or wanted == found
            for wanted, found in (
                (self.site, site),
                (self.priority, priority),
                (self.rule_id, rule_id),
                (self.tier, tier),
            )
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """What a site's deadlines are counted with. ``tiers`` says of which tier a subject is."""

    calendar: Calendar = ALWAYS
    rules: tuple[SlaRule, ...] = ()
    tiers: Mapping[str, str] = field(default_factory=dict)

    def sla_hours(self, site: str, subject: str, rule_id: str, priority: int, usual: int) -> int | None:
        """The hours of the first rule that fits, else the ``usual`` ones of the gate's policy. None: no SLA."""
        tier = self.tiers.get(subject)
        for rule in self.rules:
            if rule.fits(site, priority, rule_id, tier):
                return rule.sla_hours
        return usual


def due_at(
    calendar: Calendar, opened_at: datetime, sla_hours: int | None, pauses: Sequence[datetime] = ()
) -> datetime | None:
    """When ``sla_hours`` of working time, and what was paused, have passed since ``opened_at``; None without an SLA.

    ``pauses``: see `Item`. A deadline is never further away than `HORIZON`, whatever a calendar says.
    """
    if sla_hours is None:
        return None
    working = timedelta(hours=min(sla_hours, MAX_HOURS)) + paused_time(calendar, pauses)
    try:
        return calendar.add(opened_at, working)
    except NeverOpen:
        return opened_at + HORIZON


def paused_time(calendar: Calendar, pauses: Sequence[datetime]) -> timedelta:
    """The working time within the pauses."""
    return sum(
        (calendar.between(start, end) for start, end in zip(pauses[::2], pauses[1::2], strict=True)), timedelta()
    )


def counted(item: Item, calendar: Calendar) -> Item:
    """The item with its deadline as the calendar counts it; one that a person set is left alone."""
    if item.due_by_hand:
        return item
    return replace(item, due_at=due_at(calendar, item.opened_at, item.sla_hours, item.pauses))


def resumed(item: Item, calendar: Calendar, at: datetime) -> Item:
    """The item with its clock running again; without a pause it is left alone.

    The deadline moves by the working time that was paused, also one that a person set.
    """
    if item.paused_at is None:
        return item
    after = replace(item, paused_at=None, pause_reason="")
    if at <= item.paused_at:
        return after
    after = replace(after, pauses=[*item.pauses, item.paused_at, at])
    if not item.due_by_hand:
        return counted(after, calendar)
    assert item.due_at is not None  # noqa: S101 - a person sets a time
    return replace(after, due_at=later(calendar, item.due_at, calendar.between(item.paused_at, at)))


def later(calendar: Calendar, due: datetime, working: timedelta) -> datetime:
    """A deadline moved by working time, as far as `HORIZON`."""
    try:
        return calendar.add(due, working)
    except NeverOpen:
        return due + HORIZON


def raised(item: Item, sla_hours: int | None, calendar: Calendar) -> Item:
    """The item after a rise in severity, for which ``sla_hours`` hold now: its deadline only ever comes nearer.

    A deadline that a person set stays.
    """
    if item.due_by_hand:
        return item
    due = due_at(calendar, item.opened_at, sla_hours, item.pauses)
    nearer = due is not None and (item.due_at is None or due < item.due_at)
    return replace(item, sla_hours=sla_hours, due_at=due) if nearer else item


def pause(before: Item, reason: str, actor: str, now: datetime) -> Change:
    """Stop the clock of an open item. Raises `ClockRefused`."""
    _must_be_open(before)
    if before.paused_at is not None:
        raise ClockRefused("Its clock is paused already; resume it first to pause it for another reason.")
    if len(before.pauses) >= 2 * MAX_PAUSES:
        raise ClockRefused(f"Its clock has been paused {MAX_PAUSES} times in this episode, which is the most.")
    return change_by_person("paused", before, replace(before, paused_at=now, pause_reason=reason), actor, now)


def resume(before: Item, calendar: Calendar, actor: str, now: datetime) -> Change:
    """Let the clock run again. Raises `ClockRefused`."""
    _must_be_open(before)
    if before.paused_at is None:
        raise ClockRefused("Its clock is running; there is nothing to resume.")
    return change_by_person("resumed", before, resumed(before, calendar, now), actor, now)


def move(before: Item, due: datetime | None, reason: str, calendar: Calendar, actor: str, now: datetime) -> Change:
    """Set the deadline by hand, or (None) have it counted on the calendar again. Raises `ClockRefused`."""
    _must_be_open(before)
    if due is None:
        after = counted(replace(before, due_by_hand=False, due_reason=""), calendar)
    elif not before.opened_at <= due <= now + HORIZON:
        raise ClockRefused(
            f"due_at must lie between {before.opened_at:%Y-%m-%dT%H:%M:%SZ}, when the episode opened, and "
            f"{HORIZON.days} days from now."
        )
    else:
        after = replace(before, due_at=due, due_by_hand=True, due_reason=reason)
    return change_by_person("due_moved", before, after, actor, now)


def recount(before: Item, calendar: Calendar, actor: str, now: datetime) -> Change:
    """The open item after a change of its site's calendar."""
    return change("recounted", before, counted(before, calendar), actor, now)


def _must_be_open(item: Item) -> None:
    if not item.is_active:
        raise ClockRefused("It is resolved, so it has no clock. It gets a new deadline when its rule fails again.")
