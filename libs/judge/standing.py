"""What people decided about a gate: waivers, halts, freezes and approvals. `verdict.judge` weighs it beside the facts.

Nothing here makes a failing rule pass. A waiver takes a rule out of the count for a while, a hold (a halt, a freeze)
forbids GO whatever the rules say. What has ended, has not begun, or is about something else changes nothing, by the
clock alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal

from libs.judge.accepted import AcceptedBaseline
from libs.judge.approvals import Approval
from libs.judge.emergency import Override
from libs.judge.facts import Fact, Facts
from libs.judge.retirements import Retirement
from libs.judge.test_ids import PRINT_CHARS, fingerprint

Hindrance = Literal["halt", "freeze", "approval"]


@dataclass(frozen=True, slots=True)
class Waiver:
    """One rule, or one finding of it (``fingerprint``), does not count from ``begins_at`` until before ``ends_at``.

    ``version`` "" is every version. Without ``without_evidence`` it covers only what was seen: facts that are missing,
    stale or broken still fail the rule. A finding's waiver never covers them.
    """

    waiver_id: int
    gate: str
    subject: str
    rule_id: str
    begins_at: datetime
    ends_at: datetime
    reason: str
    issue: str
    requested_by: str
    approved_by: str
    version: str = ""
    fingerprint: str = ""
    without_evidence: bool = False

    def is_in_force(self, now: datetime) -> bool:
        """Whether it counts at ``now``."""
        return self.begins_at <= now < self.ends_at


@dataclass(frozen=True, slots=True)
class Halt:
    """Somebody stopped the line: of subjects that fit ``subjects`` (a pattern), at a site or (`global`) everywhere."""

    halt_id: int
    site: str
    subjects: str
    reason: str
    halted_by: str
    halted_at: datetime
    exempt_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Freeze:
    """One window of a named calendar, from ``begins_at`` until before ``ends_at``."""

    calendar: str
    begins_at: datetime
    ends_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Label:
    """A word on a version, such as ``hotfix``: calendars and halts may exempt it, and it takes one more approval."""

    label: str
    set_by: str
    set_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Spent:
    """How many exceptions of a kind a site has made in a quarter, such as ``2026-Q4`` (UTC)."""

    quarter: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What was decided about one gate and subject of one site. What is about another one is passed over.

    ``missing_calendars``: calendars that the policy names and nobody has published. Whether they freeze is not known.
    ``retirements``: those of the subject, of any kind, that nobody has taken back. ``baselines``: accepted ones.
    """

    gate: str = ""
    site: str = ""
    subject: str = ""
    waivers: tuple[Waiver, ...] = ()
    halts: tuple[Halt, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    missing_calendars: tuple[str, ...] = ()
    approvals: tuple[Approval, ...] = ()
    retirements: tuple[Retirement, ...] = ()
    labels: tuple[Label, ...] = ()
    overrides: tuple[Override, ...] = ()
    spent: tuple[Spent, ...] = ()
    baselines: tuple[AcceptedBaseline, ...] = ()

    def waivers_of(self, version: str, now: datetime) -> list[Waiver]:
        """The waivers in force for this gate and subject, by number."""
        mine = (
            one
            for one in self.waivers
            if (one.gate, one.subject) == (self.gate, self.subject)
            and one.version in ("", version)
            and one.is_in_force(now)
        )
        return sorted(mine, key=lambda one: one.waiver_id)

    def baselines_of(self, line: str, now: datetime) -> list[AcceptedBaseline]:
        """The accepted baselines in force for this gate, subject and line, by number."""
        here = (self.gate, self.subject, line)
        mine = (one for one in self.baselines if (one.gate, one.subject, one.line) == here and one.is_in_force(now))
        return sorted(mine, key=lambda one: one.accepted_id)


NOBODY_DECIDED = Standing()


@dataclass(frozen=True, slots=True)
class Hold:
    """What forbids GO beside the rules. ``until`` is None where only a person can end it."""

    kind: Hindrance
    message: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class WaiverUsed:
    """A waiver as the verdict shows it."""

    waiver_id: int
    fingerprint: str
    reason: str
    issue: str
    requested_by: str
    approved_by: str
    ends_at: datetime


def used(waiver: Waiver) -> WaiverUsed:
    """What of a waiver a verdict shows."""
    return WaiverUsed(
        waiver.waiver_id,
        waiver.fingerprint,
        waiver.reason,
        waiver.issue,
        waiver.requested_by,
        waiver.approved_by,
        waiver.ends_at,
    )


def holds(standing: Standing, now: datetime) -> tuple[Hold, ...]:
    """What forbids GO at ``now``: halts first, by number, then freezes by their calendars."""
    labels = {one.label for one in standing.labels}
    found = [
        Hold("halt", f"The line is stopped by {halt.halted_by} ({_where(halt)}): {_sentence(halt.reason)}")
        for halt in sorted(standing.halts, key=lambda one: one.halt_id)
        if fnmatchcase(standing.subject, halt.subjects)
        and halt.site in ("global", standing.site)
        and not labels.intersection(halt.exempt_labels)
    ]
    frozen: dict[tuple[str, str], Freeze] = {}
    for one in sorted(standing.freezes, key=lambda one: (one.ends_at, one.begins_at)):
        if one.begins_at <= now < one.ends_at:
            frozen[one.calendar, one.reason] = one  # of windows that overlap the one that ends last
    for _, one in sorted(frozen.items()):
        message = f"The calendar {one.calendar} freezes until {one.ends_at.isoformat()}: {_sentence(one.reason)}"
        found.append(Hold("freeze", message, one.ends_at))
    found += [
        Hold("freeze", f"The freeze calendar {name} is not published or can't be read; publish it.")
        for name in sorted(standing.missing_calendars)
    ]
    return tuple(found)


def moments(standing: Standing, now: datetime) -> list[datetime]:
    """When a GO of now can be over by what was decided already: each freeze that is still to begin."""
    return [one.begins_at for one in standing.freezes if one.begins_at > now]


def without(facts: Facts, kind: str, fingerprints: Iterable[str]) -> tuple[Facts, frozenset[str]]:
    """The facts as if these findings of ``kind`` weren't there, and those of the fingerprints that were."""
    wanted, seen = frozenset(fingerprints), set[str]()
    current = tuple(_less(fact, wanted, seen) if fact.kind == kind else fact for fact in facts.current)
    return replace(facts, current=current), frozenset(seen)


def _less(fact: Fact, wanted: frozenset[str], seen: set[str]) -> Fact:
    data = fact.data
    if not isinstance(data, dict) or not isinstance(data.get("findings"), list):
        return fact
    kept, dropped = [], False
    for finding in data["findings"]:
        name = finding.get("fingerprint") if isinstance(finding, dict) else None
        if isinstance(name, str) and name in wanted:
            seen.add(name)
            dropped = True
        else:
            kept.append(finding)
    packed = data.get("severe_packed")
    short = {fingerprint(name): name for name in wanted}
    if isinstance(packed, str) and packed:
        prints = [packed[at : at + PRINT_CHARS] for at in range(0, len(packed), PRINT_CHARS)]
        rest = "".join(one for one in prints if one not in short)
        if rest != packed:
            seen.update(short[one] for one in prints if one in short)
            return replace(fact, data={**data, "findings": kept, "severe_packed": rest})
    return replace(fact, data={**data, "findings": kept}) if dropped else fact


def _where(halt: Halt) -> str:
    scope = "everywhere" if halt.site == "global" else f"at {halt.site}"
    return scope if halt.subjects == "*" else f"{scope}, {halt.subjects}"


def _sentence(reason: str) -> str:
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."
