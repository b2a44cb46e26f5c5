"""Deployments: each is a smoke test that was recorded, judged by the checklist and told to the operations gates."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Page, Query, Text, Time
from libs.common.contracts.blobs import Blob
from libs.common.contracts.jobs import JobStatus
from libs.common.contracts.names import printable_name
from libs.common.contracts.preflight import Overall
from libs.common.problems import Invalid, NotFound

JOB = "deploy_smoke"
MAX_CHECKS = 50
Label = Annotated[str, StringConstraints(min_length=1, max_length=120), AfterValidator(printable_name)]
ShortText = Annotated[str, StringConstraints(max_length=200)]
CheckText = Annotated[str, StringConstraints(max_length=1000)]
# What the record adds by itself.
OWN_CHECKS = ("rollback_guide_binding", "checklist_version_binding", "ui_main_shell_binding", "artifact_archive")
UI_CHECK = "ui_main_shell"


class SentCheck(Model):
    """A check of the smoke test. ``status`` is read as the status of a record is; `ok`, `warning`, `critical`."""

    id: Label
    status: ShortText = "warning"
    message: CheckText = ""


class SmokeRecord(Model):
    """What a smoke test found. Words of status: ok, success, healthy; warning, warn, degraded; critical, failed, error;
    any other is a warning.
    """

    deploy_id: Label = Field(description="Which deployment, such as the number of the pipeline's run")
    environment: Label | None = Field(None, description="Where it was deployed to; if not said, what the gates look at")
    base_url: ShortText = Field("", description="The address that was tested")
    status: ShortText | None = Field(None, description="How it went; ok if not said")
    started_at: Time | None = Field(None, description="When the test began; with a time zone")
    finished_at: Time | None = Field(None, description="When it ended; with a time zone")
    checklist_version: ShortText = Field("", description="The version of the checklist that was gone by")
    rollback_reference: ShortText = Field("", description="The path of the rollback guide at hand")
    rollback_reference_sha256: ShortText = Field("", description="The SHA-256 of that file, in hex")
    rollback_ready: bool = Field(False, description="Whether one could go back now")
    runbook_gate_passed: bool = Field(False, description="Whether no check of the runbook was critical")
    notes: Text = Field("", description="What else there is to say")
    checks: list[SentCheck] = Field([], max_length=MAX_CHECKS, description="What was tested")
    version: ShortText = Field("", description="The version that was deployed")
    commit: ShortText = Field("", description="The commit that was deployed")
    committed_at: Time | None = Field(None, description="When that commit was made; with a time zone")
    rollback: bool = Field(False, description="Whether this deployment went back to an earlier version")

    @model_validator(mode="after")
    def _is_in_itself_right(self) -> Self:
        if self.started_at and self.finished_at and self.finished_at < self.started_at:
            raise PydanticCustomError("backwards", "it ended before it began")
        if self.committed_at and self.finished_at and self.committed_at > self.finished_at:
            raise PydanticCustomError("too_late", "committed_at lies behind the deployment")
        names = [one.id for one in self.checks]
        if len(set(names)) < len(names):
            raise PydanticCustomError("repeated", "two checks have the same id")
        if own := sorted(set(names) & set(OWN_CHECKS)):
            raise PydanticCustomError("own", "the server makes this check itself: {name}", {"name": own[0]})
        return self


class SmokeCheck(Open):
    id: str
    status: Overall
    message: str


class ArtifactArchive(Open):
    """The record as a file in the store. ``path`` is the bucket; ``error`` says why there is none."""

    enabled: bool = True
    path: str
    retention_days: int
    json_file: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    pruned_files: int = 0
    error: str | None = None


class SmokeDetail(Open):
    """What was sent, and what it was compared with at that moment.

    ``rollback_reference_sha256_match`` is null if no sum was sent. ``tells_gates``: it was the newest of the
    environment that gates look at.
    """

    deploy_id: str
    environment: str
    base_url: str
    version: str
    commit: str
    committed_at: Time | None
    rollback: bool
    checklist_version: str
    checklist_version_expected: str
    checklist_version_match: bool
    checklist_signature: str
    checklist_version_source: str
    rollback_reference: str
    rollback_reference_expected: str
    rollback_reference_match: bool
    rollback_reference_exists: bool
    rollback_reference_sha256: str | None
    rollback_reference_expected_sha256: str | None
    rollback_reference_sha256_match: bool | None
    rollback_ready: bool
    runbook_gate_passed: bool
    ui_main_shell_path: str
    ui_main_shell_markers: list[str]
    ui_main_shell_checked: bool
    ui_main_shell_status: Overall | None
    notes: str
    checks: list[SmokeCheck]
    recorded_by: str
    tells_gates: bool
    artifact_archive: ArtifactArchive


class Deployment(Open):
    """A recorded deployment. ``status`` is what was sent, or worse: see docs/operations.md."""

    run_id: int
    job_name: str = JOB
    status: JobStatus
    started_at: Time
    finished_at: Time
    detail: SmokeDetail


class DeploymentRow(Open):
    """A deployment in a list."""

    run_id: int
    deploy_id: str
    environment: str
    version: str
    commit: str
    committed_at: Time | None
    rollback: bool
    status: JobStatus
    started_at: Time
    finished_at: Time
    checklist_version: str
    recorded_by: str


class DeploymentFilter(Model):
    environment: str | None = Field(None, max_length=120, description="Only to this environment")
    deploy_id: str | None = Field(None, max_length=120, description="Only of this deployment")
    status: JobStatus | None = Field(None, description="Only those that ended so")
    limit: int = Field(50, ge=1, le=500, description="How many on a page")
    cursor: str | None = Field(None, max_length=400, description="Where the page begins: next_cursor of the one before")


class DeploymentKey(Model):
    deployment_id: int = Field(ge=1, le=2**63 - 1, description="The number of the deployment's run")


record_smoke = Command(
    "operations.deployment.record",
    about="{run_id}",
    body=SmokeRecord,
    result=Deployment,
    permission="operations:deploy",
    http=POST("/api/ops/deploy/smoke/record", status=201),
    errors=(Invalid,),
    summary="Record a deployment's smoke test; it is told to every site's operations gate",
    sited=False,
)
list_deployments = Query(
    "operations.deployments.list",
    params=DeploymentFilter,
    result=Page[DeploymentRow],
    permission="operations:read",
    http=GET("/api/ops/deploy/deployments"),
    errors=(Invalid,),
    summary="Deployments, newest first",
    sited=False,
)
show_deployment = Query(
    "operations.deployments.get",
    params=DeploymentKey,
    result=Deployment,
    permission="operations:read",
    http=GET("/api/ops/deploy/deployments/{deployment_id}"),
    errors=(NotFound,),
    summary="A deployment with its checks",
    sited=False,
)
get_artifact = Query(
    "operations.deployments.artifact",
    params=DeploymentKey,
    result=Blob,
    permission="operations:read",
    http=GET("/api/ops/deploy/deployments/{deployment_id}/artifact", file="application/json", bucket="checks"),
    errors=(NotFound,),
    summary="Download the archived record of a deployment",
    sited=False,
)
deployment_recorded = Event(
    "operations.deployment.recorded", data=Deployment, summary="A deployment's smoke test was recorded"
)
