"""From what was read to the score, as the contract shows it."""

from __future__ import annotations

from typing import cast

from libs.common.contracts.operations.security import Anomaly, Level, Risk, RuleId, SecurityPolicy, Why
from services.operations.domain import risk as domain
from services.operations.security.reading import Facts


def risk_of(facts: Facts) -> Risk:
    """The risk by the site's policy."""
    found = domain.score(facts.counts, _weights(facts.policy.content), levels_of(facts.policy.content), facts.missing)
    return Risk(
        score=found.value,
        level=cast("Level", found.level),
        complete=not facts.missing,
        missing=list(facts.missing),
        why=[
            Why(
                rule=cast("RuleId", one.rule),
                count=one.count,
                points=one.points,
                raw_points=one.raw,
                message=one.message,
                action=one.action,
            )
            for one in found.why
        ],
    )


def anomalies_of(facts: Facts) -> list[Anomaly]:
    """What stands out."""
    stale = 0 if facts.survey is None else facts.survey.stale.count
    found = domain.anomalies(facts.counts, facts.total("sensitive_count"), stale, facts.days)
    return [Anomaly.model_validate(one, from_attributes=True) for one in found]


def levels_of(policy: SecurityPolicy) -> tuple[float, float, float]:
    """Where medium, high and critical begin."""
    return policy.medium_from, policy.high_from, policy.critical_from


def _weights(policy: SecurityPolicy) -> dict[str, tuple[float, float]]:
    return {name: (weight.points, weight.most) for name, weight in policy.weights}
