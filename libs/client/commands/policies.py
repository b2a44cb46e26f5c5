"""``headgate policies …``: check a policy's file without any server, and publish it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from libs.client.errors import UsageProblem
from libs.client.http import read_as
from libs.client.session import Session, command
from libs.client.show import clean, facts
from libs.common.contracts.governance.policies import PolicyVersionShown
from libs.judge.lint import lint
from libs.judge.policy import Policy, PolicyError, parse_policy
from libs.judge.policy_tests import run_cases
from libs.judge.policy_yaml import MAX_POLICY_BYTES

policies = typer.Typer(no_args_is_help=True, help="Policies: what a gate asks, its versions and drafts.")

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="The policy's YAML file.")]


@command(policies, "lint", judges=True)
def lint_file(session: Session, file: FileArgument) -> int:
    """Check a policy's file and run its tests, without any server. Exit code 0: it may be published, 1: not."""
    text = _read(file)
    policy: Policy | None = None
    try:
        policy = parse_policy(text, Path(file).name)
        problems = [*lint(policy, datetime.now(UTC)), *run_cases(policy)]
    except PolicyError as error:
        problems = [error.message]
    tests = len(policy.cases) if policy is not None else 0
    said = [clean(problem) for problem in problems] or [f"{Path(file).name} may be published; {tests} tests passed."]
    session.emit({"problems": problems, "tests": tests}, *said)
    return 1 if problems else 0


@command(policies, "push")
def push(
    session: Session,
    file: FileArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, in a line; it stays in the history.")],
    issue: Annotated[str | None, typer.Option("--issue", help="The issue that asked for it, such as OPS-12.")] = None,
) -> None:
    """Publish a policy's file for a site (else: global). The gate is the name that stands in it."""
    text = _read(file)
    try:
        policy = parse_policy(text, Path(file).name)
    except PolicyError as error:
        raise UsageProblem(error.message) from error
    answer = session.client.call(
        "governance.policies.publish",
        gate=policy.name,
        content=text.decode(),
        reason=reason,
        **({"issue": issue} if issue else {}),
        **session.sited,
    )
    done = read_as(PolicyVersionShown, answer)
    session.emit(answer, facts([("gate", done.gate), ("version", done.version), ("digest", done.digest)]))


def _read(file: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(MAX_POLICY_BYTES + 1)  # one more says that it is too large
    except OSError as error:
        raise UsageProblem(f"{file} can't be read: {error.strerror}") from error
