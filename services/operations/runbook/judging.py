"""The runbook's checks: each a pure function of what was read, ending in a word, a sentence and its figures."""

from __future__ import annotations

from collections.abc import Mapping

from libs.common.contracts.operations.catalogue import CATALOGUE
from libs.common.contracts.operations.runbook import Runbook, RunbookCheck
from libs.common.telemetry import log
from services.operations.runbook import alerting, deploys, edge, proof, recovery, traffic, weekly
from services.operations.runbook.found import Check
from services.operations.runbook.readings import Readings

THEMES = (traffic, proof, edge, recovery, alerting, deploys, weekly)
CHECKS: Mapping[str, Check] = {check.__name__: check for theme in THEMES for check in theme.CHECKS}


def judged(at: Readings) -> Runbook:
    """Every check of the catalogue: one that can't be made is critical with the reason, and none is missing."""
    checks = []
    for watched in CATALOGUE:
        try:
            status, message, detail = CHECKS[watched.id](at)
        except Exception as error:
            if not isinstance(error, LookupError):
                log.exception("runbook check failed", check=watched.id)
            status, message, detail = "critical", f"could not be made: {str(error) or type(error).__name__}", {}
        checks.append(RunbookCheck(id=watched.id, status=status, message=message, action=watched.action, detail=detail))
    warnings, criticals = (sum(one.status == word for one in checks) for word in ("warning", "critical"))
    return Runbook(
        generated_at=at.now,
        overall_status="critical" if criticals else "warning" if warnings else "ok",
        check_count=len(checks),
        warning_count=warnings,
        critical_count=criticals,
        checks=checks,
    )
