"""The checklist as it is now: policy from the settings and the guide that is held, steps, signature and version."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import asyncpg

from libs.common.contracts.base import Nothing
from libs.common.contracts.operations import checklist as contract
from libs.common.contracts.operations.checklist import Checklist, ChecklistPolicy, ChecklistStep, VersionSource
from libs.common.service import Connection, Read, Table
from libs.common.settings import Settings
from services.operations.deployments.guides import in_force
from services.operations.domain.checklists import month_prefix, signature_of, version_of

RULE = "YYYY.MM.vN: the setting, else the version recorded this month with this signature, else the month's highest + 1"
STEPS = (
    ChecklistStep(
        id="pre_01_backup", phase="pre_deploy", title="There is a backup of this version, and it was verified",
        done_by="headgate backup create, headgate backup verify",
    ),
    ChecklistStep(
        id="pre_02_release_note", phase="pre_deploy", title="CHANGELOG.md was read up to the new version",
        done_by="a person",
    ),
    ChecklistStep(
        id="smoke_01_health", phase="post_deploy", title="It is up and ready, on a real database, with every service",
        done_by="the checks health, readiness and database",
    ),
    ChecklistStep(
        id="smoke_02_ui_main_shell", phase="post_deploy", title="The main page comes, with its markers",
        done_by="the check ui_main_shell",
    ),
    ChecklistStep(
        id="smoke_03_auth_and_runbook", phase="post_deploy",
        title="A token works, the audit log holds, nothing in the runbook is critical",
        done_by="the checks auth, audit_chain and runbook_gate",
    ),
    ChecklistStep(
        id="smoke_04_security", phase="post_deploy", title="Strangers are refused, keys are there, rights are narrow",
        done_by="the check posture",
    ),
    ChecklistStep(
        id="rollback_01_trigger", phase="rollback_ready", title="It is clear when to go back, and who decides it",
        done_by="a person, by the rollback guide",
    ),
    ChecklistStep(
        id="rollback_02_checklist", phase="rollback_ready",
        title="The guide at hand is the server's, and recovery was rehearsed",
        done_by="the checks rollback_guide_binding and rollback_rehearsal",
    ),
)  # fmt: skip
SELECT_VERSIONS = """
SELECT DISTINCT checklist_version, checklist_signature FROM deployment WHERE checklist_version LIKE $1
"""


async def current(settings: Settings, source: asyncpg.Pool | Connection, at: datetime) -> Checklist:
    """The checklist of that time."""
    guide = await in_force(source, settings.rollback_guide_path)
    policy = ChecklistPolicy(
        environment=settings.deploy_environment,
        deploy_smoke_recent_hours=settings.deploy_smoke_recent_hours,
        require_runbook_gate=settings.deploy_require_runbook_gate,
        rollback_on_failure_recommended=True,
        rollback_guide_required=True,
        rollback_guide_path=settings.rollback_guide_path,
        rollback_guide_exists=guide is not None,
        rollback_guide_sha256=guide.sha256 if guide else None,
        ui_core_path=settings.ui_core_path,
        ui_core_markers=settings.ui_core_markers,
        version_rule=RULE,
    )
    signature = signature_of(policy.model_dump(mode="json"), [one.model_dump(mode="json") for one in STEPS])
    source_of: VersionSource = "setting"
    version = settings.deploy_checklist_version
    if version is None:
        rows = await source.fetch(SELECT_VERSIONS, f"{month_prefix(at)}%")
        version, is_recorded = version_of(at, signature, [tuple(row) for row in rows])
        source_of = "recorded" if is_recorded else "next"
    return Checklist(
        version=version,
        version_source=source_of,
        signature=signature,
        generated_at=at,
        policy=policy,
        steps=list(STEPS),
    )


async def show(settings: Settings, read: Read, _params: Nothing) -> Checklist:
    """The checklist, now."""
    return await current(settings, read.pool, read.now)


def table(settings: Settings) -> Table:
    """What this module answers; it goes by the settings."""
    return Table(queries={contract.show_checklist: partial(show, settings)})
