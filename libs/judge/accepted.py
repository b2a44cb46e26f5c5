"""Accepted baselines: findings and vanished tests that are known, and may be there until a day.

A person names what is there at one moment; another one approves just that. It is kept as fingerprints, for each part by
itself. Whatever comes beside it fails as before. A finding that was gone at a GO is not accepted any more: it is new
when it returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from libs.judge.facts import Fact, Facts, newest_of_each_part
from libs.judge.failures import KIND as TESTS
from libs.judge.failures import age_words
from libs.judge.heirs import renamed
from libs.judge.own_kinds import problems_of
from libs.judge.test_ids import PRINT_CHARS, fingerprint, prints, unpack

# The kinds whose findings may be accepted, and which of them count.
SEVERITIES: Mapping[str, tuple[str, ...]] = {
    "scan.sarif": ("critical", "high"),
    "scan.vulnerabilities": ("critical", "high"),
    "lint.findings": ("error",),
}
KINDS = (*SEVERITIES, TESTS)
MAX_ACCEPTED = 100_000  # findings and tests of one baseline


@dataclass(frozen=True, slots=True)
class AcceptedPart:
    """Fingerprints (`test_ids`, one after the other, sorted) of one part: of findings, and of tests that vanished."""

    kind: str
    part: str
    findings: str = ""
    vanished: str = ""

    @property
    def counts(self) -> tuple[int, int]:
        """How many findings and how many tests."""
        return len(self.findings) // PRINT_CHARS, len(self.vanished) // PRINT_CHARS


@dataclass(frozen=True, slots=True)
class AcceptedBaseline:
    """What two persons accepted for one gate, subject and line, from ``begins_at`` until before ``ends_at``."""

    accepted_id: int
    gate: str
    subject: str
    line: str
    begins_at: datetime
    ends_at: datetime
    reason: str
    issue: str
    requested_by: str
    approved_by: str
    parts: tuple[AcceptedPart, ...] = ()

    def is_in_force(self, now: datetime) -> bool:
        """Whether it counts at ``now``."""
        return self.begins_at <= now < self.ends_at

    @property
    def counts(self) -> tuple[int, int]:
        """How many findings and how many tests it has."""
        return sum(part.counts[0] for part in self.parts), sum(part.counts[1] for part in self.parts)


@dataclass(frozen=True, slots=True)
class AcceptedUsed:
    """An accepted baseline as the verdict shows it, where a rule would fail without it; counts of what it met."""

    accepted_id: int
    finding_count: int
    vanished_count: int
    begins_at: datetime
    ends_at: datetime
    reason: str
    issue: str
    requested_by: str
    approved_by: str


def present(facts: Facts, kinds: Iterable[str]) -> tuple[AcceptedPart, ...]:
    """What could be accepted now, of these kinds: findings of whole scans, and tests of the last GO that are gone."""
    wanted = frozenset(kinds)
    current = [one for one in facts.current if not one.voice and one.version == facts.version and _is_good(one, facts)]
    found: dict[tuple[str, str], AcceptedPart] = {}
    for kind in (kind for kind in SEVERITIES if kind in wanted):
        for fact in newest_of_each_part(one for one in current if one.kind == kind):
            if _is_whole(fact) and (shown := _found(fact)):
                found[kind, fact.part] = AcceptedPart(kind, fact.part, findings=_joined(shown))
    if TESTS in wanted and facts.baseline_run is not None:
        now = newest_of_each_part(one for one in current if one.kind == TESTS)
        for before in newest_of_each_part(one for one in facts.baseline if one.kind == TESTS and _is_good(one, facts)):
            if gone := _gone(before, now):
                found[TESTS, before.part] = AcceptedPart(TESTS, before.part, vanished=_joined(gone))
    return tuple(found[key] for key in sorted(found))


def without(
    facts: Facts, kind: str, accepted: Sequence[AcceptedBaseline]
) -> tuple[Facts, tuple[tuple[AcceptedBaseline, int, int], ...]]:
    """The facts as if what was accepted of a kind weren't there, and the baselines that met something, with how many
    findings and tests.
    """
    met: dict[int, list[set[tuple[str, str]]]] = {one.accepted_id: [set(), set()] for one in accepted}
    known = [(one, part) for one in accepted for part in one.parts if part.kind == kind]

    def less(fact: Fact, place: int) -> Fact:
        mine = [(one, unpack((part.findings, part.vanished)[place])) for one, part in known if part.part == fact.part]
        if not mine or not _is_good(fact, facts):
            return fact
        every = set[str]().union(*(held for _, held in mine))
        data, dropped = _less_findings(fact, every) if place == 0 else _less_tests(fact, every)
        for one, held in mine:
            met[one.accepted_id][place] |= {(fact.part, name) for name in held & dropped}
        return replace(fact, data=data) if dropped else fact

    if not known:
        return facts, ()
    rest = replace(
        facts,
        current=tuple(less(one, 0) if one.kind == kind and kind != TESTS else one for one in facts.current),
        baseline=tuple(less(one, 1) if one.kind == kind == TESTS else one for one in facts.baseline),
    )
    counted = ((one, len(met[one.accepted_id][0]), len(met[one.accepted_id][1])) for one in accepted)
    return rest, tuple((one, findings, tests) for one, findings, tests in counted if findings or tests)


def narrowed(one: AcceptedBaseline, facts: Facts) -> AcceptedBaseline:
    """The baseline without what whole reports of these facts do not show any more: no finding, or the test again."""
    current = {(fact.kind, fact.part): fact for fact in facts.current if not fact.voice and _is_good(fact, facts)}

    def left(part: AcceptedPart) -> AcceptedPart:
        fact = current.get((part.kind, part.part))
        if fact is None or not _is_whole(fact):
            return part
        if part.kind == TESTS:
            return replace(part, vanished=_joined(unpack(part.vanished) - prints(_data(fact))))
        return replace(part, findings=_joined(unpack(part.findings) & _found(fact)))

    parts = (left(part) for part in one.parts)
    return replace(one, parts=tuple(part for part in parts if part.findings or part.vanished))


def used(one: AcceptedBaseline, findings: int, tests: int) -> AcceptedUsed:
    """What of an accepted baseline a verdict shows."""
    return AcceptedUsed(
        one.accepted_id, findings, tests, one.begins_at, one.ends_at, one.reason, one.issue, one.requested_by,
        one.approved_by,
    )  # fmt: skip


def words(one: AcceptedBaseline, now: datetime) -> str:
    """A remark on one in force: what it has, since when, until when, by whom."""
    findings, tests = one.counts
    counted = [f"{findings} findings"] if findings or not tests else []
    counted += [f"{tests} vanished tests"] if tests else []
    issue = f", {one.issue}" if one.issue else ""
    return (
        f"accepted baseline {one.accepted_id}: {' and '.join(counted)} since {age_words(now - one.begins_at)}, until "
        f"{one.ends_at:%Y-%m-%d}, by {one.requested_by} and {one.approved_by}{issue}: {one.reason}"
    )


def _data(fact: Fact) -> Mapping[str, Any]:
    return fact.data if isinstance(fact.data, Mapping) else {}


def _is_good(fact: Fact, facts: Facts) -> bool:
    return not fact.problems and not problems_of(fact.kind, fact.data, facts.own)


def _is_whole(fact: Fact) -> bool:
    """Whether a report announces no more than it holds and its tool finished, so that what it lacks is not there."""
    return not _data(fact).get("incomplete") and bool(_data(fact).get("execution_successful", True))


def _found(fact: Fact) -> set[str]:
    listed = {
        fingerprint(finding["fingerprint"])
        for finding in _data(fact)["findings"]
        if finding["severity"] in SEVERITIES[fact.kind]
    }
    return listed | unpack(_data(fact).get("severe_packed") or "")


def _gone(before: Fact, now: Sequence[Fact]) -> set[str]:
    """The tests of a part of the last GO that its heirs of today did not run; of a part that is missing none."""
    parts = {fact.part: fact for fact in now}
    ran = prints(_data(before))
    if before.part in parts:
        return ran - prints(_data(parts[before.part]))
    heirs = [one.part for one in renamed(TESTS, now, [before]) if one.part in parts]
    return ran - set[str]().union(*(prints(_data(parts[part])) for part in heirs)) if heirs else set()


def _less_findings(fact: Fact, accepted: set[str]) -> tuple[dict[str, Any], set[str]]:
    data, dropped, kept = _data(fact), set[str](), []
    for finding in data["findings"]:
        name = fingerprint(finding["fingerprint"])
        if name in accepted and finding["severity"] in SEVERITIES[fact.kind]:
            dropped.add(name)
        else:
            kept.append(finding)
    packed = unpack(data.get("severe_packed") or "")
    more = {"severe_packed": _joined(packed - accepted)} if packed else {}
    return {**data, "findings": kept, **more}, dropped | (packed & accepted)


def _less_tests(fact: Fact, accepted: set[str]) -> tuple[dict[str, Any], set[str]]:
    data = _data(fact)
    if data.get("tests_packed"):
        packed = unpack(data["tests_packed"])
        return {**data, "tests_packed": _joined(packed - accepted)}, packed & accepted
    named = {test: fingerprint(test) for test in data["tests"]}
    kept = [test for test, name in named.items() if name not in accepted]
    return {**data, "tests": kept}, set(named.values()) & accepted


def _joined(names: set[str]) -> str:
    return "".join(sorted(names))
