"""Who may say it: a rule that names sources, actors or signers hears them only, whatever others send before or after.

Of each part there is the newest signal of all, and the newest of each actor (`Fact.voice`). A rule that names nobody
looks at the first. One that does takes, of those whom it hears, the newest; so a stranger's signal neither replaces nor
hides theirs. It hears all that it reads in this way: its kind, the kinds it needs or reads beside, and the baseline.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from libs.judge.facts import Fact, Facts, OpenFailure, Seen
from libs.judge.failures import KIND as TESTS
from libs.judge.failures import shown_by
from libs.judge.kinds import Kind, reads_too
from libs.judge.own_kinds import problems_of
from libs.judge.policy_model import Policy, Rule

MAX_ACTOR_CHARS = 100  # in a sentence


def restricted(rule: Rule) -> bool:
    """Whether the rule names who may say it."""
    return bool(rule.sources or rule.actors or rule.signers)


def _kinds(rule: Rule) -> tuple[str, ...]:
    return (rule.kind, *reads_too(rule.kind), *(need.kind for need in rule.needs))


def anybodys_kinds(policy: Policy) -> list[str]:
    """The kinds of which a rule without names reads the newest of all."""
    return sorted({kind for rule in policy.rules if not restricted(rule) for kind in _kinds(rule)})


def heard_kinds(policy: Policy) -> dict[str, tuple[str, ...]]:
    """For each kind that a rule with names reads, the patterns of the actors whose facts it may want."""
    wanted: dict[str, set[str]] = {}
    for rule in filter(restricted, policy.rules):
        for kind in _kinds(rule):
            wanted.setdefault(kind, set()).update(rule.actors or ("*",))
    return {kind: tuple(sorted(patterns)) for kind, patterns in sorted(wanted.items())}


def heard(rule: Rule, facts: Facts) -> Facts:
    """The facts as the rule hears them: one of each part."""
    if not restricted(rule):
        if not any(fact.voice for fact in (*facts.current, *facts.unread)):
            return facts
        return replace(facts, current=_of_all(facts.current), unread=_of_all(facts.unread))
    of_part: dict[tuple[str, str, str], list[Fact]] = {}
    for fact in facts.current:
        if fact.voice and (may_say(rule, fact) or _covers(rule, fact)):
            of_part.setdefault((fact.kind, fact.version, fact.part), []).append(fact)
    return replace(
        facts,
        current=tuple(_newest_word(rule, of_part[key], facts.own) for key in sorted(of_part)),
        unread=tuple(fact for fact in facts.unread if fact.voice and _is_of(rule, fact, of_part.values())),
        # What somebody else said then is not known now: a finding of theirs is no accepted one.
        baseline=tuple(fact for fact in facts.baseline if may_say(rule, fact)),
    )


def _of_all(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    return tuple(fact for fact in facts if not fact.voice)


def may_say(rule: Rule, fact: Fact) -> bool:
    """Whether the fact's sender is named; one whose actor nobody noted is in no list of actors."""
    signed = not rule.signers or (fact.signer != "" and fits(fact.signer, rule.signers))
    return signed and (not rule.sources or fits(fact.source, rule.sources)) and _is_actor(rule, fact)


def _is_actor(rule: Rule, fact: Fact) -> bool:
    return not rule.actors or (fact.actor != "" and fits(fact.actor, rule.actors))


def _is_of(rule: Rule, unread: Fact, heard_ones: Iterable[Sequence[Fact]]) -> bool:
    """Whether a report that can't be read is of somebody whom the rule hears: by its own signature, or by others."""
    if not rule.signers:
        return _is_actor(rule, unread)
    known = {fact.actor for facts in heard_ones for fact in facts if fact.kind == unread.kind}
    return _is_actor(rule, unread) and (unread.actor in known or may_say(rule, unread))


def _covers(rule: Rule, fact: Fact) -> bool:
    """Whether an actor's newest word is none that the rule hears, and may hide one that it does."""
    hidden = (fact.mixed and rule.sources) or any(fits(one, rule.signers) for one in fact.signers)
    return bool(hidden) and _is_actor(rule, fact)


def fits(text: str, patterns: Sequence[str]) -> bool:
    return any(re.fullmatch(".*".join(map(re.escape, one.split("*"))), text, re.DOTALL) for one in patterns)


def _newest_word(rule: Rule, facts: Sequence[Fact], own: Mapping[str, Kind]) -> Fact:
    """The newest of several actors' facts of one part, with the tests that any of them left open."""
    newest = max(facts, key=lambda fact: (fact.time, fact.signal_id))
    covering = next((fact for fact in facts if not may_say(rule, fact)), None)
    if covering is not None:
        signed = f", {_signed_words(covering)}" if rule.signers else ""
        comes = f"it comes from {covering.source[:MAX_ACTOR_CHARS]}{signed}: {wanted_words(rule)}"
        return replace(covering, problems=(comes,))
    others = [fact for fact in facts if fact is not newest]
    if newest.kind != TESTS or not newest.version or not others:
        return newest
    still = {one.test: one for one in newest.open_failures}
    for one in (one for fact in others for one in _left_open(fact, own)):
        if one.test not in still or _mark(still[one.test]) < _mark(one):
            still[one.test] = one
    if not _is_good(newest, own):
        return replace(newest, open_failures=tuple(still.values()))
    shown = shown_by(_data(newest), (newest.time, newest.signal_id))
    # What the newest shows is known by itself, failing or passing.
    over = {test for test in still if test in shown.failing or shown.passes(test)}
    return replace(newest, open_failures=tuple(one for test, one in still.items() if test not in over))


def _mark(one: OpenFailure) -> tuple[object, int]:
    return one.last.time, one.last.signal_id


def _left_open(fact: Fact, own: Mapping[str, Kind]) -> list[OpenFailure]:
    """What a report that is not the newest of its part leaves open: its own failures, too."""
    failed = _data(fact)["failed_tests"] if _is_good(fact, own) else []
    return [*fact.open_failures, *(OpenFailure(test, Seen(fact.signal_id, fact.time)) for test in failed)]


def _is_good(fact: Fact, own: Mapping[str, Kind]) -> bool:
    return not fact.problems and not problems_of(fact.kind, fact.data, own)


def _data(fact: Fact) -> Mapping[str, Any]:
    return fact.data if isinstance(fact.data, Mapping) else {}


def unheard(rule: Rule, facts: Facts) -> tuple[str, ...]:
    """A remark for each part of the rule's kind whose newest signal the rule does not hear."""
    version = facts.version if rule.scope == "version" else ""
    if not restricted(rule):
        return ()
    return tuple(
        f"{fact.part}: signal {fact.signal_id} of {_sender(rule, fact)} is not judged: {wanted_words(rule)}"
        for fact in (*facts.current, *facts.unread)
        if not fact.voice and (fact.kind, fact.version) == (rule.kind, version) and not may_say(rule, fact)
    )


def _sender(rule: Rule, fact: Fact) -> str:
    actor = fact.actor or "an unknown actor"
    signed = f", {_signed_words(fact)}" if rule.signers else ""
    return f"{actor[:MAX_ACTOR_CHARS]} ({fact.source[:MAX_ACTOR_CHARS]}{signed})"


def _signed_words(fact: Fact) -> str:
    return f"signed by {fact.signer[:MAX_ACTOR_CHARS]}" if fact.signer else "not signed"


def wanted_words(rule: Rule) -> str:
    """Whom the rule hears, in words; "" for a rule that hears anybody."""
    named = {"actors": rule.actors, "sources": rule.sources, "signers": rule.signers}
    said = [f"{what} {', '.join(patterns)}" for what, patterns in named.items() if patterns]
    return f"it hears {' and '.join(said)}" if said else ""
