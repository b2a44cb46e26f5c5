"""What the facts say of a kind before any rule asks: looked at once, however many rules ask.

Rules of one kind differ in condition, age and weight, and mostly not in what they hear. A gate may have a thousand
rules over ten thousand facts: each fact is checked, put in order and summed up once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from libs.judge.artifacts import of_another
from libs.judge.derive import derive, derive_own
from libs.judge.facts import Fact, Facts, newest_of_each_part
from libs.judge.failures import KIND as TESTS
from libs.judge.failures import still_failing
from libs.judge.heirs import renamed
from libs.judge.history import KIND as HISTORY
from libs.judge.history import PastRun, totals
from libs.judge.kinds import MARKING, Kind, known_data, reads_too
from libs.judge.own_kinds import find_kind, undeclared_words
from libs.judge.policy_model import Policy, Rule
from libs.judge.report_base import remarked
from libs.judge.rollback import KIND as ROLLBACK
from libs.judge.rollback import readiness
from libs.judge.trust import NEVER_SENT, Ages, ages, broken, without_zone
from libs.judge.voices import heard

MAX_NOTES = 10
# What nobody has looked at, or not yet.
_UNSEEN = ("incomplete", "missing_parts", "missing_tools", "failed_tools", "empty_parts", "unfinished")

_Place = tuple[str, str]  # kind and version
_Names = tuple[tuple[str, ...], ...]  # sources, actors and signers


@dataclass(frozen=True, slots=True)
class Evidence:
    """The facts of one kind as rules hear them, and what is wrong with them.

    ``values``: what a condition sees, without ``fact``, ``parts`` and ``derived`` where nothing can be judged.
    ``zoneless``: facts whose time has no zone, so that they can't be put in order. ``has_baseline``: whether the last
    GO used facts of the kind. ``is_whole``: nothing announced, wanted or run before is missing of it. ``signals``: ids,
    sorted. ``past``: the verdicts before, for rules over those.
    """

    version: str
    current: Sequence[Fact] = ()
    unread: Sequence[Fact] = ()
    read_too: Sequence[Fact] = ()
    zoneless: Sequence[Fact] = ()
    wrong: Sequence[tuple[str, str]] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    has_baseline: bool = False
    is_whole: bool = False
    notes: tuple[str, ...] = ()
    signals: tuple[int, ...] = ()
    past: tuple[PastRun, ...] = ()
    ages: dict[str, Ages] = field(default_factory=dict)

    @property
    def is_missing(self) -> bool:
        """Whether there is nothing at all."""
        return not self.current and not self.unread

    def ages_by(self, age_of: str) -> Ages:
        """The facts' ages as rules with this ``age_of`` count them."""
        if age_of not in self.ages:
            self.ages[age_of] = ages(age_of, self.current)
        return self.ages[age_of]


class Hearing:
    """The facts of one verdict, as the rules of its policy hear them. It keeps what it made."""

    def __init__(self, policy: Policy, facts: Facts, now: datetime) -> None:
        self.policy, self.facts, self.now = policy, facts, now
        self._own = facts.own
        self._heard: dict[_Names, _Heard] = {}
        self._evidence: dict[tuple[object, ...], Evidence] = {}

    def beside(self, rule: Rule) -> Facts:
        """The facts of the further kinds that a rule needs, as it hears them."""
        facts, versions = self._hear(rule), sorted({"", self.facts.version})
        places = [(need.kind, version) for need in rule.needs for version in versions]
        return replace(
            facts.facts,
            current=tuple(fact for place in places for fact in facts.current.get(place, ())),
            unread=tuple(fact for place in places for fact in facts.unread.get(place, ())),
        )

    def evidence(self, rule: Rule) -> Evidence:
        """What there is of a rule's kind."""
        key = (rule.kind, rule.scope, rule.sources, rule.actors, rule.signers, id(rule.parameters))
        found = self._evidence.get(key)
        if found is None:
            found = self._evidence[key] = self._look(rule)
        return found

    def _hear(self, rule: Rule) -> _Heard:
        names = rule.sources, rule.actors, rule.signers
        if names not in self._heard:
            self._heard[names] = _Heard.of(heard(rule, self.facts))
        return self._heard[names]

    def _look(self, rule: Rule) -> Evidence:
        facts, kind = self._hear(rule), rule.kind
        version = self.facts.version if rule.scope == "version" else ""
        mine = facts.current.get((kind, version), [])
        unread = facts.unread.get((kind, version), [])
        run = self.facts.baseline_run
        base = facts.baseline.get(kind, []) if run is not None else []
        parameters = self.policy.parameters if rule.parameters is None else rule.parameters
        told = {"params": parameters, "baseline": {"exists": bool(base), "run": (run or 0) if base else 0}}
        about = Evidence(version=version, unread=unread, values=told, has_baseline=bool(base), signals=_ids(unread))
        if kind == HISTORY:
            return self._history(rule, told)
        if without_zone([*mine, *base, *unread]):
            return replace(about, zoneless=[fact for fact in (*mine, *base, *unread) if fact.time.tzinfo is None])
        known = find_kind(kind, self._own)
        if known is None:
            return replace(about, wrong=[(undeclared_words(kind), "a declaration of it, or a rule without it")])
        current = newest_of_each_part(mine)
        # What the last GO used can't be sent anew, so keys that had no meaning then are not held against it.
        baseline = [replace(fact, data=known_data(fact.kind, fact.data)) for fact in newest_of_each_part(base)]
        wrong = [
            *broken(unread, "", self.now, self._own, NEVER_SENT),
            *broken(current, "", self.now, self._own),
            *self._of_another([*unread, *current]),
            # Of a kind of one's own only the parts are compared, so the data of then need not fit what it is now.
            *broken([] if known.is_own else baseline, "baseline ", self.now, self._own),
        ]
        about = replace(about, current=current, notes=_notes(current), signals=_ids((*current, *unread)), wrong=wrong)
        if wrong or about.is_missing:
            return about
        marks, wrong = self._marks(kind, version, facts)
        if wrong:
            return replace(about, wrong=wrong, signals=_ids((*current, *unread, *marks)))
        found = [fact for of in reads_too(kind) if of not in MARKING for fact in facts.at(of, version)]
        read_too = [*self._read_too(kind, found), *marks]
        read_before = self._read_too(kind, facts.facts.baseline) if base else []
        values = self._values(known, current, baseline, parameters, read_too, read_before)
        return replace(
            about,
            read_too=read_too,
            values=told | values,
            is_whole=_is_whole(kind, current, values["derived"]),
            signals=_ids((*current, *unread, *read_too)),
        )

    def _history(self, rule: Rule, told: dict[str, Any]) -> Evidence:
        """The verdicts before: no signals, so that nobody can send them, and none is used by its id."""
        history, facts = self.facts.history, self.facts
        if history is None:
            return Evidence("", wrong=[("the verdicts before are not written down with these facts", "them")])
        past = history.of(facts.line, facts.version if rule.scope == "version" else None)
        if not past:
            return Evidence("", values=told)
        as_fact = Fact(HISTORY, "", 0, "", "", past[0].decided_at, None)
        values = told | {"fact": {}, "parts": [], "derived": totals(past, self.now)}
        return Evidence("", current=(as_fact,), values=values, is_whole=True, past=past)

    def _marks(self, kind: str, version: str, facts: _Heard) -> tuple[list[Fact], list[tuple[str, str]]]:
        """The lists that mark facts of this kind, and what is wrong with them."""
        places = [(of, at) for of in reads_too(kind) if of in MARKING for at in sorted({"", version})]
        found = newest_of_each_part(fact for of, at in places for fact in facts.at(of, at))
        unread = [fact for place in places for fact in facts.unread.get(place, ())]
        wrong = without_zone([*found, *unread])
        return found, wrong or [
            *broken(unread, "", self.now, self._own, NEVER_SENT),
            *broken(found, "", self.now, self._own),
        ]

    def _read_too(self, kind: str, facts: Sequence[Fact]) -> list[Fact]:
        """The newest facts of the kinds that this one reads, too. A broken one lifts and changes nothing."""
        kinds = reads_too(kind)
        found = [one for of in kinds for one in newest_of_each_part(fact for fact in facts if fact.kind == of)]
        fine = [fact for fact in found if not without_zone([fact]) and not broken([fact], "", self.now, self._own)]
        return [fact for fact in fine if not self._of_another([fact])]

    def _of_another(self, facts: Sequence[Fact]) -> list[tuple[str, str]]:
        return of_another(facts, self.facts, required=self.policy.digest_required)

    def _values(
        self,
        kind: Kind,
        current: Sequence[Fact],
        baseline: Sequence[Fact],
        params: Mapping[str, Any],
        read_too: Sequence[Fact],
        read_before: Sequence[Fact],
    ) -> dict[str, Any]:
        """What a condition sees: small values only, and of the data only the keys that were checked."""
        newest = max(current, key=lambda fact: (fact.time, fact.signal_id, fact.part))
        before = renamed(kind.name, current, baseline)
        if kind.is_own:
            derived = derive_own(kind, current, before)
        else:
            derived = derive(kind.name, current, before, params, read_too, read_before)
        if kind.name == ROLLBACK:
            derived = readiness(current, before, self.facts.history, self.facts.version)
        if kind.name == TESTS:
            derived |= still_failing(current, self.now)
        return {
            "fact": _small(kind, newest),
            "parts": [{**_small(kind, fact), "part": fact.part} for fact in current],
            "derived": derived,
        }


@dataclass(frozen=True, slots=True)
class _Heard:
    """Facts with their places, so that nobody looks through all of them for one kind."""

    facts: Facts
    current: dict[_Place, list[Fact]]
    unread: dict[_Place, list[Fact]]
    baseline: dict[str, list[Fact]]

    @classmethod
    def of(cls, facts: Facts) -> _Heard:
        found = cls(facts, {}, {}, {})
        for place, listed in ((found.current, facts.current), (found.unread, facts.unread)):
            for fact in listed:
                place.setdefault((fact.kind, fact.version), []).append(fact)
        for fact in facts.baseline:
            found.baseline.setdefault(fact.kind, []).append(fact)
        return found

    def at(self, kind: str, version: str) -> Sequence[Fact]:
        return self.current.get((kind, version), ())


def _is_whole(kind: str, current: Sequence[Fact], derived: Mapping[str, Any]) -> bool:
    """Whether all was looked at. A report in which tests ran and none passed says enough."""
    if kind == TESTS and not any(derived.get(key) for key in _UNSEEN if key != "empty_parts"):
        return all(isinstance(fact.data, Mapping) and _ran(fact.data) > 0 for fact in current)
    return not any(derived.get(key) for key in _UNSEEN)


def _ran(data: Mapping[str, Any]) -> int:
    return int(data["passed"]) + int(data["failed"]) + int(data["errors"])


def bounded(found: Sequence[str]) -> tuple[str, ...]:
    """At most ``MAX_NOTES`` remarks; the last says how many more there are."""
    more = [f"{len(found) - MAX_NOTES + 1} more notes"] if len(found) > MAX_NOTES else []
    return (*found[: MAX_NOTES - len(more)], *more)


def _notes(facts: Sequence[Fact]) -> tuple[str, ...]:
    return bounded([f"{fact.part}: {note}" for fact in facts for note in remarked(fact.data).notes[:MAX_NOTES]])


def _ids(facts: Sequence[Fact]) -> tuple[int, ...]:
    return tuple(sorted({fact.signal_id for fact in facts}))


def _small(kind: Kind, fact: Fact) -> dict[str, Any]:
    data = fact.data if isinstance(fact.data, Mapping) else {}
    return {key: data[key] for key in kind.visible if key in data}
