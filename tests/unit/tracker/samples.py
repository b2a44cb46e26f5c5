"""Runs and items for the tests of the tracker's domain."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from services.tracker.domain.changes import Change
from services.tracker.domain.deadlines import Terms
from services.tracker.domain.episodes import judge
from services.tracker.domain.item import Item, RuleStatus
from services.tracker.domain.plan import Options, Run, Verdict

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def verdict(rule_id: str, status: RuleStatus = "fail", *, required: bool = True, sla_hours: int = 4) -> Verdict:
    return Verdict(
        rule_id=rule_id,
        status=status,
        required=required,
        reason=f"{rule_id} is {status}",
        owner_role="Ops Lead",
        sla_hours=sla_hours,
        action="mend it",
    )


def run(number: int, *verdicts: Verdict, hours: float = 0) -> Run:
    """Run ``number``, decided ``hours`` after START."""
    decided_at = START + timedelta(hours=hours)
    return Run(
        run_id=number,
        gate="operations",
        site="north",
        subject="site",
        line="",
        version="",
        decided_at=decided_at,
        actor="ann",
        now=decided_at + timedelta(seconds=1),
        verdicts=verdicts,
    )


def apply(items: dict[str, Item], one: Run, options: Options | None = None, terms: Terms | None = None) -> list[Change]:
    """Judge, and put the changed items into ``items``, as the database would."""
    changes = judge(items, one, options or Options(), terms or Terms())
    items.update({change.item.rule_id: change.item for change in changes})
    return changes


def kinds(changes: list[Change]) -> Mapping[str, str]:
    return {change.item.rule_id: change.kind for change in changes}
