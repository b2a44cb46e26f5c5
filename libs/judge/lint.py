"""What a policy must hold beyond being readable before it may be published."""

from __future__ import annotations

from datetime import datetime

from libs.judge.policy_model import Policy


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
