"""A policy's own tests: facts in, verdict out. Publishing runs them, and so does anybody with the file in hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from libs.judge.facts import Fact, Facts
from libs.judge.history import MAX_RUNS, History, PastRun
from libs.judge.kinds import KINDS, reads_too
from libs.judge.own_kinds import OwnKind, by_name, problems_of
from libs.judge.policy_model import CaseFact, Policy, PolicyCase, PolicyError
from libs.judge.policy_reader import Reader
from libs.judge.policy_rule import read_kind
from libs.judge.policy_yaml import LinedDict
from libs.judge.stages import KIND as STAGE
from libs.judge.stages import StageGo
from libs.judge.verdict import judge

MAX_CASES = 100
MAX_CASE_FACTS = 100
STATUSES = ("pass", "fail", "warning", "shadow")
_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def read_cases(reader: Reader, rule_ids: tuple[str, ...]) -> tuple[PolicyCase, ...]:
    """The cases under ``tests``. Raises PolicyError."""
    if not reader.has("tests"):
        return ()
    listed = reader.take("tests", list, "a list")
    if not 0 < len(listed) <= MAX_CASES:
        raise PolicyError(
            f"{reader.where}: tests must hold 1 to {MAX_CASES} tests (line {reader.mapping.lines['tests']})"
        )
    cases: list[PolicyCase] = []
    for number, item in enumerate(listed, start=1):
        if not isinstance(item, LinedDict):
            raise PolicyError(f"{reader.where}: test {number} is not a mapping")
        case = _case(Reader(item, f"{reader.where}: test {item.get('name', number)}"), rule_ids)
        if any(case.name == other.name for other in cases):
            raise PolicyError(f"{reader.where}: test {case.name}: stands here a second time")
        cases.append(case)
    return tuple(cases)


def _case(reader: Reader, rule_ids: tuple[str, ...]) -> PolicyCase:
    name, version = reader.text("name"), reader.text("version", "1.0")
    now = reader.take("now", datetime, "a time such as 2026-01-01T12:00:00Z") if reader.has("now") else _NOON
    if now.tzinfo is None:
        raise PolicyError(f"{reader.where}: now must have a zone, such as 2026-01-01T12:00:00Z")
    facts = reader.take("facts", list, "a list")
    if len(facts) > MAX_CASE_FACTS:
        raise PolicyError(f"{reader.where}: facts may hold {MAX_CASE_FACTS} facts")
    history, stages = _history(reader, version, now), _stages(reader, now)
    expect = Reader(reader.mapping_of("expect"), f"{reader.where}: expect")
    decision = expect.one_of("decision", ("go", "no_go"))
    rules = expect.mapping_of("rules")
    for rule_id, status in rules.items():
        if rule_id not in rule_ids or status not in STATUSES:
            raise PolicyError(
                f"{expect.where}: {rule_id} must be a rule of the policy with one of {', '.join(STATUSES)} "
                f"(line {rules.lines[rule_id]})"
            )
    expect.refuse_rest()
    read = tuple(_fact(item, f"{reader.where}: fact {number}") for number, item in enumerate(facts, start=1))
    reader.refuse_rest()
    return PolicyCase(name, version, now, read, cast(Any, decision), cast(Any, dict(rules)), history, stages)


def _history(reader: Reader, version: str, now: datetime) -> tuple[PastRun, ...]:
    """The verdicts before, newest first."""
    listed = reader.take("history", list, "a list") if reader.has("history") else []
    if len(listed) > MAX_RUNS:
        raise PolicyError(f"{reader.where}: history may hold {MAX_RUNS} verdicts")
    found = []
    for number, item in enumerate(listed, start=1):
        where = f"{reader.where}: verdict {number}"
        if not isinstance(item, LinedDict):
            raise PolicyError(f"{where} is not a mapping")
        inner = Reader(item, where)
        decision = inner.one_of("decision", ("go", "no_go"))
        at = now - timedelta(minutes=inner.number("age_minutes", 0, 10_000_000))
        score = inner.number("score_percent", 0, 100) if inner.has("score_percent") else 100.0
        of = inner.text("version", version)
        inner.refuse_rest()
        found.append(PastRun(0, of, "", cast(Any, decision), float(score), at))
    found.sort(key=lambda run: run.decided_at)
    return tuple(replace(run, run_number=place) for place, run in enumerate(found, start=1))[::-1]


def _stages(reader: Reader, now: datetime) -> tuple[StageGo, ...]:
    """GOs of other gates that hold."""
    listed = reader.take("stages", list, "a list") if reader.has("stages") else []
    if len(listed) > MAX_CASE_FACTS:
        raise PolicyError(f"{reader.where}: stages may hold {MAX_CASE_FACTS} GOs")
    found = []
    for number, item in enumerate(listed, start=1):
        where = f"{reader.where}: stage {number}"
        if not isinstance(item, LinedDict):
            raise PolicyError(f"{where} is not a mapping")
        inner = Reader(item, where)
        since = now - timedelta(hours=inner.number("age_hours", 0, 100_000))
        found.append(StageGo(inner.text("gate"), number, since, is_derived=True))
        inner.refuse_rest()
    return tuple(found)


def _fact(item: object, where: str) -> CaseFact:
    if not isinstance(item, LinedDict):
        raise PolicyError(f"{where} is not a mapping")
    reader = Reader(item, where)
    kind, part = read_kind(reader), reader.text("part", "default")
    if kind in KINDS and KINDS[kind].is_made:
        how = "GOs of other gates under stages" if kind == STAGE else "the verdicts before under history"
        raise PolicyError(f"{where}: nobody sends {kind}; tell {how}")
    age = reader.number("age_minutes", 0, 10_000_000) if reader.has("age_minutes") else 0
    data = reader.take("data", LinedDict, "a mapping")
    source, actor = reader.text("source", "/test"), reader.text("actor", "test")
    signer = reader.text("signer") if reader.has("signer") else ""
    reader.refuse_rest()
    return CaseFact(kind, part, age, json.dumps(data, default=_plain), source, actor, signer)


def _plain(value: object) -> str:
    # What YAML reads as a time was written as the text that signals carry.
    if isinstance(value, date):
        return value.isoformat()
    raise PolicyError(f"a value of the type {type(value).__name__} can't stand in the data of a fact")


def run_cases(policy: Policy, kinds: tuple[OwnKind, ...] = ()) -> tuple[str, ...]:
    """A sentence for each test that does not come out as it expects; empty: all do, or there are none.

    ``kinds``: the kinds of one's own that are declared.
    """
    return tuple(
        f"{policy.file}: test {case.name}: {wrong}" for case in policy.cases for wrong in _wrong(policy, case, kinds)
    )


def _wrong(policy: Policy, case: PolicyCase, kinds: tuple[OwnKind, ...]) -> list[str]:
    if broken := _broken(case, kinds):
        return broken  # it would fail its rule, and so keep a promise of NO-GO for a wrong reason
    version = case.version if policy.subject_mode == "version" else ""
    # A test is about the rules: who has approved is nothing that a policy could know.
    alone = replace(policy, approvals=())
    before = History(case.history, is_whole=True, newest_number=len(case.history))
    facts = Facts(_facts(policy, case, version), version=version, kinds=kinds, history=before, stages=case.stages)
    verdict = judge(alone, facts, case.now)
    results = {result.id: result for result in verdict.rules}
    found = [
        f"rule {rule_id} is {results[rule_id].status}, expected {status}: {results[rule_id].message}"
        for rule_id, status in case.rules.items()
        if results[rule_id].status != status
    ]
    if verdict.decision != case.decision:
        why = f": {' '.join(verdict.reasons)}" if verdict.reasons else ""
        found.insert(0, f"the decision is {verdict.decision}, expected {case.decision}{why}")
    return found


def _broken(case: PolicyCase, kinds: tuple[OwnKind, ...]) -> list[str]:
    """What no sender could have told, by fact."""
    found = ((fact, problems_of(fact.kind, json.loads(fact.data), by_name(kinds))) for fact in case.facts)
    return [
        f"fact {number} is no valid {fact.kind}: {'; '.join(problems)}"
        for number, (fact, problems) in enumerate(found, start=1)
        if problems
    ]


def _facts(policy: Policy, case: PolicyCase, version: str) -> tuple[Fact, ...]:
    """Each fact of the version, of the subject, or of both, as the rules read its kind."""
    scopes: Mapping[str, set[str]] = {
        fact.kind: {version if rule.scope == "version" else "" for rule in policy.rules if _reads(rule, fact.kind)}
        for fact in case.facts
    }
    made: list[Fact] = []
    for fact in case.facts:
        for of in sorted(scopes[fact.kind]) or [version]:
            time = case.now - timedelta(minutes=fact.age_minutes)
            number = len(made) + 1
            data = json.loads(fact.data)
            one = Fact(
                fact.kind,
                fact.part,
                number,
                fact.source,
                str(number),
                time,
                data,
                of,
                actor=fact.actor,
                signer=fact.signer,
            )
            made.append(one)
    return (*made, *(replace(one, voice=one.actor) for one in made))


def _reads(rule: Any, kind: str) -> bool:
    return kind in (rule.kind, *reads_too(rule.kind), *(need.kind for need in rule.needs))
