"""The exceptions budget: how many exceptions a site may make in a quarter before its gates say NO_GO. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from libs.judge.policy_model import Policy
from libs.judge.results import RuleResult
from libs.judge.standing import Spent

RULE_ID = "exceptions_budget"
WORDS = {
    "waiver": "waivers",
    "override": "overrides",
    "forced_completion": "forced completions",
    "baseline": "accepted baselines",
}


def quarter_of(moment: datetime) -> str:
    """The quarter of a moment, by UTC."""
    day = moment.astimezone(UTC)
    return f"{day.year}-Q{(day.month - 1) // 3 + 1}"


def bounds_of(quarter: str) -> tuple[datetime, datetime]:
    """When a quarter begins, and when the next one does. Raises ValueError for what is no quarter."""
    year, _, number = quarter.partition("-Q")
    if number not in ("1", "2", "3", "4") or not (year.isascii() and year.isdigit() and len(year) == 4):
        raise ValueError("a quarter reads 2026-Q4")
    month = 3 * (int(number) - 1) + 1
    begin = datetime(int(year), month, 1, tzinfo=UTC)
    return begin, datetime(int(year) + (month == 10), (month + 2) % 12 + 1, 1, tzinfo=UTC)


def budget_result(policy: Policy, spent: Iterable[Spent], now: datetime) -> tuple[RuleResult, ...]:
    """The rule that a policy with a budget has beside its own; none where there is no budget."""
    limit = policy.exceptions_per_quarter
    if limit is None:
        return ()
    quarter = quarter_of(now)
    mine = sorted((one for one in spent if one.quarter == quarter and one.count), key=lambda one: one.kind)
    total = sum(one.count for one in mine)
    what = ", ".join(f"{one.count} {WORDS.get(one.kind, one.kind)}" for one in mine)
    observed = f"exceptions budget: {total} of {limit} spent in {quarter}{f' ({what})' if what else ''}"
    passed = total <= limit
    wanted = f"at most {limit} in a quarter"
    result = RuleResult(
        id=RULE_ID,
        required=True,
        status="pass" if passed else "fail",
        passed=passed,
        weight=0.0,
        message=f"{observed[:1].upper()}{observed[1:]}; wanted {wanted}.",
        detail={"spent": total, "limit": limit},
        observed=observed,
        wanted=wanted,
        facts_used=(),
        owner_role="Ops Manager",
        sla_hours=24,
        action="Mend what the exceptions cover, wait for the next quarter, or raise the budget in the policy.",
    )
    return (result,)
