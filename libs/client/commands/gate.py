"""``headgate gate explain | capsule | watch``: a verdict rule by rule, with who mends what by when, and its proof."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from libs.client.commands import approve, baseline
from libs.client.commands.watching import Watch
from libs.client.completion import gates as gates_there
from libs.client.completion import subjects
from libs.client.errors import ApiError, ClientError
from libs.client.http import read_as
from libs.client.session import Session, command
from libs.client.show import clean, facts, plain, when
from libs.client.targets import target_fields
from libs.client.views.explained import pairs, since_last_go
from libs.client.views.gate import headline, waived
from libs.client.views.markdown import summary
from libs.common.contracts.governance.explanations import Explanation
from libs.common.contracts.governance.runs import GateRun, RuleResult
from libs.common.contracts.tracker.items import Item

gates = typer.Typer(no_args_is_help=True, help="Gates: policies, verdicts and their reasons.")
approve.add_to(gates)
baseline.add_to(gates)

RUN_ID = re.compile("[0-9]{1,19}")
GateArgument = Annotated[str, typer.Argument(help="The gate's name, such as release.", autocompletion=gates_there)]
SubjectOption = Annotated[
    str | None, typer.Option("--subject", help="The software that is judged.", autocompletion=subjects)
]
VersionOption = Annotated[str | None, typer.Option("--version", help="Its version.")]
WhichArgument = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="A run's id, or SUBJECT@VERSION; else the newest run.")
]
OutputOption = Annotated[
    str, typer.Option("--output", "-o", help="The file to write; without it the answer goes to standard output.")
]


@command(gates, "explain", judges=True)
def explain(
    session: Session,
    gate: GateArgument,
    which: WhichArgument = None,
    subject: SubjectOption = None,
    version: VersionOption = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown, for the summary of a pipeline.")] = False,
) -> int:
    """Explain a verdict: what was observed, what is wanted, who mends it by when. Exit code as of that verdict."""
    run_id = _run_id(session, gate, which, subject, version)
    answer = session.client.call("governance.runs.get", gate=gate, run_id=run_id, **session.sited)
    run = read_as(GateRun, answer)
    explained = _explanation(session, gate, run_id)
    told = None if explained is None else read_as(Explanation, explained)
    if markdown:
        session.text(summary(run, told))
        return 0 if run.decision == "go" else 1
    session.emit({**answer, "explanation": explained}, headline(run), *(since_last_go(told) if told else ()))
    if not session.json:
        of_rule = {one.rule_id: pairs(one) for one in told.rules} if told else {}
        items = {} if run.decision == "go" and not run.summary.warning_count else _items_of(session, run)
        for rule in run.rules:
            session.emit(None, Text(), _explained(run, rule, items.get(rule.id), of_rule.get(rule.id, [])))
    return 0 if run.decision == "go" else 1


@command(gates, "watch", judges=True)
def watch(
    session: Session,
    gate: GateArgument,
    which: Annotated[str | None, typer.Argument(metavar="[SUBJECT@VERSION]", help="Only of this; else all.")] = None,
    subject: SubjectOption = None,
    version: VersionOption = None,
    until_go: Annotated[bool, typer.Option("--until-go", help="Stop as soon as a verdict is GO.")] = False,
) -> None:
    """Show the newest verdict, each that comes, and when a GO is over, until Ctrl-C."""
    try:
        for run in Watch(session, gate, target_fields(which, subject, version)).verdicts():
            if until_go and run.decision == "go":
                return
    except KeyboardInterrupt:
        return  # the usual end of watching


@command(gates, "capsule")
def capsule(
    session: Session,
    gate: GateArgument,
    which: WhichArgument = None,
    subject: SubjectOption = None,
    version: VersionOption = None,
    output: OutputOption = "-",
) -> None:
    """Write the capsule of a decision, for `headgate verify`: of the newest run, or of the one given."""
    run_id = _run_id(session, gate, which, subject, version)
    session.save("governance.capsules.get", output, gate=gate, run_id=run_id, **session.sited)


def _explanation(session: Session, gate: str, run_id: int) -> Any:
    """The explanation, or None where the server is older than those."""
    try:
        return session.client.call("governance.explanations.get", gate=gate, run_id=run_id, **session.sited)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def _run_id(session: Session, gate: str, which: str | None, subject: str | None, version: str | None) -> int:
    """The run that is meant. Raises `ClientError` if nothing was judged yet."""
    if which is not None and RUN_ID.fullmatch(which):
        return int(which)
    page = session.client.gate_runs(gate, limit=1, **target_fields(which, subject, version), **session.sited)
    if not page.items:
        raise ClientError(f"The gate {gate} has not judged this yet; run: headgate gate run {gate}")
    return page.items[0].run_id


def _items_of(session: Session, run: GateRun) -> Mapping[str, Item]:
    """The tracked items of this run's rules; none when the caller may not read them."""
    try:
        found = session.client.items(gate=run.gate, subject=run.subject, line=run.line, limit=500, **session.sited)
    except ApiError:
        return {}
    return {item.rule_id: item for item in found if item.is_active}


def _explained(run: GateRun, rule: RuleResult, item: Item | None, told: list[tuple[str, object]]) -> Table:
    rows: list[tuple[str, object]] = [(rule.id, plain(rule.status)), ("  reason", rule.message)]
    if rule.observed:
        rows.append(("  observed", rule.observed))
    if rule.wanted:
        rows.append(("  wanted", rule.wanted))
    if rule.baseline:
        rows.append(("  baseline", rule.baseline))
    if rule.waivers:
        rows.append(("  waived", Text("\n".join(waived(one) for one in rule.waivers))))
    if rule.notes:
        rows.append(("  notes", Text("\n".join(clean(note) for note in rule.notes))))
    rows += told or ([("  signals", rule.facts_used)] if rule.facts_used else [])
    if not rule.passed:
        due = item.due_at if item else run.decided_at + timedelta(hours=rule.sla_hours)
        who = f"{rule.owner_role} ({item.assignee})" if item and item.assignee else rule.owner_role
        by = f"by {when(due)}" if due is not None else "without a deadline"
        if item and item.paused_at is not None:
            by += f"; the clock is paused: {clean(item.pause_reason)}"
        rows.append(("  who mends it", f"{who}, {by}"))
        rows.append(("  how", rule.action))
        if item:
            rows.append(("  item", f"{item.id}, {item.status}"))
    return facts(rows)
