"""``headgate deploy …`` and ``headgate guides …``: deployments, tested from outside, and how to go back."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from libs.client.errors import ApiError, BadAnswer, Unreachable, UsageProblem
from libs.client.files import read_input
from libs.client.http import read_as
from libs.client.moments import HINT, moment
from libs.client.session import Session, command
from libs.client.show import clean
from libs.client.smoke import Smoke, bound_guide
from libs.client.views.operations import deployed
from libs.client.waiting import span
from libs.common.cloudevents import format_time
from libs.common.contracts.operations.checklist import Checklist
from libs.common.contracts.operations.deployments import Deployment
from libs.common.contracts.operations.guides import MAX_GUIDE_BYTES, GuideUploaded

FAILED = 1
POLL_S = 2.0
deploys = typer.Typer(
    no_args_is_help=True, help="Deployments: their checklist, testing one from outside, and what was recorded."
)
guides = typer.Typer(no_args_is_help=True, help="Rollback guides: what people follow to go back.")


def guide_text(file: str) -> str:
    """A guide's text as it stands in the file. Raises `UsageProblem` for what is too long or no text."""
    content = read_input(file)
    if len(content) > MAX_GUIDE_BYTES:
        raise UsageProblem(f"{file} has {len(content)} bytes; a guide has at most {MAX_GUIDE_BYTES}.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise UsageProblem(f"{file} is not text in UTF-8.") from None


@command(guides, "upload")
def upload(
    session: Session,
    file: Annotated[str, typer.Argument(help="The guide, a text in UTF-8; - is stdin.")],
    path: Annotated[
        str | None, typer.Option("--path", help="Under which path (else: the one that deployments are bound to).")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why it changes.")] = "",
) -> None:
    """Upload a rollback guide; what was there stays as an older version."""
    if file != "-" and not Path(file).is_file():
        raise UsageProblem(f"{file} is no file.")
    text = guide_text(file)
    if path is None:
        path = read_as(Checklist, session.client.call("operations.checklists.get")).policy.rollback_guide_path
    answer = session.client.call("operations.guide.upload", path=path, content=text, reason=reason)
    told = read_as(GuideUploaded, answer)
    said = f"{clean(told.guide.path)} version {told.guide.version}, sha256 {told.guide.sha256}"
    session.emit(answer, said if told.changed else f"{said}: the server held it already")


@command(deploys, "smoke", judges=True)
def smoke(
    session: Session,
    deploy_id: Annotated[str, typer.Option("--deploy-id", help="Which deployment, such as the pipeline's run.")],
    environment: Annotated[
        str | None, typer.Option("--environment", help="Where it was deployed to (else: what the gates look at).")
    ] = None,
    version: Annotated[str | None, typer.Option("--version", help="Its version (else: that which runs).")] = None,
    commit: Annotated[str, typer.Option("--commit", help="The commit that was deployed.")] = "",
    committed_at: Annotated[
        str | None, typer.Option("--committed-at", help=f"When that commit was made (git: %cI). {HINT}")
    ] = None,
    rollback_guide: Annotated[
        str | None,
        typer.Option("--rollback-guide", help="The guide at hand (else: the one that comes with this tool)."),
    ] = None,
    rollback_ready: Annotated[
        bool | None,
        typer.Option(
            "--rollback-ready/--not-rollback-ready",
            help="Whether one could go back now (else: if a restore was rehearsed within 35 days).",
        ),
    ] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="This deployment went back to an earlier one.")] = False,
    notes: Annotated[str, typer.Option("--notes", help="What else there is to say.")] = "",
    wait: Annotated[str | None, typer.Option("--wait", help="Wait so long (30s, 15m) until it is ready.")] = None,
) -> int:
    """Test a deployment from outside, record it and tell the operations gates. Exit code 0: it is well, 1: it is not.

    Prints SMOKE_OK if it is well. Exit code 2: it could not be judged, or not recorded.
    """
    content = None if rollback_guide is None else guide_text(rollback_guide).encode()
    when = {"committed_at": moment(committed_at, datetime.now(UTC))} if committed_at else {}
    if wait is not None:
        _await_ready(session, span(wait))
    checklist = read_as(Checklist, session.client.call("operations.checklists.get"))
    test = Smoke(session.client, checklist)
    with session.progress("Testing", None) as done:
        test.run(done)
    told = {
        "deploy_id": deploy_id,
        "environment": environment or checklist.policy.environment,
        "rollback_ready": test.word("rollback_rehearsal") == "ok" if rollback_ready is None else rollback_ready,
        "notes": notes,
        "version": test.running_version if version is None else version,
        "commit": commit,
        "rollback": rollback,
        **bound_guide(rollback_guide, content, checklist.policy.rollback_guide_path),
        **when,
    }
    return _recorded(session, test, checklist, told)


def _recorded(session: Session, test: Smoke, checklist: Checklist, told: dict[str, Any]) -> int:
    answer = session.client.call(
        "operations.deployment.record",
        base_url=session.client.base_url[:200],
        started_at=format_time(checklist.generated_at),
        checklist_version=checklist.version,
        runbook_gate_passed=test.word("runbook_gate") == "ok",
        checks=[{"id": one.id, "status": one.status, "message": one.message} for one in test.found],
        **told,
    )
    found = read_as(Deployment, answer)
    session.emit(answer, *deployed(found))
    if found.status == "success":
        session.note("SMOKE_OK") if session.json else session.text("SMOKE_OK")
        return 0
    if found.detail.rollback_reference_sha256_match is False:
        session.note("headgate: read the server's guide (headgate guides get), and bind it with --rollback-guide FILE.")
    return FAILED


def _await_ready(session: Session, wait_s: float) -> None:
    """Return when it is ready, or the time is over: then the test says what is wrong."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        try:
            code, report = session.client.document("/readyz", also=(503,))
        except (Unreachable, BadAnswer, ApiError):
            code, report = 0, {}
        if code == 200 and not report.get("degraded"):
            return
        session.client.sleep(POLL_S)
    session.note("headgate: the time to wait is over.")
