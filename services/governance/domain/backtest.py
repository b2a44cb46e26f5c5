"""A stored decision judged again by another policy, and what made the two verdicts differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from libs.judge.capsule import rebuild
from libs.judge.policy_model import Policy
from libs.judge.standing import Standing
from libs.judge.verdict import RuleResult, Verdict, judge

MAX_RULES = 10
MAX_REASONS = 3
MAX_CHARS = 200  # of a message
_ORDER = ("GO", "GO_WITH_WARNINGS", "NO_GO")
_WEIGHT = {"fail": 2, "warning": 1, "waived": 1}


@dataclass(frozen=True, slots=True)
class Difference:
    """Two verdicts that differ. ``rules``: (id, status before, status after, message), None where there is none.

    ``reasons``: what forbids GO after and did not before, or, if the verdict gets better, the other way round.
    """

    before: str
    after: str
    rules: tuple[tuple[str, str | None, str | None, str], ...]
    reasons: tuple[str, ...]


def rejudge(policy: Policy, body: Mapping[str, Any], data: Mapping[str, Any]) -> Difference | None:
    """Judge a capsule's body by ``policy`` at its own clock; None: the verdict is the same word.

    ``data``: what its facts hold by SHA-256. Raises ValueError, KeyError or TypeError for a body of another shape.
    """
    facts, standing, clock = rebuild(body, data)
    return difference(body["verdict"], judge(policy, facts, clock, _as_of(policy, standing)))


def _as_of(policy: Policy, standing: Standing) -> Standing:
    """With approvals as if this policy had been the one that they were given by: they count for its terms."""
    given = (replace(one, evidence=replace(one.evidence, policy=policy.digest)) for one in standing.approvals)
    return replace(standing, approvals=tuple(given))


def difference(before: Mapping[str, Any], after: Verdict) -> Difference | None:
    """What makes a verdict another one than ``before``, which is as a capsule writes it."""
    if before["verdict"] == after.verdict:
        return None
    worse = _ORDER.index(after.verdict) > _ORDER.index(before["verdict"])
    old: dict[str, Any] = {rule["id"]: rule for rule in before["rules"]}
    new: dict[str, RuleResult] = {rule.id: rule for rule in after.rules}
    changed = []
    for name in dict.fromkeys((*new, *old)):
        was = old[name]["status"] if name in old else None
        now = new[name].status if name in new else None
        grown = _WEIGHT.get(now or "", 0) - _WEIGHT.get(was or "", 0)
        if grown > 0 if worse else grown < 0:
            message = new[name].message if name in new else old[name]["message"]
            changed.append((name, was, now, message[:MAX_CHARS]))
    # Beside a failure a warning that is new or gone decides nothing.
    decisive = [one for one in changed if (one[2] if worse else one[1]) == "fail"]
    gained, lost = (after.reasons, before["reasons"]) if worse else (before["reasons"], after.reasons)
    return Difference(
        before=before["verdict"],
        after=after.verdict,
        rules=tuple((decisive or changed)[:MAX_RULES]),
        reasons=tuple(reason[:MAX_CHARS] for reason in gained if reason not in lost)[:MAX_REASONS],
    )
