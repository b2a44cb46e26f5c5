"""A smoke test is recorded: judged by the checklist, archived, kept as a run, and told to the operations gates."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from libs.common import job_runs
from libs.common.contracts.base import Nothing, Page
from libs.common.contracts.blobs import Blob
from libs.common.contracts.gateway.sites import every_site
from libs.common.contracts.operations import deployments as contract
from libs.common.contracts.operations.checklist import Checklist
from libs.common.contracts.operations.deployments import (
    JOB,
    ArtifactArchive,
    Deployment,
    DeploymentFilter,
    DeploymentKey,
    DeploymentRow,
    SmokeCheck,
    SmokeDetail,
    SmokeRecord,
)
from libs.common.listing import Listing, newest
from libs.common.problems import Invalid, NotFound
from libs.common.service import JobDone, Read, Table, Tx
from libs.common.settings import Settings
from services.operations import archives
from services.operations.archives import DEPLOYMENTS, File
from services.operations.deployments import checklist, telling
from services.operations.domain.smokes import Check, Expected, Judged, Said, judge, word

MAX_AHEAD = timedelta(seconds=60)  # of another machine's clock
MAX_AGE = timedelta(days=7)
STARTED_BEFORE = timedelta(hours=6)  # a test that began in the month before is held against that month's version

INSERT_DEPLOYMENT = """
INSERT INTO deployment (run_id, deploy_id, environment, version, commit, committed_at, rollback, status, started_at,
    finished_at, recorded_at, recorded_by, checklist_version, checklist_signature, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""
LIST_DEPLOYMENTS = Listing(
    table="deployment",
    columns="run_id, deploy_id, environment, version, commit, committed_at, rollback, status, started_at, finished_at, "
    "checklist_version, recorded_by",
    filters={"environment": "text", "deploy_id": "text", "status": "text"},
    readings=(("deploy_id",), ("environment",)),
    order=newest("run_id"),
)
SELECT_DEPLOYMENT = "SELECT run_id, status, started_at, finished_at, detail FROM deployment WHERE run_id = $1"


async def record(settings: Settings, tx: Tx, body: SmokeRecord) -> Deployment:
    """Keep a smoke test. Raises `Invalid` for one of another time."""
    started_at, finished_at = _times(body, tx.now)
    sites = await tx.ask(every_site, Nothing())
    await tx.connection.execute(telling.LOCK)
    at = started_at if tx.now - started_at < STARTED_BEFORE else tx.now
    now = await checklist.current(settings, tx.connection, at)
    judged = judge(_said(body), _expected(now))
    run_id = await job_runs.next_run_id(tx)
    environment = body.environment or settings.deploy_environment
    before = await telling.newest(tx.connection, environment)
    tells = environment == settings.deploy_environment and (before is None or before.finished_at <= finished_at)
    done = Deployment(
        run_id=run_id,
        status=judged.status,
        started_at=started_at,
        finished_at=finished_at,
        detail=_detail(settings, tx, body, now, judged, tells=tells),
    )
    done = await _archived(tx, done)
    await _keep(tx, body, now, done)
    if tells:
        await telling.tell(settings, tx, sites)
    tx.emit(contract.deployment_recorded, done, subject=str(run_id), site=telling.SITE)
    return done


def _times(body: SmokeRecord, now: datetime) -> tuple[datetime, datetime]:
    finished_at = body.finished_at or now
    began_at = body.started_at or finished_at
    if finished_at > now + MAX_AHEAD or began_at < now - MAX_AGE:
        raise Invalid("The test lies in the future, or more than 7 days back: set the clock, or test again.")
    finished_at = min(finished_at, now)
    if body.committed_at and body.committed_at > now + MAX_AHEAD:
        raise Invalid("committed_at lies in the future: set the clock of the machine that commits.")
    return min(began_at, finished_at), finished_at


def _said(body: SmokeRecord) -> Said:
    return Said(
        status=body.status,
        checks=[Check(one.id, word(one.status, "warning"), one.message) for one in body.checks],
        runbook_gate_passed=body.runbook_gate_passed,
        rollback_ready=body.rollback_ready,
        checklist_version=body.checklist_version.strip(),
        guide_path=body.rollback_reference.strip(),
        guide_sha256=body.rollback_reference_sha256.strip().lower() or None,
    )


def _expected(now: Checklist) -> Expected:
    policy = now.policy
    return Expected(policy.require_runbook_gate, now.version, policy.rollback_guide_path, policy.rollback_guide_sha256)


def _detail(
    settings: Settings, tx: Tx, body: SmokeRecord, now: Checklist, judged: Judged, *, tells: bool
) -> SmokeDetail:
    said, policy = _said(body), now.policy
    return SmokeDetail(
        **body.model_dump(include=_AS_SENT),
        environment=body.environment or settings.deploy_environment,
        checklist_version=said.checklist_version,
        checklist_version_expected=now.version,
        checklist_version_match=judged.version_match,
        checklist_signature=now.signature,
        checklist_version_source=now.version_source,
        rollback_reference=said.guide_path,
        rollback_reference_expected=policy.rollback_guide_path,
        rollback_reference_match=judged.path_match,
        rollback_reference_exists=policy.rollback_guide_exists,
        rollback_reference_sha256=said.guide_sha256,
        rollback_reference_expected_sha256=policy.rollback_guide_sha256,
        rollback_reference_sha256_match=judged.sha256_match,
        ui_main_shell_path=policy.ui_core_path,
        ui_main_shell_markers=policy.ui_core_markers,
        ui_main_shell_checked=judged.ui_status is not None,
        ui_main_shell_status=judged.ui_status,
        checks=[SmokeCheck(id=one.id, status=one.status, message=one.message) for one in (*said.checks, *judged.added)],
        recorded_by=tx.actor,
        tells_gates=tells,
        artifact_archive=ArtifactArchive(path=archives.BUCKET.name, retention_days=settings.deploy_retention_days),
    )


_AS_SENT = {
    "deploy_id", "base_url", "version", "commit", "committed_at", "rollback", "rollback_ready",
    "runbook_gate_passed", "notes",
}  # fmt: skip


async def _archived(tx: Tx, done: Deployment) -> Deployment:
    """With its file stored; if the bucket can't, the record still counts and says so."""
    name = f"{done.finished_at:%Y/%m}/deploy-smoke-{done.finished_at:%Y%m%dT%H%M%SZ}-{done.run_id}.json"
    file = File("json", name, done.model_dump_json(indent=1, exclude={"detail": {"artifact_archive"}}).encode())
    try:
        await archives.store(tx, done.run_id, (file,), kind=DEPLOYMENTS)
    except archives.KEPT_BACK as error:
        said = archives.reason(error)
        kept: dict[str, Any] = {"error": said}
        check = SmokeCheck(id="artifact_archive", status="warning", message=f"not archived: {said}"[:1000])
    else:
        kept = {"json_file": name, "sha256": file.sha256, "size_bytes": len(file.content)}
        check = SmokeCheck(id="artifact_archive", status="ok", message=f"{name} lies in the store")
    archive = done.detail.artifact_archive.model_copy(update=kept)
    changed = {"artifact_archive": archive, "checks": [*done.detail.checks, check]}
    return done.model_copy(update={"detail": done.detail.model_copy(update=changed)})


async def _keep(tx: Tx, body: SmokeRecord, now: Checklist, done: Deployment) -> None:
    detail = done.detail.model_dump(mode="json")
    await tx.connection.execute(
        INSERT_DEPLOYMENT,
        done.run_id,
        body.deploy_id,
        done.detail.environment,
        body.version,
        body.commit,
        body.committed_at,
        body.rollback,
        done.status,
        done.started_at,
        done.finished_at,
        tx.now,
        tx.actor,
        now.version,
        now.signature,
        detail,
    )
    await job_runs.record(
        tx,
        JOB,
        JobDone(done.status, detail),
        run_id=done.run_id,
        started_at=done.started_at,
        finished_at=done.finished_at,
    )


async def list_deployments(read: Read, wanted: DeploymentFilter) -> Page[DeploymentRow]:
    """A page of deployments, newest first. Raises `Invalid`."""
    given = wanted.model_dump(include={"environment", "deploy_id", "status"})
    found = await LIST_DEPLOYMENTS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[DeploymentRow](items=[DeploymentRow(**row) for row in found.rows], next_cursor=found.next_cursor)


async def show_deployment(read: Read, key: DeploymentKey) -> Deployment:
    """A deployment. Raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_DEPLOYMENT, key.deployment_id)
    if row is None:
        raise NotFound(f"There is no deployment {key.deployment_id}; list them with GET /api/ops/deploy/deployments.")
    return Deployment(**dict(row.items()))


async def get_artifact(read: Read, key: DeploymentKey) -> Blob:
    """The archived record. Raises `NotFound`."""
    found = await archives.find(read.pool, key.deployment_id, "json", kind=DEPLOYMENTS)
    if found is None:
        raise NotFound(f"No record of {key.deployment_id} is archived; list them with GET /api/ops/deploy/deployments.")
    return found


def table(settings: Settings) -> Table:
    """What this module answers; it goes by the settings."""
    return Table(
        commands={contract.record_smoke: partial(record, settings)},
        queries={
            contract.list_deployments: list_deployments,
            contract.show_deployment: show_deployment,
            contract.get_artifact: get_artifact,
        },
    )
