"""What a policy must hold beyond being readable before it may be published."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from libs.judge.kinds import KINDS, Kind
from libs.judge.own_kinds import OwnKind, by_name, derived_keys, samples, undeclared_words
from libs.judge.policy_model import EVERY_PART, Policy, Rule, placeholders
from libs.judge.report_base import DEFAULT_PART

# What the engine says where a condition can never fit data of this shape; a division by zero is for the data to say.
_NEVER_FITS = ("No matching overloads", "Key not found", "the condition gave")
_READS = re.compile(r"""\b(fact|derived)\.([A-Za-z_][A-Za-z0-9_]*)|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")


def lint(policy: Policy, now: datetime) -> tuple[str, ...]:
    """A sentence for each thing that forbids publishing ``policy`` at ``now`` (with a zone); empty: publish it.

    Policies that were there before these checks go on being judged.
    """
    where = policy.file or policy.name
    firm = [rule for rule in policy.rules if rule.mode == "enforce" and rule.required]
    if not firm:
        return (f"{where}: no rule is both required and enforced, so the gate could say GO to anything",)
    if all(rule.effective_at is not None and rule.effective_at > now for rule in firm):
        return (f"{where}: no required rule is in force yet; give at least one no effective_on, or one that has come",)
    return ()


def lint_kinds(policy: Policy, kinds: Sequence[OwnKind]) -> tuple[str, ...]:
    """What does not fit the kinds of one's own as they are declared: kinds, keys, and types in conditions."""
    own, declared = by_name(tuple(kinds)), {one.name: one for one in kinds}
    found: list[str] = []
    for rule in policy.rules:
        where = f"{policy.file or policy.name}: rule {rule.id}"
        wanted = (rule.kind, *(need.kind for need in rule.needs))
        unknown = [kind for kind in wanted if kind not in KINDS and kind not in own]
        found += [f"{where}: {undeclared_words(kind)}; publish it among the kinds first" for kind in unknown]
        if rule.kind in own:
            unknown = _unknown_keys(rule, own[rule.kind])
            found += [f"{where}: {key} is no key of {rule.kind}" for key in unknown]
            if not unknown:
                found += [f"{where}: {problem}" for problem in _misfits(policy, rule, declared[rule.kind])]
    return tuple(found)


def _unknown_keys(rule: Rule, kind: Kind) -> list[str]:
    """What the rule reads of the kind that is not declared."""
    keys = {"fact": set(kind.visible), "derived": set(derived_keys(kind))}
    sentences = (rule.sentence, *(reason.sentence for reason in rule.reasons))
    lookups = [*rule.detail.values(), *(name for one in sentences for name in placeholders(one.observed + one.wanted))]
    conditions = (rule.condition, *(reason.when for reason in rule.reasons))
    lookups += [f"{root}.{key}" for one in conditions for root, key in _READS.findall(one.expression) if root]
    if rule.age_of != EVERY_PART:
        lookups.append(f"fact.{rule.age_of}")
    parts = (lookup.partition(".") for lookup in dict.fromkeys(lookups))
    return [f"{root}.{key}" for root, _, key in parts if root in keys and key not in keys[root]]


def _misfits(policy: Policy, rule: Rule, own: OwnKind) -> list[str]:
    """What goes wrong when the conditions are judged over data that fit the schema."""
    found: dict[str, str] = {}
    for data in samples(own):
        totals = {f"{key}_{how}": data[key] for key in own.totals for how in ("sum", "min", "max", "before")}
        values: dict[str, Any] = {
            "fact": data,
            "parts": [{**data, "part": DEFAULT_PART}],
            "baseline": {"exists": False, "run": 0},
            "params": policy.parameters,
            "derived": {"part_count": 1, "missing_parts": [], **totals},
        }
        outcomes = [("condition", rule.condition.evaluate(values).reason)]
        outcomes += [(f"reason {at}", one.when.evaluate(values).reason) for at, one in enumerate(rule.reasons, start=1)]
        found |= {name: reason for name, reason in outcomes if reason.startswith(_NEVER_FITS) and name not in found}
    return [
        f"{name}: over data that fit the schema of {own.name} it can't be judged: {reason}"
        for name, reason in found.items()
    ]
