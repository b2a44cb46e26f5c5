"""What a verdict rests on, in one digest: what an approver saw, and what must be the same when the approval counts.

The clock is not in it: that a fact grows older is no difference, that a rule fails for it is. A report that says the
very same once more is none either. Halts and freezes are not in it, since each of them forbids GO by itself, and
neither is the baseline, which a GO of this very candidate moves; where it makes a rule worse, that is a difference.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from hashlib import sha256
from typing import Any

from libs.judge.approvals import Evidence
from libs.judge.budget import RULE_ID
from libs.judge.facts import Fact, Facts
from libs.judge.plain import plain
from libs.judge.policy_model import Policy
from libs.judge.results import RuleResult
from libs.judge.standing import Standing

# What of a standing is no exception: whom it is about, what forbids GO by itself, the words of approvers and
# who overrides, and what other exceptions the site has made.
_APART = {
    "gate",
    "site",
    "subject",
    "halts",
    "freezes",
    "missing_calendars",
    "approvals",
    "waivers",
    "overrides",
    "spent",
    "baselines",
}


def evidence_of(
    policy: Policy, facts: Facts, standing: Standing, results: Sequence[RuleResult], now: datetime
) -> Evidence:
    """The evidence of a verdict over these facts, of which ``results`` are the rules' results."""
    decided = {one.name: plain(getattr(standing, one.name)) for one in fields(Standing) if one.name not in _APART}
    decided["waivers"] = plain(standing.waivers_of(facts.version, now))
    # What an accepted baseline holds only grows less by itself, so which one it is tells enough.
    if baselines := standing.baselines_of(facts.line, now):
        decided["baselines"] = [[one.accepted_id, plain(one.ends_at)] for one in baselines]
    used = sorted(_fact(fact, place) for place in ("current", "unread") for fact in getattr(facts, place))
    return Evidence(
        candidate=_digest(
            [standing.gate, standing.site, standing.subject, facts.line, facts.version, *_named(facts.artifact_digest)]
        ),
        policy=policy.digest,
        facts=_digest([used, plain(facts.kinds)]),
        exceptions=_digest(decided),
        shortfalls=tuple(
            sorted(
                f"{one.id}:{one.status}"
                for one in results
                if one.status not in ("pass", "shadow") and one.id != RULE_ID
            )
        ),
    )


def _fact(fact: Fact, place: str) -> list[Any]:
    """A fact by what it says and who says it, not by when."""
    return [
        place,
        fact.kind,
        fact.part,
        fact.version,
        fact.voice,
        fact.actor,
        fact.source,
        fact.data_sha256 or _digest(plain(fact.data)),
        list(fact.problems),
        sorted(failure.test for failure in fact.open_failures),
        fact.mixed,
        fact.signer,
        sorted(fact.signers),
        *_named(fact.artifact_digest),
    ]


def _named(artifact_digest: str) -> list[str]:
    """Nothing where nobody names artifacts, so that approvals of before those had names still fit."""
    return [artifact_digest] if artifact_digest else []


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
