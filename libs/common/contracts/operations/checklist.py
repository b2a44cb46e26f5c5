"""The checklist of a deployment: what is to be done, and what a record of a smoke test is bound to."""

from __future__ import annotations

from typing import Literal

from libs.common.contracts.base import GET, Open, Query, Time

Phase = Literal["pre_deploy", "post_deploy", "rollback_ready"]
VersionSource = Literal["setting", "recorded", "next"]


class ChecklistStep(Open):
    """One thing to do. ``done_by`` names what does it: a command, or a check of the smoke test."""

    id: str
    phase: Phase
    title: str
    done_by: str
    required: bool = True


class ChecklistPolicy(Open):
    """What records are judged by. ``rollback_guide_sha256`` is of the guide that the server holds; none: it has none.

    ``environment``: records of it alone tell the gates.
    """

    environment: str
    deploy_smoke_recent_hours: int
    require_runbook_gate: bool
    rollback_on_failure_recommended: bool
    rollback_guide_required: bool
    rollback_guide_path: str
    rollback_guide_exists: bool
    rollback_guide_sha256: str | None
    ui_core_path: str
    ui_core_markers: list[str]
    version_rule: str


class Checklist(Open):
    """``signature``: of policy and steps. ``version``: `YYYY.MM.vN`, the same as long as the signature is, in a month.

    ``version_source``: the setting gave it, or a record of this month has it with this signature, or it is the next.
    """

    version: str
    version_source: VersionSource
    signature: str
    generated_at: Time
    policy: ChecklistPolicy
    steps: list[ChecklistStep]


show_checklist = Query(
    "operations.checklists.get",
    result=Checklist,
    permission="operations:read",
    http=GET("/api/ops/deploy/checklist"),
    summary="The checklist of a deployment, with its version and the rollback guide that the server holds",
    sited=False,
)
