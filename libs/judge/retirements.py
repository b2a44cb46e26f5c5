"""Facts that people have ended: what no signal would ever end by itself.

A retirement names a signal. It ends what its part, its sender or one test of it said up to that signal, by the order of
signals alone; what comes later counts as if there were none. It never makes a fact: a kind of which nothing is left is
missing. And it mends nothing that was seen of the version under judgement: a report of that version which shows a rule
failing goes on failing it. Why: docs/decisions/0019.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from libs.judge.facts import Fact, Facts, OpenFailure
from libs.judge.failures import MAX_READ
from libs.judge.kinds import Kind
from libs.judge.own_kinds import noun_of, problems_of

Ended = Literal["part", "sender", "test"]
MAX_SHOWN_CHARS = 100  # of names in a remark


@dataclass(frozen=True, slots=True)
class Retirement:
    """Somebody ended what was said up to the signal ``signal_id`` of the effective time ``seen_at``.

    ``what``: a part (its fact, and that the last GO wants it), a sender whose report can't be read, or a ``test`` that
    is not shown passing. ``version`` is the signal's. ``approved_by``: the second person, "" if there is none.
    """

    retirement_id: int
    what: Ended
    kind: str
    version: str
    part: str
    test: str
    signal_id: int
    seen_at: datetime
    reason: str
    retired_by: str
    retired_at: datetime
    approved_by: str = ""

    def ends(self, time: datetime, signal_id: int) -> bool:
        """Whether a word of this time and signal is not newer than what was seen."""
        return (time, signal_id) <= (self.seen_at, self.signal_id)


@dataclass(frozen=True, slots=True)
class Left:
    """What retirements leave of the facts.

    ``shown``: good facts of the version under judgement that were taken away; what they show still counts.
    ``remarks``: a sentence for each retirement that met something, with the kind that it is about.
    """

    facts: Facts
    shown: tuple[Fact, ...] = ()
    remarks: tuple[tuple[str, str], ...] = ()


def retire(facts: Facts, retirements: Iterable[Retirement], *, two_persons: bool) -> Left:
    """The facts without what was retired. ``two_persons``: the word of one is not enough."""
    said = sorted(retirements, key=lambda one: one.retirement_id)
    if not said or any(fact.time.tzinfo is None for fact in (*facts.current, *facts.unread, *facts.baseline)):
        return Left(facts)  # without a zone nothing can be put in order, and the rule fails for that
    # For a test a second person is always needed: nothing else may let a failed test pass.
    counting = [one for one in said if one.approved_by or not (two_persons or one.what == "test")]
    met: set[int] = set()
    own = facts.own
    current, shown = [], []
    for fact in (_without_tests(one, counting, met) for one in facts.current):
        mine = [one for one in counting if one.what == "part" and one.version == fact.version and _ends(one, fact)]
        if not mine or _stays(fact, own):
            current.append(fact)
            continue
        met.update(one.retirement_id for one in mine)
        if fact.version and _is_good(fact, own):
            shown.append(fact)
    unread = []
    for fact in facts.unread:
        mine = [one for one in counting if one.what == "sender" and one.version == fact.version and _ends(one, fact)]
        if not mine or _stays(fact, own):
            unread.append(fact)
        met.update(one.retirement_id for one in mine if not _stays(fact, own))
    baseline = []
    for fact in facts.baseline:
        # What could not be read was among the facts of a GO that somebody's retirement allowed. The part of a version
        # that another line compares with is another one's.
        versions = (fact.version, facts.version)
        mine = [one for one in counting if one.what != "test" and one.version in versions and _ends(one, fact)]
        if not mine:
            baseline.append(fact)
        met.update(one.retirement_id for one in mine)
    left = replace(facts, current=tuple(current), unread=tuple(unread), baseline=tuple(baseline))
    waiting = [one for one in said if one not in counting and _concerns(one, facts)]
    remarks = [(one.kind, _words(one, own)) for one in counting if one.retirement_id in met]
    remarks += [
        (one.kind, f"{_words(one, own)}; it does not count before a second person approves it") for one in waiting
    ]
    return Left(left, tuple(shown), tuple(remarks))


def _ends(one: Retirement, fact: Fact) -> bool:
    return (one.kind, one.part) == (fact.kind, fact.part) and one.ends(fact.time, fact.signal_id)


def _stays(fact: Fact, own: Mapping[str, Kind]) -> bool:
    """Whether a word of a version covers good ones before it, or tests that failed: to drop it would hide them."""
    broken = not _is_good(fact, own)
    return bool(fact.version) and (bool(fact.open_failures) or (broken and fact.good is not None))


def _is_good(fact: Fact, own: Mapping[str, Kind]) -> bool:
    return not fact.problems and not problems_of(fact.kind, fact.data, own)


def _without_tests(fact: Fact, counting: Sequence[Retirement], met: set[int]) -> Fact:
    # Of so many only some are read: whether others are open is not known.
    if not fact.open_failures or len(fact.open_failures) >= MAX_READ:
        return fact
    still = []
    for failure in fact.open_failures:
        mine = [one for one in counting if _is_over(one, fact, failure)]
        met.update(one.retirement_id for one in mine)
        if not mine:
            still.append(failure)
    return replace(fact, open_failures=tuple(still))


def _is_over(one: Retirement, fact: Fact, failure: OpenFailure) -> bool:
    about = (one.what, one.kind, one.version, one.part, one.test)
    is_it = about == ("test", fact.kind, fact.version, fact.part, failure.test)
    return is_it and bool(failure.test) and one.ends(failure.last.time, failure.last.signal_id)


def _concerns(one: Retirement, facts: Facts) -> bool:
    """Whether a retirement that does not count would meet something."""
    if one.what == "test":
        return any(_is_over(one, fact, failure) for fact in facts.current for failure in fact.open_failures)
    if one.what == "sender":
        return any(one.version == fact.version and _ends(one, fact) for fact in facts.unread)
    current = any(one.version == fact.version and _ends(one, fact) for fact in facts.current)
    return current or any(_ends(one, fact) for fact in facts.baseline)


def _words(one: Retirement, own: Mapping[str, Kind]) -> str:
    noun, part = noun_of(one.kind, own), one.part[:MAX_SHOWN_CHARS]
    what = {
        "part": f"{noun} {part}",
        "sender": f"what {part} sent and nobody could read ({noun})",
        "test": f"the failure of {one.test[:MAX_SHOWN_CHARS]} ({noun} {part})",
    }[one.what]
    second = f" and {one.approved_by}" if one.approved_by else ""
    by = f"by {one.retired_by}{second} on {one.retired_at:%Y-%m-%d}"
    return f"retired: {what} up to signal {one.signal_id}, {by}: {one.reason}"
