"""Checks of what deployments leave: the newest smoke test, and the guide by which one would go back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from libs.common.contracts.operations.checklist import Checklist
from libs.common.contracts.operations.deployments import Deployment
from services.operations.deployments.reviews import Outstanding
from services.operations.deployments.telling import version_now
from services.operations.runbook.found import Check, Found, age_text, some
from services.operations.runbook.readings import Readings


def deploy_smoke_checklist(at: Readings) -> Found:
    """How the newest deployment was tested, how long ago, and whether it still fits the checklist."""
    found, now = at.of("deployment")
    environment = now.policy.environment
    if found is None:
        return "warning", f"no deployment to {environment} was tested yet", {"environment": environment}
    age = at.now - found.finished_at
    figures: dict[str, Any] = {
        "run_id": found.run_id, "deploy_id": found.detail.deploy_id, "age_s": round(age.total_seconds(), 1),
        "checklist_version": now.version,
    }  # fmt: skip
    named = f"the test of {found.detail.deploy_id} (run {found.run_id})"
    if found.status == "critical" or found.detail.ui_main_shell_status == "critical":
        bad = [one.id for one in found.detail.checks if one.status == "critical"]
        return "critical", f"{named} failed{': ' if bad else ''}{some(bad)}", figures
    missing = _missing(found, now)
    if age > timedelta(hours=now.policy.deploy_smoke_recent_hours):
        missing.append(f"it is {age_text(age)} old")
    if missing:
        return "warning", f"{named}: {some(missing)}", figures
    return "ok", f"{named} is {age_text(max(age, timedelta()))} old, and all of it is bound", figures


def _missing(found: Deployment, now: Checklist) -> list[str]:
    said = found.detail
    reasons = {
        f"it ended as {found.status}": found.status != "success",
        "the runbook gate was not passed": now.policy.require_runbook_gate and not said.runbook_gate_passed,
        "one could not go back": not said.rollback_ready,
        f"the checklist is now {version_now(found, now)}": said.checklist_version != version_now(found, now),
        "the main page was not looked at": not said.ui_main_shell_checked,
    }
    return [reason for reason, holds in reasons.items() if holds]


def migration_rollback_guide(at: Readings) -> Found:
    """Whether the server holds the guide, whole."""
    found, whole = at.of("guide")
    if found is None:
        return "critical", "the server holds no rollback guide of the path that the settings name", {}
    figures = {"path": found.path, "version": found.version, "sha256": found.sha256}
    if not whole:
        return "critical", f"version {found.version} of {found.path} is not what was uploaded", figures
    named = f"version {found.version}" if found.version else "the one that comes with Headgate"
    return "ok", f"{found.path}: {named}", figures


def runbook_critical_monthly_review(at: Readings) -> Found:
    """Whether past months were reviewed, and people have said what they think of what was found."""
    open_: Outstanding = at.of("reviews")
    figures = {"unreviewed": open_.unreviewed, "undecided": open_.undecided}
    said = [f"{month} was not reviewed" for month in open_.unreviewed]
    said += [
        f"{count} of {month} {'waits' if count == 1 else 'wait'} for a word" for month, count in open_.undecided.items()
    ]
    return ("warning", some(said), figures) if said else ("ok", "no past month waits for anybody", figures)


CHECKS: tuple[Check, ...] = (deploy_smoke_checklist, migration_rollback_guide, runbook_critical_monthly_review)
