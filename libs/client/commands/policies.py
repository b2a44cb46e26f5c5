"""``headgate policies …``: check a policy's file without any server, try it on stored decisions, publish it."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import unified_diff
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError

from libs.client.errors import UsageProblem
from libs.client.files import read_input
from libs.client.http import read_as
from libs.client.session import Session, command
from libs.client.show import clean, counted, facts
from libs.client.views.policies import backtest_view
from libs.common.contracts.governance.backtests import MAX_FLIPS_KEPT, MAX_LAST, Backtest, BacktestShown
from libs.common.contracts.governance.own_kinds import KindsDeclared
from libs.common.contracts.governance.policies import PolicyDiff, PolicyVersionShown
from libs.judge.keptn import import_slo
from libs.judge.lint import lint, lint_kinds
from libs.judge.lockout import cautions
from libs.judge.own_kinds import OwnKind, compiled
from libs.judge.own_schemas import BadSchema
from libs.judge.policy import Policy, PolicyError, parse_policy
from libs.judge.policy_schema import policy_schema
from libs.judge.policy_tests import run_cases
from libs.judge.policy_yaml import MAX_POLICY_BYTES

POLL_S = 1.0

policies = typer.Typer(no_args_is_help=True, help="Policies: what a gate asks, its versions and drafts.")

GateArgument = Annotated[str, typer.Argument(metavar="GATE", help="The gate's name, such as release.")]
FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="The policy's YAML file.")]
KindsOption = Annotated[
    str | None, typer.Option("--kinds", help="The kinds of one's own, as `headgate kinds show --json` says them.")
]


@command(policies, "lint", judges=True)
def lint_file(
    session: Session,
    file: FileArgument,
    kinds: KindsOption = None,
) -> int:
    """Check a policy's file and run its tests, without any server. Exit code 0: it may be published, 1: not."""
    text, own = _read(file), _kinds(kinds)
    policy: Policy | None = None
    warned: tuple[str, ...] = ()
    try:
        policy = parse_policy(text, Path(file).name)
        warned = cautions(policy)
        problems = [*lint(policy, datetime.now(UTC)), *lint_kinds(policy, own), *run_cases(policy, own)]
    except PolicyError as error:
        problems = [error.message]
    tests = len(policy.cases) if policy is not None else 0
    tested = f"{counted(tests, 'test')} passed" if tests else "it has no tests of its own"
    said = [clean(problem) for problem in problems] or [f"{Path(file).name} may be published; {tested}."]
    said += [clean(f"Warning: {caution}.") for caution in warned]
    session.emit({"problems": problems, "warnings": list(warned), "tests": tests}, *said)
    return 1 if problems else 0


@command(policies, "test", judges=True)
def run_tests(session: Session, file: FileArgument, kinds: KindsOption = None) -> int:
    """Run the tests of a policy's file, without any server. Exit code 0: all pass, 1: not, or there are none."""
    try:
        policy = parse_policy(_read(file), Path(file).name)
    except PolicyError as error:
        session.emit({"problems": [error.message], "tests": 0}, clean(error.message))
        return 1
    problems = run_cases(policy, _kinds(kinds))
    failed = [case.name for case in policy.cases if any(f": test {case.name}: " in problem for problem in problems)]
    said = [f"failed  {case.name}" if case.name in failed else f"passed  {case.name}" for case in policy.cases]
    if not policy.cases:
        problems = (f"{policy.file} has no tests; write some under the key tests.",)
    session.emit({"problems": list(problems), "tests": len(policy.cases)}, *map(clean, (*said, *problems)))
    return int(bool(problems))


@command(policies, "schema")
def schema(session: Session) -> None:
    """Print the JSON Schema of a policy's YAML, for an editor, without any server."""
    session.text(orjson.dumps(policy_schema(), option=orjson.OPT_INDENT_2).decode())


@command(policies, "diff")
def diff(
    session: Session,
    gate: GateArgument,
    version: Annotated[int | None, typer.Argument(min=1, help="A version: what it changed.")] = None,
    file: Annotated[str | None, typer.Option("--file", help="A file: what publishing it would change.")] = None,
    against: Annotated[int | None, typer.Option("--against", min=0, help="The version to compare with.")] = None,
) -> int:
    """Show what a version changed, or what publishing a file would. Exit code 0: nothing, 1: something."""
    if (version is None) == (file is None):
        raise UsageProblem("Give a version, such as `policies diff release 3`, or --file FILE.")
    if file is not None:
        if against is not None:
            raise UsageProblem("--against goes with a version; a file is compared with what is in force.")
        with BytesIO() as held:
            session.client.download("governance.policies.export", held, gate=gate, **session.sited)
            before = held.getvalue().decode()
        names = f"{gate} in force", Path(file).name
        lines = list(unified_diff(before.splitlines(), _text(file).splitlines(), *names, lineterm=""))
        answer: Any = {"gate": gate, "lines": lines}
    else:
        key: dict[str, Any] = {"gate": gate, "version": version, **({} if against is None else {"against": against})}
        answer = session.client.call("governance.policies.diff", **key, **session.sited)
        lines = read_as(PolicyDiff, answer).lines
    session.emit(answer, *map(clean, lines))
    return int(bool(lines))


@command(policies, "import-keptn", judges=True)
def import_keptn(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="SLO", help="Keptn's SLO file; - is stdin.")],
    name: Annotated[str, typer.Option("--name", help="The gate's name, such as shop-slo.")],
    sli: Annotated[str | None, typer.Option("--sli", help="The SLI file with the queries, kept as remarks.")] = None,
    max_age_hours: Annotated[float, typer.Option("--max-age-hours", help="How old the figures may be.")] = 24,
    kinds_out: Annotated[
        str | None, typer.Option("--kinds-out", help="Where to write the kind of the figures.")
    ] = None,
) -> int:
    """Write a policy that judges by Keptn's SLO file, without any server. Exit code 0: written, 1: it can't be kept."""
    try:
        made = import_slo(read_input(file), name, Path(file).name, read_input(sli) if sli else None, max_age_hours)
        policy = parse_policy(made.text.encode(), f"{name}.yaml") if made.kind is not None else None
    except PolicyError as error:
        session.emit({"policy": "", "notes": [], "problems": [error.message]}, clean(error.message))
        return 1
    problems = list(made.problems)
    if policy is not None and made.kind is not None:
        problems += [*lint(policy, datetime.now(UTC)), *lint_kinds(policy, (made.kind,))]
    if problems or made.kind is None:
        session.emit({"policy": "", "notes": list(made.notes), "problems": problems}, *map(clean, problems))
        return 1
    declared = {"name": made.kind.name, "noun": made.kind.noun, "totals": list(made.kind.totals),
                "json_schema": orjson.loads(made.kind.schema)}  # fmt: skip
    if kinds_out is not None:
        try:
            Path(kinds_out).write_bytes(orjson.dumps({"kinds": [declared]}, option=orjson.OPT_INDENT_2))
        except OSError as error:
            raise UsageProblem(f"{kinds_out} can't be written: {error.strerror}.") from error
    for note in made.notes:
        session.note(f"headgate: {note}")
    if session.json:
        session.emit({"policy": made.text, "kinds": [declared], "notes": list(made.notes), "problems": []})
    else:
        session.text(made.text.rstrip("\n"))
    return 0


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


@command(policies, "backtest")
def backtest(
    session: Session,
    gate: GateArgument,
    file: Annotated[str | None, typer.Option("--file", help="The policy's YAML file (else: the site's draft).")] = None,
    last: Annotated[int, typer.Option("--last", min=1, max=MAX_LAST, help="How many of the newest decisions.")] = 1_000,
) -> int:
    """Judge a site's stored decisions again by a file that is not published; list each verdict that it flips."""
    fields: dict[str, Any] = {"gate": gate, "last_count": last, **session.sited}
    if file is not None:
        fields["content"] = _text(file)
    begun = read_as(Backtest, session.client.call("governance.policies.backtest", **fields))
    key: dict[str, Any] = {"gate": gate, "backtest_id": begun.backtest_id, "limit": MAX_FLIPS_KEPT, **session.sited}
    with session.progress("Judging again", begun.total_count) as done:
        while True:
            answer = session.client.call("governance.policies.show_backtest", **key)
            found = read_as(BacktestShown, answer)
            done(found.done_count)
            if found.state in ("done", "failed"):
                break
            session.client.sleep(POLL_S)
    session.emit(answer, *backtest_view(found))
    return int(found.state == "failed")


def _kinds(file: str | None) -> tuple[OwnKind, ...]:
    """The kinds in a file: what is published, or what the server answers to ``kinds show``; none without a file."""
    if file is None:
        return ()
    try:
        said = orjson.loads(read_input(file))
        content = KindsDeclared.model_validate(said.get("content", said) if isinstance(said, dict) else said)
        own = tuple(OwnKind.of(one.name, one.noun, one.json_schema, one.totals) for one in content.kinds)
        for one in own:
            compiled(one)
    except (orjson.JSONDecodeError, ValidationError, BadSchema) as error:
        raise UsageProblem(f"{file} holds no kinds that can be declared: {error}.") from error
    return own


def _text(file: str) -> str:
    try:
        return _read(file).decode()
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{file} is not UTF-8.") from error


def _read(file: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(MAX_POLICY_BYTES + 1)  # one more says that it is too large
    except OSError as error:
        raise UsageProblem(f"{file} can't be read: {error.strerror}") from error
