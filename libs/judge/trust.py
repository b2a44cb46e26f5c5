"""Whether facts can be used at all: what is missing, broken, from the future or too old fails a rule, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.judge.checks import parse_time
from libs.judge.facts import Fact, Facts
from libs.judge.failures import age_words
from libs.judge.kinds import Kind
from libs.judge.own_kinds import noun_of, problems_of
from libs.judge.policy_model import EVERY_PART, WATCHDOG, Rule, look_up
from libs.judge.report_base import clean_text
from libs.judge.totals import part_words
from libs.judge.voices import wanted_words

MAX_FUTURE = timedelta(minutes=5)
MAX_PROBLEM_CHARS = 300
MAX_STALE_SHOWN = 3
NEVER, NEVER_SENT = "there was no good one before", "no good one of this sender is known"
_TICK = timedelta(microseconds=1)  # a fact of exactly the maximum age is still good


def without_zone(facts: Sequence[Fact]) -> list[tuple[str, str]]:
    """Times without a zone can't even be put in order."""
    ids = sorted(fact.signal_id for fact in facts if fact.time.tzinfo is None)
    return [(f"signal {ids[0]} has a time without a zone", "a time with a zone")] if ids else []


def broken(
    facts: Sequence[Fact], label: str, now: datetime, own: Mapping[str, Kind], never: str = NEVER
) -> list[tuple[str, str]]:
    """The first fact that can't be trusted at all; ``own``: the kinds of one's own."""
    for fact in facts:
        name = f"the {label}{noun_of(fact.kind, own)} {part_words(fact, facts)}(signal {fact.signal_id})"
        # A baseline is only compared with: a clock that ran ahead at the last GO must not forbid the next one.
        if fact.time - now > MAX_FUTURE and not label:
            return [(f"{name} has a time in the future, {fact.time.isoformat()}", "a time that has come")]
        # What was wrong when it came stays wrong, also if a later Headgate would take it: its sender was told so.
        problems = fact.problems or problems_of(fact.kind, fact.data, own)
        if problems:
            what = clean_text(problems[0].rstrip("."), MAX_PROBLEM_CHARS)
            return [(f"{name} is broken: {what}{'' if label else _last_good(fact, now, never)}", "valid data")]
    return []


def _last_good(fact: Fact, now: datetime, never: str) -> str:
    if fact.good is None:
        return f"; {never}"
    if fact.good.signal_id == fact.signal_id:
        return ""  # it was right for the Headgate that stored it, so of those before it nothing is known here
    return f"; the last good one, signal {fact.good.signal_id}, is {age_words(now - fact.good.time)} old"


def missing(rule: Rule, version: str, own: Mapping[str, Kind]) -> tuple[str, str]:
    """What to say where there is no fact at all."""
    target = f" of version {version}" if version else ""
    limit = _limit_words(rule)
    if rule.age_of == WATCHDOG:
        return "no alert group was received", f"a Watchdog heartbeat {limit}".strip()
    hears = f", and {wanted_words(rule)}" if wanted_words(rule) else ""
    return f"no {noun_of(rule.kind, own)}{target} was received{hears}", f"one{f' {limit}' if limit else ''}"


def _limit_words(rule: Rule) -> str:
    return "" if rule.max_age is None else f"at most {rule.max_age:g} {rule.max_age_unit} old"


@dataclass(frozen=True, slots=True)
class Ages:
    """The facts whose age counts, each with the time it counts from (None: it says that nothing ever ran).

    ``oldest``: the earliest of these times; ``is_unknown``: one is None. ``ahead``: the times that the facts' own key
    tells.
    """

    of: Sequence[tuple[Fact, datetime | None]]
    oldest: datetime | None
    is_unknown: bool
    ahead: tuple[datetime, ...] = ()


def ages(age_of: str, current: Sequence[Fact]) -> Ages:
    """How old facts of one kind are, by what a rule's ``age_of`` says."""
    if age_of == EVERY_PART:
        return _ages([(fact, fact.time) for fact in current])
    if age_of == WATCHDOG:
        beats = [fact for fact in current if look_up("fact.watchdog", {"fact": fact.data})]
        # One live line is enough: an old group that once carried the Watchdog does no harm.
        newest = max(beats, key=lambda fact: (fact.time, fact.signal_id), default=None)
        return _ages([(newest, newest.time)] if newest else [])
    told = [parse_time(look_up(f"fact.{age_of}", {"fact": fact.data})) for fact in current]
    # Both must be young: a fact sent today may tell of a run last year, and the other way round.
    aged = [(fact, min(own, fact.time) if own else None) for fact, own in zip(current, told, strict=True)]
    return _ages(aged, tuple(own for own in told if own))


def _ages(of: Sequence[tuple[Fact, datetime | None]], ahead: tuple[datetime, ...] = ()) -> Ages:
    times = [time for _, time in of if time is not None]
    return Ages(of, min(times, default=None), len(times) < len(of), ahead)


def stale(
    rule: Rule, found: Ages, current: Sequence[Fact], now: datetime, own: Mapping[str, Kind]
) -> list[tuple[str, str]]:
    """The first fact that is too old for the rule."""
    limit = rule.age_limit
    if limit is None:
        return []
    if rule.age_of == WATCHDOG and not found.of:
        return [("no Watchdog heartbeat fires", f"a Watchdog heartbeat {_limit_words(rule)}")]
    ahead = next((told for told in found.ahead if told - now > MAX_FUTURE), None)
    if ahead is not None:
        return [(f"{rule.age_of} lies in the future, {ahead.isoformat()}", "a time that has come")]
    if not found.is_unknown and (found.oldest is None or now - found.oldest <= limit):
        return []
    wanted = _limit_words(rule)
    title = "Watchdog heartbeat" if rule.age_of == WATCHDOG else noun_of(rule.kind, own)
    for fact, time in found.of:
        if time is None:
            return [(f"no run is recorded for the {title}", f"one {wanted}")]
        if now - time > limit:
            name = title if rule.age_of == WATCHDOG else f"{title} {part_words(fact, current)}".strip()
            return [(f"the newest {name} is {age_words(now - time)} old", wanted)]
    return []


def unrepeated(rule: Rule, current: Sequence[Fact], now: datetime) -> list[tuple[str, str]]:
    """What to say of alert groups that fire and were not repeated for long: a rule that fails goes on failing."""
    if rule.stale_after_hours is None:
        return []
    limit = timedelta(hours=rule.stale_after_hours)
    old = [fact for fact in current if now - fact.time > limit and _fires(fact)]
    return [
        (
            f"the alert group {fact.part} (signal {fact.signal_id}) is stale: it was not repeated for "
            f"{age_words(now - fact.time)}",
            f"one repeated within {rule.stale_after_hours:g} hours, or retired if Alertmanager knows it no more: "
            f'headgate facts retire {fact.signal_id} --reason "…"',
        )
        for fact in sorted(old, key=lambda fact: fact.time)[:MAX_STALE_SHOWN]
    ]


def _fires(fact: Fact) -> bool:
    alerts = look_up("fact.alerts", {"fact": fact.data})
    return isinstance(alerts, list) and any(alert["status"] == "firing" for alert in alerts)


def of_needs(rule: Rule, facts: Facts) -> list[Fact]:
    """What there is of the further kinds, of the subject and of the version under judgement; unreadable ones, too."""
    kinds = {need.kind for need in rule.needs}
    if not kinds:
        return []
    versions = ("", facts.version)
    return [fact for fact in (*facts.current, *facts.unread) if fact.kind in kinds and fact.version in versions]


def needed(rule: Rule, facts: Facts, now: datetime) -> tuple[list[Fact], list[tuple[str, str]]]:
    """The facts of the further kinds that a rule needs, and what is wrong with them."""
    found, wrong = of_needs(rule, facts), []
    for need in rule.needs:
        mine = [fact for fact in found if fact.kind == need.kind]
        noun = noun_of(need.kind, facts.own)
        limit = "" if need.max_age_hours is None else f" at most {need.max_age_hours:g} hours old"
        newest = max(mine, key=lambda fact: (fact.time, fact.signal_id), default=None)
        if newest is None:
            wrong.append((f"no {noun} was received, which the rule needs", f"one{limit}"))
        elif bad := broken(mine, "", now, facts.own):
            wrong += bad
        elif need.max_age_hours is not None and now - newest.time > timedelta(hours=need.max_age_hours):
            wrong.append((f"the newest {noun} is {age_words(now - newest.time)} old", f"one{limit}"))
    return found, wrong


def expiry(rule: Rule, found: Ages, beside: Sequence[Fact]) -> datetime | None:
    """When a rule that passes over these facts will be stale; ``beside`` are those of its further kinds."""
    ends = []
    if rule.age_limit is not None and found.oldest is not None:
        ends = [found.oldest + rule.age_limit]
    for need in rule.needs:
        if need.max_age_hours is not None:
            newest = max(fact.time for fact in beside if fact.kind == need.kind)
            ends.append(newest + timedelta(hours=need.max_age_hours))
    return min(ends) + _TICK if ends else None


def expiries(rule: Rule, found: Ages, beside: Sequence[Fact]) -> list[tuple[Fact, datetime, timedelta]]:
    """When each fact that a rule reads will be too old for it, and how long one is young; the first is its `expiry`."""
    ends = []
    if rule.age_limit is not None:
        limit = rule.age_limit
        ends += [(fact, time + limit + _TICK, limit) for fact, time in found.of if time is not None]
    for need in rule.needs:
        mine = [fact for fact in beside if fact.kind == need.kind]
        if need.max_age_hours is not None and mine:
            newest, limit = max(mine, key=lambda fact: (fact.time, fact.signal_id)), timedelta(hours=need.max_age_hours)
            ends.append((newest, newest.time + limit + _TICK, limit))
    return ends
