"""The shortest path to GO of a stored run."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from libs.common.contracts.governance import paths as contract
from libs.common.contracts.governance.paths import Path, Repair
from libs.common.contracts.governance.runs import GateRun, RuleResult, RunKey
from libs.common.service import Read, Table
from libs.judge.path import Judged, cost, shortest_path
from libs.judge.policy import Policy
from services.governance.catalog import Catalog, Target
from services.governance.frozen import AHEAD
from services.governance.gate import gather
from services.governance.loads import loads_of
from services.governance.runs import get_run


async def get_path(catalog: Catalog, read: Read, key: RunKey) -> Path:
    """What to repair so that the run would have been GO, by the policy that it was judged by. Raises `NotFound`."""
    run = await get_run(catalog, read, key)
    versions = run.policy_version, run.site_policy_version
    policy = (await catalog.at_versions(read.pool, run.gate, run.site, *versions)).policy(run.subject)
    target = Target(run.gate, run.site, run.subject, run.version, run.line, run.artifact_digest)
    loads = await loads_of(read.pool, target, (rule.owner_role for rule in run.rules))
    costs = {rule.id: cost(rule.sla_hours, loads.of(rule.owner_role)) for rule in run.rules}
    chosen = shortest_path(
        [Judged(rule.id, rule.status, rule.weight, costs[rule.id]) for rule in run.rules],
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
            open_items=loads.of(rule.owner_role),
            weighted_hours=round(costs[rule.id], 2),
        )
        for rule in wanted
    ]
    return Path(
        run_id=run.run_id,
        decision=run.decision,
        repairs=repairs,
        cost_hours=sum(repair.sla_hours for repair in repairs),
        weighted_hours=round(sum(costs[repair.rule_id] for repair in repairs), 2),
        load_known_since=loads.since,
        waits_for_approval=any(hold.kind == "approval" for hold in run.holds),
        earliest_go_at=await _earliest(read, policy, target, run, wanted),
        holds=run.holds,
    )


async def _earliest(
    read: Read, policy: Policy, target: Target, run: GateRun, wanted: list[RuleResult]
) -> datetime | None:
    """People work at the same time, so the longest repair counts; what passes by the clock alone is nobody's work. A
    halt has no end that the clock knows.

    Whoever must approve can do so at once, and does it before the repairs are done, at the best.
    """
    ends = [hold.until for hold in run.holds if hold.kind != "approval"]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return None
    mended = [rule.passes_at or run.decided_at + timedelta(hours=rule.sla_hours) for rule in wanted]
    earliest = max((run.decided_at, *known, *mended))
    if run.decision == "go":
        return earliest
    earliest = max(earliest, read.now)
    found = await gather(read.pool, policy, target, read.now, earliest + AHEAD)
    # In order of their begins, so that an end that lies in a later window goes on to that one's end.
    for freeze in sorted(found.standing.freezes, key=lambda one: one.begins_at):
        if freeze.begins_at <= earliest < freeze.ends_at:
            earliest = freeze.ends_at
    return earliest


def table(catalog: Catalog) -> Table:
    """What this module answers."""
    return Table(queries={contract.get_path: partial(get_path, catalog)})
