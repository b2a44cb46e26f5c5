"""What every site's operations gate is told of the newest deployment, whenever that or what it is bound to changes.

A fact does not change by itself: were it told once only, a guide that is replaced afterwards would leave the gate with
a binding that does not hold any more. So it is told again when a guide comes, and with each daily check.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from libs.common.contracts.governance.signals import OutsideEvent, SignalRecord, record_signals
from libs.common.contracts.operations.checklist import Checklist
from libs.common.contracts.operations.deployments import Deployment
from libs.common.service import Connection, Tx
from libs.common.settings import Settings
from services.operations.deployments.checklist import current

SITE = "global"  # where its runs are kept: a deployment is one of the installation
SOURCE = "/headgate/operations"
KIND = "ops.deploy_smoke"

# Records and uploads take turns: a version is given out once, and what gates hear last is what holds.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('operations.deployments', 0))"
SELECT_NEWEST = """
SELECT run_id, status, started_at, finished_at, detail FROM deployment WHERE environment = $1
ORDER BY finished_at DESC, run_id DESC LIMIT 1
"""


async def newest(source: asyncpg.Pool | Connection, environment: str) -> Deployment | None:
    """The newest deployment to an environment, by when it ended."""
    row = await source.fetchrow(SELECT_NEWEST, environment)
    return None if row is None else Deployment(**dict(row.items()))


async def tell(settings: Settings, tx: Tx, sites: Sequence[str]) -> None:
    """Tell the gates what the newest deployment is worth now. Call it under `LOCK`, as the last change."""
    found = await newest(tx.connection, settings.deploy_environment)
    if found is None:
        return
    data = fact(found, await current(settings, tx.connection, tx.now))
    # The moment of telling, not of the test: a record that comes late must not lose against an earlier word.
    event = OutsideEvent(id=f"{found.run_id}-{KIND}-{tx.message_id}", source=SOURCE, type=KIND, time=tx.now, data=data)
    for site in sites:
        tx.send(record_signals, SignalRecord(signals=[event]), site=site)


def version_now(found: Deployment, now: Checklist) -> str:
    """The version that the checklist of a deployment has now: its own as long as the content is the same.

    A month that ends gives the same checklist another number, which is no reason to test again.
    """
    same = found.detail.checklist_signature == now.signature and found.detail.checklist_version_source != "setting"
    return found.detail.checklist_version_expected if same and now.version_source != "setting" else now.version


def fact(found: Deployment, now: Checklist) -> dict[str, object]:
    """The data of the signal: what was recorded, and its bindings as they are now."""
    said, policy, version = found.detail, now.policy, version_now(found, now)
    given, held = said.rollback_reference_sha256, policy.rollback_guide_sha256
    return {
        "latest_run_at": found.finished_at.isoformat(),
        "latest_status": found.status,
        "rollback_ready": said.rollback_ready,
        "runbook_gate_passed": said.runbook_gate_passed,
        "rollback_reference_match": held is not None and said.rollback_reference == policy.rollback_guide_path,
        "rollback_reference_sha256_match": None if given is None else given == held,
        "current_checklist_version": version,
        "latest_checklist_version": said.checklist_version or None,
        "checklist_version_match": said.checklist_version == version,
        "ui_main_shell_checked": said.ui_main_shell_checked,
        "ui_main_shell_status": said.ui_main_shell_status,
    }
