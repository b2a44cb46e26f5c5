"""What becomes of a verdict as time passes, if nobody says anything new.

It is judged again, by the same judge, at each moment at which it can turn: when the verdict says that something it
rests on ends, and when something that people decided begins or ends. So a forecast at a moment is what the judge says
then of the same facts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

from libs.judge.evidence import Hearing
from libs.judge.facts import Fact, Facts
from libs.judge.history import KIND as HISTORY
from libs.judge.path import Judged, shortest_path
from libs.judge.policy_model import Policy, Rule
from libs.judge.results import RuleResult, RuleStatus, Verdict, VerdictWord
from libs.judge.standing import Standing
from libs.judge.trust import expiries, needed
from libs.judge.verdict import judge

MAX_TURNS = 100


@dataclass(frozen=True, slots=True)
class RuleTurn:
    """A rule that is judged otherwise from a moment on; ``message`` is what it says then."""

    rule_id: str
    before: RuleStatus
    after: RuleStatus
    message: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A moment at which something changes. ``changes``: what begins or ends then by what was decided, in words."""

    at: datetime
    before: VerdictWord
    after: VerdictWord
    rules: tuple[RuleTurn, ...]
    changes: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renewal:
    """A fact that somebody has to say anew by ``renew_by`` so that the rules go on passing, and begin by ``begin_by``.

    ``times``: how often until the end of the forecast, since each new one grows old, too.
    """

    kind: str
    part: str
    version: str
    signal_id: int
    renew_by: datetime
    begin_by: datetime
    times: int
    rule_ids: tuple[str, ...]
    owner_role: str
    sla_hours: int
    action: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """``now`` and ``then``: the verdicts at both ends. ``turns``: in order, and all of them until ``known_until``.

    ``breaks_at``: the first known moment at which a GO becomes a NO_GO. ``renewals``: the cheapest set that is to be
    renewed so that it is GO then, by when work must begin. ``repairs``: rules that must be repaired for it otherwise.
    """

    now: Verdict
    then: Verdict
    turns: tuple[Turn, ...]
    known_until: datetime
    breaks_at: datetime | None
    renewals: tuple[Renewal, ...]
    repairs: tuple[RuleResult, ...]


def forecast(policy: Policy, facts: Facts, standing: Standing, now: datetime, until: datetime) -> Forecast:
    """Judge ``facts`` by ``policy`` from ``now`` until ``until``, which is not before it (both with a zone)."""
    first = verdict = judge(policy, facts, now, standing)
    planned = _planned(policy, facts, standing, now, until)
    turns: list[Turn] = []
    at = now
    while (moment := _next(verdict, planned, at)) is not None and moment <= until and len(turns) < MAX_TURNS:
        after = judge(policy, facts, moment, standing)
        turns.append(_turn(moment, verdict, after, [words for when, words in planned if when == moment]))
        at, verdict = moment, after
    is_whole = moment is None or moment > until
    then = verdict if at == until else judge(policy, facts, until, standing)
    if is_whole and (last := _turn(until, verdict, then, [])).rules:
        turns.append(last)  # such as a rule that begins to pass, which no verdict announces
    breaks = (turn.at for turn in turns if turn.before != "NO_GO" and turn.after == "NO_GO")
    wanted = _wanted(policy, then)
    renewals = _renewals(policy, facts, first, wanted, now, until)
    renewed = {rule_id for renewal in renewals for rule_id in renewal.rule_ids}
    return Forecast(
        now=first,
        then=then,
        turns=tuple(turns),
        known_until=until if is_whole else at,
        breaks_at=next(breaks, None),
        renewals=renewals,
        repairs=tuple(rule for rule in then.rules if rule.id in wanted and rule.id not in renewed),
    )


def _next(verdict: Verdict, planned: Sequence[tuple[datetime, str]], at: datetime) -> datetime | None:
    moments = [when for when, _ in planned if when > at]
    if verdict.next_change_at is not None and verdict.next_change_at > at:
        moments.append(verdict.next_change_at)
    return min(moments, default=None)


def _turn(at: datetime, before: Verdict, after: Verdict, changes: Sequence[str]) -> Turn:
    rules = tuple(
        RuleTurn(new.id, old.status, new.status, new.message)
        for old, new in zip(before.rules, after.rules, strict=True)
        if old.status != new.status
    )
    return Turn(at, before.verdict, after.verdict, rules, tuple(changes), after.reasons)


def _planned(
    policy: Policy, facts: Facts, standing: Standing, now: datetime, until: datetime
) -> list[tuple[datetime, str]]:
    """What is known to begin or end after ``now`` and until ``until``, in words: whatever people decided, and rules."""
    found = [
        (rule.effective_at, f"The rule {rule.id} begins to fail rather than to warn.")
        for rule in policy.rules
        if rule.effective_at is not None and rule.required and rule.mode == "enforce"
    ]
    for field in fields(standing):
        held = getattr(standing, field.name)
        for one in held if isinstance(held, tuple) else ():
            if is_dataclass(one) and getattr(one, "version", "") in ("", facts.version):
                found += _ends_of(one)
    return sorted({(at, words) for at, words in found if now < at <= until})


def _ends_of(one: Any) -> list[tuple[datetime, str]]:
    """When something that was decided begins and ends; all that has such times is named alike."""
    noun = re.sub(r"(?<!^)(?=[A-Z])", " ", type(one).__name__).lower()
    named = (field.name for field in fields(one) if field.name.endswith("_id") or field.name == "calendar")
    name = f"{noun} {getattr(one, next(named, ''), '')}".strip()
    about = f" of the rule {one.rule_id}" if getattr(one, "rule_id", "") else ""
    reason = f": {one.reason}" if getattr(one, "reason", "") else ""
    found = []
    for key, verb in (("begins_at", "begins"), ("ends_at", "ends"), ("expires_at", "ends")):
        at = getattr(one, key, None)
        if isinstance(at, datetime):
            found.append((at, f"The {name}{about} {verb}{reason}"))
    return found


def _wanted(policy: Policy, then: Verdict) -> set[str]:
    """The cheapest set of rules that would have to pass then."""
    judged = [Judged(rule.id, rule.status, rule.weight, rule.sla_hours) for rule in then.rules]
    return set(
        shortest_path(
            judged,
            allow_warning=policy.allow_warning,
            min_score_percent=policy.min_weighted_score_percent,
        )
    )


def _renewals(
    policy: Policy, facts: Facts, first: Verdict, wanted: set[str], now: datetime, until: datetime
) -> tuple[Renewal, ...]:
    """One for each fact that grows too old for a wanted rule whose evidence is good now."""
    good = {result.id for result in first.rules if result.has_evidence and result.stale_at is not None}
    hearing = Hearing(policy, facts, now)
    of_fact: dict[int, list[tuple[datetime, timedelta, Rule, Fact]]] = {}
    for rule in policy.rules:
        if rule.kind == HISTORY or rule.id not in wanted & good:
            continue
        for fact, end, limit in _perishing(hearing, rule):
            if end <= until:
                of_fact.setdefault(fact.signal_id, []).append((end, limit, rule, fact))
    made = [_renewal(uses, until) for uses in of_fact.values()]
    return tuple(sorted(made, key=lambda one: (one.begin_by, one.renew_by, one.kind, one.part, one.signal_id)))


def _renewal(uses: Sequence[tuple[datetime, timedelta, Rule, Fact]], until: datetime) -> Renewal:
    end, _, rule, fact = min(uses, key=lambda use: use[:2])
    shortest = min(limit for _, limit, _, _ in uses)
    return Renewal(
        kind=fact.kind,
        part=fact.part,
        version=fact.version,
        signal_id=fact.signal_id,
        renew_by=end,
        begin_by=end - timedelta(hours=rule.sla_hours),
        times=1 + (until - end) // shortest,
        rule_ids=tuple(dict.fromkeys(one.id for _, _, one, _ in uses)),
        owner_role=rule.owner_role,
        sla_hours=rule.sla_hours,
        action=rule.action,
    )


def _perishing(hearing: Hearing, rule: Rule) -> list[tuple[Fact, datetime, timedelta]]:
    """The facts that a rule reads whose time runs out, as the judge reads them."""
    beside, _ = needed(rule, hearing.beside(rule), hearing.now) if rule.needs else ([], [])
    return expiries(rule, hearing.evidence(rule).ages_by(rule.age_of), beside)
