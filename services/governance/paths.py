"""The shortest path to GO of a stored run."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from libs.common.contracts.governance import paths as contract
from libs.common.contracts.governance.paths import Path, Repair
from libs.common.contracts.governance.runs import GateRun, RunKey
from libs.common.service import Read, Table
from libs.judge.path import Judged, shortest_path
from services.governance.catalog import Catalog
from services.governance.runs import get_run


async def get_path(catalog: Catalog, read: Read, key: RunKey) -> Path:
    """What to repair so that the run would have been GO, by the policy that it was judged by. Raises `NotFound`."""
    run = await get_run(catalog, read, key)
    versions = run.policy_version, run.site_policy_version
    policy = (await catalog.at_versions(read.pool, run.gate, run.site, *versions)).policy(run.subject)
    chosen = shortest_path(
        [Judged(rule.id, rule.status, rule.weight, rule.sla_hours) for rule in run.rules],
        allow_warning=policy.allow_warning,
        min_score_percent=policy.min_weighted_score_percent,
    )
    wanted = [] if run.decision == "go" else [rule for rule in run.rules if rule.id in chosen]
    repairs = [
        Repair(
            rule_id=rule.id,
            owner_role=rule.owner_role,
            sla_hours=rule.sla_hours,
            action=rule.action,
            reason=rule.message,
        )
        for rule in wanted
    ]
    return Path(
        run_id=run.run_id,
        decision=run.decision,
        repairs=repairs,
        cost_hours=sum(repair.sla_hours for repair in repairs),
        earliest_go_at=_earliest(run, repairs),
        holds=run.holds,
    )


def _earliest(run: GateRun, repairs: list[Repair]) -> datetime | None:
    """People work at the same time, so the longest repair counts. A halt has no end that the clock knows."""
    ends = [hold.until for hold in run.holds]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return None
    longest = timedelta(hours=max((repair.sla_hours for repair in repairs), default=0))
    return max(run.decided_at + longest, *known) if known else run.decided_at + longest


def table(catalog: Catalog) -> Table:
    """What this module answers."""
    return Table(queries={contract.get_path: partial(get_path, catalog)})
