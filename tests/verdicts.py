"""Decisions as governance would tell them, for tests of those who listen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from libs.common.contracts.governance.runs import GateDecided, GateSummary, RuleResult, RuleStatus


def rule(
    name: str,
    status: RuleStatus,
    *,
    required: bool = True,
    message: str = "",
    sla_hours: int = 4,
) -> RuleResult:
    """One rule's result."""
    return RuleResult(
        id=name,
        status=status,
        required=required,
        passed=status == "pass",
        weight=1.0,
        message=message or f"{name}: {status}",
        owner_role="Ops Lead",
        sla_hours=sla_hours,
        action=f"mend {name}",
    )


def decided(
    *rules: RuleResult,
    run_number: int,
    decision: Literal["go", "no_go"] = "go",
    gate: str = "operations",
    site: str = "global",
    subject: str = "site",
    version: str = "",
    line: str = "",
    at: datetime | None = None,
) -> GateDecided:
    """A decision with these rules."""
    failing = sum(r.status == "fail" for r in rules)
    return GateDecided(
        run_id=1000 + run_number,
        gate=gate,
        site=site,
        subject=subject,
        version=version,
        line=line,
        run_number=run_number,
        trigger="api",
        decision=decision,
        status="success" if decision == "go" else "critical",
        decided_at=at or datetime.now(UTC),
        summary=GateSummary(
            total_rules=len(rules),
            required_rules=len(rules),
            passed_rules=len(rules) - failing,
            failure_count=failing,
            warning_count=0,
            weighted_total=float(len(rules)),
            weighted_passed=float(len(rules) - failing),
            weighted_score_percent=100.0,
        ),
        rules=list(rules),
    )
