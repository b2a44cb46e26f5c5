"""A site's own policy beside the one that is in force everywhere: it may add and tighten, and never loosen.

Everywhere's rules are judged as they are, by their own parameters and weights. The site's rules come beside them
without a weight, so that no easy rule can lift the score over a failing one; one of the same id is judged besides, so
both must pass. Of every other term the stricter one holds.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import TypeVar

from libs.judge.policy_model import BaselineTerms, OverrideTerms, Policy, PolicyError, RetirementTerms, WaiverTerms

OF_SITE = "_of_site"
N = TypeVar("N", int, float)


def binds(policy: Policy, subject: str) -> bool:
    """Whether the policy speaks of this subject. Of a whole site it always does."""
    return policy.subject_mode == "site" or not policy.subjects or any(fnmatchcase(subject, p) for p in policy.subjects)


def combine(common: Policy, own: Policy) -> Policy:
    """The policy of a site whose ``own`` comes beside the ``common`` one of the same gate; its digest covers both.

    Raises PolicyError if the two judge different things.
    """
    if (common.name, common.subject_mode) != (own.name, own.subject_mode):
        raise PolicyError(f"{own.file}: name and subject_mode must be those in force everywhere: {common.name}, "
                          f"{common.subject_mode}")  # fmt: skip
    taken = {rule.id for rule in common.rules}
    beside = []
    for rule in own.rules:
        name = rule.id
        while name in taken:
            name += OF_SITE
        taken.add(name)
        beside.append(replace(rule, id=name, weight=0.0, parameters=own.parameters))
    return replace(
        common,
        allow_warning=common.allow_warning and own.allow_warning,
        min_weighted_score_percent=max(common.min_weighted_score_percent, own.min_weighted_score_percent),
        rules=(*common.rules, *beside),
        digest=sha256(f"{common.digest}\n{own.digest}".encode()).hexdigest(),
        valid_for_hours=_least(common.valid_for_hours, own.valid_for_hours),
        digest_required=common.digest_required or own.digest_required,
        line_pattern=common.line_pattern or own.line_pattern,
        subjects=(),
        freeze_calendars=tuple(dict.fromkeys((*common.freeze_calendars, *own.freeze_calendars))),
        waivers=WaiverTerms(
            _least(common.waivers.max_days, own.waivers.max_days),
            common.waivers.issue_required or own.waivers.issue_required,
        ),
        publish_approvals=tuple(dict.fromkeys((*common.publish_approvals, *own.publish_approvals))),
        overrides=OverrideTerms(
            common.overrides.allowed and own.overrides.allowed,
            min(common.overrides.max_hours, own.overrides.max_hours),
            common.overrides.issue_required or own.overrides.issue_required,
        ),
        exceptions_per_quarter=_least(common.exceptions_per_quarter, own.exceptions_per_quarter),
        approvals=tuple(dict.fromkeys((*common.approvals, *own.approvals))),
        baselines=BaselineTerms(
            _least(common.baselines.max_days, own.baselines.max_days),
            common.baselines.issue_required or own.baselines.issue_required,
        ),
        retirements=RetirementTerms(common.retirements.two_persons or own.retirements.two_persons),
        parts=(common, own),
    )


def _least(one: N | None, other: N | None) -> N | None:
    return min((value for value in (one, other) if value is not None), default=None)
