"""``headgate gate approve | decline``: a person's word on what they saw, named by its SHA-256."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from libs.client.completion import gates as gates_there
from libs.client.errors import ClientError, UsageProblem
from libs.client.http import read_as
from libs.client.session import Session, command
from libs.client.targets import target_fields
from libs.client.views.approvals import said
from libs.client.views.gate import verdict
from libs.common.contracts.governance.runs import GateRun

GateArgument = Annotated[str, typer.Argument(help="The gate's name, such as release.", autocompletion=gates_there)]
TargetArgument = Annotated[
    str | None, typer.Argument(metavar="[SUBJECT@VERSION]", help="What is approved; split at the last @.")
]
EvidenceOption = Annotated[str | None, typer.Option("--evidence", help="The SHA-256 of the evidence that you saw.")]
RunOption = Annotated[int | None, typer.Option("--run", help="A run instead: it is shown, and its evidence is meant.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in a line; every verdict shows it.")]
AbsentOption = Annotated[
    str | None, typer.Option("--on-behalf-of", help="Somebody who is away and has delegated to you.")
]
KeyOption = Annotated[str | None, typer.Option("--idempotency-key", help="The same key applies it once.")]


def add_to(app: typer.Typer) -> None:
    """Add both to the group of gates."""
    command(app, "approve")(approve)
    command(app, "decline")(decline)


def approve(
    session: Session,
    gate: GateArgument,
    reason: ReasonOption,
    target: TargetArgument = None,
    evidence: EvidenceOption = None,
    run: RunOption = None,
    absent: AbsentOption = None,
    idempotency_key: KeyOption = None,
) -> None:
    """Approve a candidate by the evidence that you saw, of a run that you name. The last approval makes it GO."""
    _say(
        session,
        "governance.approval.give",
        gate,
        {"reason": reason, "on_behalf_of": absent},
        target,
        evidence,
        run,
        idempotency_key,
    )


def decline(
    session: Session,
    gate: GateArgument,
    reason: ReasonOption,
    target: TargetArgument = None,
    evidence: EvidenceOption = None,
    run: RunOption = None,
    absent: AbsentOption = None,
    idempotency_key: KeyOption = None,
) -> None:
    """Decline a candidate: over this evidence it is not GO until you withdraw your word."""
    _say(
        session,
        "governance.approval.decline",
        gate,
        {"reason": reason, "on_behalf_of": absent},
        target,
        evidence,
        run,
        idempotency_key,
    )


def _say(
    session: Session,
    operation: str,
    gate: str,
    word: Mapping[str, str | None],
    target: str | None,
    evidence: str | None,
    run_id: int | None,
    key: str | None,
) -> None:
    """Raises `UsageProblem` unless exactly one of evidence and run is given."""
    if (evidence is None) == (run_id is None):
        raise UsageProblem("Say what you saw: --evidence SHA256 with SUBJECT@VERSION, or --run with a run's number.")
    fields = target_fields(target, None, None)
    if run_id is not None:
        answer = session.client.call("governance.runs.get", gate=gate, run_id=run_id, **session.sited)
        run = read_as(GateRun, answer)
        if run.evidence_sha256 is None:
            raise ClientError(f"Run {run_id} is of before there were approvals; run the gate again.")
        if not session.json:
            verdict(session, answer, {})
        of_run = {"subject": run.subject, "version": run.version} if run.version else {}
        if fields and fields != of_run:
            raise UsageProblem(f"Run {run_id} is of {run.subject}@{run.version}, not of {target}.")
        more = {"line": run.line, "artifact_digest": run.artifact_digest}
        fields, evidence = of_run | {name: value for name, value in more.items() if value}, run.evidence_sha256
    said_ = {name: value for name, value in word.items() if value is not None}
    answer = session.client.call(
        operation, idempotency_key=key, gate=gate, evidence_sha256=evidence, **said_, **fields, **session.sited
    )
    said(session, answer, {})
