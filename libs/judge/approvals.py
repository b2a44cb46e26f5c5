"""Approvals: the word of persons that a candidate may go, and who of them counts. Pure.

A person approves *evidence*: this very candidate by this policy over these facts and exceptions, and how each rule came
out. Whatever differs later, the approval is void. Rules that have come to pass since are no difference; one that is
worse than it was shown is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal, Protocol

from libs.judge.policy_model import APPROVERS, ApprovalTerms

Word = Literal["approved", "declined"]
PARTS = ("candidate", "policy", "facts", "exceptions")  # of evidence, by which it is told what differs
MAX_TOLD = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict rests on: SHA-256 (hex) of each part, and the rules that don't pass, as ``id:status``, sorted."""

    candidate: str
    policy: str
    facts: str
    exceptions: str
    shortfalls: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """The one name of it all (hex), which an approver says."""
        parts = [getattr(self, name) for name in PARTS]
        return sha256(json.dumps([parts, sorted(self.shortfalls)]).encode()).hexdigest()


def differing(seen: Evidence, now: Evidence) -> tuple[str, ...]:
    """What is no more as it was seen: names of parts, and ``verdict`` where a rule is worse. Empty: nothing."""
    found = [name for name in PARTS if getattr(seen, name) != getattr(now, name)]
    worse = [] if frozenset(now.shortfalls) <= frozenset(seen.shortfalls) else ["verdict"]
    return (*found, *worse)


class Vote(Protocol):
    """Who said it (``actor``), and whom it counts as (``person``): another one where somebody stands in."""

    @property
    def actor(self) -> str: ...
    @property
    def person(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's word on evidence, with the role and groups that the person had then.

    ``person`` differs from ``actor`` where somebody stands in for somebody else.
    """

    approval_id: int
    word: Word
    actor: str
    person: str
    role: str
    groups: tuple[str, ...]
    given_at: datetime
    reason: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class ApprovalShown:
    """An approval as the verdict shows it. ``void``: why it does not count, "" if it does."""

    approval_id: int
    actor: str
    person: str
    given_at: datetime
    void: str = ""


@dataclass(frozen=True, slots=True)
class Approved:
    """What the approvals come to. ``counts``: of each of the terms, how many persons count and how many are wanted.
    ``missing``: a sentence for each thing that forbids GO; ``ends_at``: when they are not enough any more by the clock
    alone.
    """

    counts: tuple[tuple[int, int], ...] = ()
    shown: tuple[ApprovalShown, ...] = ()
    missing: tuple[str, ...] = ()
    ends_at: datetime | None = None


def persons(votes: Iterable[Vote]) -> list[frozenset[int]]:
    """The votes (by their places) that are one person's, a set for each person.

    Whoever says two words, for themselves or for others, and whoever has two words said for them, is one: so the
    number of sets never depends on the order, and never is too large.
    """
    sets: list[tuple[set[str], set[int]]] = []
    for place, vote in enumerate(votes):
        names, places = {vote.actor, vote.person}, {place}
        apart = []
        for known, theirs in sets:
            if known & names:
                names |= known
                places |= theirs
            else:
                apart.append((known, theirs))
        sets = [*apart, (names, places)]
    return [frozenset(places) for _, places in sets]


def weigh(
    terms: Sequence[ApprovalTerms], more: int, given: Iterable[Approval], evidence: Evidence, now: datetime
) -> Approved:
    """Whether those who approved this very evidence are enough for each of the terms.

    ``more``: how many persons are wanted beyond the terms, or at all where there are none.
    """
    wanted = terms_of(terms, more)
    given = sorted(given, key=lambda one: one.approval_id)
    drifted = {one.approval_id: void_of(one, evidence) for one in given}
    valid = [one for one in given if not drifted[one.approval_id]]
    approving = [one for one in valid if one.word == "approved"]
    people = persons(approving)
    missing = [f"{one.person} declined it: {_sentence(one.reason)}" for one in valid if one.word == "declined"]
    ends: list[datetime] = []
    counts: list[tuple[int, int]] = []
    for one in wanted:
        count = one.count + more
        lasting = sorted(_lasting(one, approving, people, now), reverse=True)
        counts.append((len(lasting), count))
        if len(lasting) < count:
            missing.append(f"Pending approvals: {len(lasting)} of {count} ({who(one)}).")
        elif count and lasting[count - 1] is not _FOREVER:
            ends.append(lasting[count - 1])
    shown = tuple(
        ApprovalShown(one.approval_id, one.actor, one.person, one.given_at, drifted[one.approval_id])
        for one in given
        if one.word == "approved"
    )
    if missing:
        late = [one for one in shown if one.void][-MAX_TOLD:]
        missing += [f"The approval of {one.person} is void: {one.void}." for one in late]
    return Approved(tuple(counts), shown, tuple(missing), min(ends, default=None))


_FOREVER = datetime.max  # noqa: DTZ901 - a mark, never compared with a time that has a zone


def _lasting(
    terms: ApprovalTerms, approving: Sequence[Approval], people: Iterable[frozenset[int]], now: datetime
) -> list[datetime]:
    """Until when each person's approval counts for these terms, of those that do now."""
    found = []
    for places in people:
        mine = [approving[place] for place in places if _fits(terms, approving[place])]
        if terms.max_age_hours is None:
            found += [_FOREVER] if mine else []
            continue
        # One from the future, by a clock that ran ahead, would last too long.
        ends = [one.given_at + timedelta(hours=terms.max_age_hours) for one in mine if one.given_at <= now]
        found += [max(ends)] if ends and max(ends) > now else []
    return found


def terms_of(terms: Sequence[ApprovalTerms], more: int) -> Sequence[ApprovalTerms]:
    """What has to be fulfilled where ``more`` persons are wanted than the terms say."""
    return terms or ([ApprovalTerms(0, APPROVERS)] if more else [])


def may_approve(terms: ApprovalTerms, role: str, groups: Iterable[str]) -> bool:
    """Whether somebody with this role and these groups counts for the terms."""
    return role in terms.roles or not set(terms.groups).isdisjoint(groups)


def _fits(terms: ApprovalTerms, one: Approval) -> bool:
    return may_approve(terms, one.role, one.groups)


def who(terms: ApprovalTerms) -> str:
    """Who may approve by these terms, in words."""
    named = [
        f"{word} {', '.join(names)}" for word, names in (("roles", terms.roles), ("groups", terms.groups)) if names
    ]
    return "; ".join(named)


_CHANGED: Mapping[str, str] = {
    "candidate": "it is about another candidate",
    "policy": "the policy changed",
    "facts": "the facts changed",
    "exceptions": "exceptions or labels changed",
    "verdict": "a rule is worse than it was",
}


def in_words(parts: Iterable[str]) -> str:
    """What `differing` found, as a sentence has it."""
    return " and ".join(_CHANGED[name] for name in parts)


def void_of(one: Approval, evidence: Evidence) -> str:
    """Why an approval does not count for this evidence, "" if it does."""
    found = differing(one.evidence, evidence)
    return f"{in_words(found)} after it" if found else ""


def _sentence(reason: str) -> str:
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."
