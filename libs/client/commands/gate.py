"""``headgate gate …`` and ``headgate plan …``: verdicts with their reasons, and what must be done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from libs.client.errors import ApiError, ClientError
from libs.client.http import given, read_as
from libs.client.session import Session, command
from libs.client.show import NAMES, STYLES, clean, facts, plain, table, when
from libs.client.targets import target_fields
from libs.common.contracts.base import Page
from libs.common.contracts.governance.gates import GateInfo
from libs.common.contracts.governance.plans import Plan
from libs.common.contracts.governance.runs import GateRun, RuleResult
from libs.common.contracts.tracker.items import Item

gates = typer.Typer(no_args_is_help=True, help="Gates: policies, verdicts and their reasons.")
plans = typer.Typer(no_args_is_help=True, help="Remediation plans.")

RUN_ID = re.compile("[0-9]{1,19}")
GateArgument = Annotated[str, typer.Argument(help="The gate's name, such as release.")]
TargetArgument = Annotated[
    str | None, typer.Argument(metavar="[SUBJECT@VERSION]", help="What is judged; split at the last @.")
]
SubjectOption = Annotated[str | None, typer.Option("--subject", help="The software that is judged.")]
VersionOption = Annotated[str | None, typer.Option("--version", help="Its version.")]


@command(gates, "list")
def list_gates(session: Session) -> None:
    """List the gates."""
    answer = session.client.call("governance.gates.list")
    rows = [(gate.gate, gate.title, gate.subject_mode, len(gate.rules)) for gate in read_as(list[GateInfo], answer)]
    session.emit(answer, table(("gate", "title", "judges a", "rules"), rows))


@command(gates, "show")
def show_gate(session: Session, gate: GateArgument) -> None:
    """Show a gate's policy."""
    answer = session.client.call("governance.gates.get", gate=gate)
    info = read_as(GateInfo, answer)
    rows = [
        (rule.id, "required" if rule.required else "optional", rule.weight, rule.kind, _hours(rule.max_age_hours),
         rule.owner_role, f"{rule.sla_hours} h", rule.condition)
        for rule in info.rules
    ]  # fmt: skip
    head = facts([("gate", info.gate), ("title", info.title), ("about", info.description),
                  ("policy digest", info.policy_digest)])  # fmt: skip
    columns = ("rule", "", "weight", "fact", "not older than", "owner", "SLA", "passes if")
    session.emit(answer, head, Text(), table(columns, rows))


def _hours(hours: float | None) -> str:
    return "any age" if hours is None else f"{hours:g} h"


@command(gates, "run", judges=True)
def run_gate(
    session: Session,
    gate: GateArgument,
    target: TargetArgument = None,
    subject: SubjectOption = None,
    version: VersionOption = None,
) -> int:
    """Judge now. Exit code 0: GO, 1: NO-GO, 2: could not judge."""
    fields = target_fields(target, subject, version)
    answer = session.client.call("governance.gate.run", gate=gate, **fields, **session.sited)
    run = read_as(GateRun, answer)
    session.emit(answer, headline(run), Text(), _verdict_table(run), *_other_reasons(run))
    return 0 if run.decision == "go" else 1


@command(gates, "explain", judges=True)
def explain(
    session: Session,
    gate: GateArgument,
    which: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's id, or SUBJECT@VERSION; else the newest run.")
    ] = None,
    subject: SubjectOption = None,
    version: VersionOption = None,
) -> int:
    """Explain a verdict: what was observed, what is wanted, who mends it by when. Exit code as of that verdict."""
    run_id = int(which) if which is not None and RUN_ID.fullmatch(which) else None
    if run_id is None:
        wanted = target_fields(which, subject, version)
        page = session.client.gate_runs(gate, limit=1, **wanted, **session.sited)
        if not page.items:
            raise ClientError(f"The gate {gate} has not judged this yet; run: headgate gate run {gate}")
        run_id = page.items[0].run_id
    answer = session.client.call("governance.runs.get", gate=gate, run_id=run_id, **session.sited)
    run = read_as(GateRun, answer)
    session.emit(answer, headline(run))
    if not session.json:
        items = {} if run.decision == "go" and not run.summary.warning_count else _items_of(session, run)
        for rule in run.rules:
            session.emit(None, Text(), _explained(run, rule, items.get(rule.id)))
    return 0 if run.decision == "go" else 1


@command(gates, "history")
def history(
    session: Session,
    gate: GateArgument,
    target: TargetArgument = None,
    subject: SubjectOption = None,
    version: VersionOption = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many at the most.")] = 20,
) -> None:
    """List a gate's verdicts, newest first."""
    fields = target_fields(target, subject, version)
    answer = session.client.call("governance.runs.list", gate=gate, limit=limit, **fields, **session.sited)
    rows = [
        (run.run_id, run.decision, run.subject, run.version, f"{run.summary.weighted_score_percent:g} %",
         run.summary.failure_count, run.trigger, run.decided_at)
        for run in read_as(Page[GateRun], answer).items
    ]  # fmt: skip
    columns = ("run", "verdict", "subject", "version", "score", "failed", "trigger", "decided at")
    session.emit(answer, table(columns, rows))


@command(plans, "show")
def show_plan(
    session: Session,
    target: TargetArgument = None,
    gate: Annotated[str, typer.Option("--gate", help="The gate's name.")] = "operations",
    subject: SubjectOption = None,
    version: VersionOption = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    warnings: Annotated[bool, typer.Option("--warnings/--no-warnings", help="With optional rules too.")] = True,
    max_items: Annotated[int, typer.Option(min=1, max=200, help="How many items at the most.")] = 30,
) -> None:
    """Show the remediation plan of a gate as it stands now."""
    fields = given(include_warnings=warnings, max_items=max_items) | target_fields(target, subject, version)
    fields |= session.sited
    if csv:
        session.text(session.client.csv("governance.plan.get", gate=gate, **fields))
        return
    answer = session.client.call("governance.plan.get", gate=gate, **fields)
    plan = read_as(Plan, answer)
    rows = [
        (item.priority, item.rule_id, item.rule_status, item.owner_role, item.due_at, item.action, item.reason)
        for item in plan.items
    ]
    summary = f"{clean(NAMES.get(plan.decision))}: {plan.summary.item_count} of {plan.summary.total_candidates} items"
    columns = ("priority", "rule", "state", "owner", "due", "action", "reason")
    session.emit(answer, Text(summary, style=STYLES[plan.decision]), table(columns, rows))


def _other_reasons(run: GateRun) -> list[Text]:
    """Reasons against GO that no rule's line shows, such as a score that is too low."""
    shown = {rule.message for rule in run.rules}
    return [Text(clean(reason), style="red") for reason in run.reasons if not any(m in reason for m in shown)]


def headline(run: GateRun) -> Text:
    """The verdict in a line."""
    about = run.subject if not run.version else f"{run.subject} {run.version}"
    line = Text.assemble((NAMES[run.decision], STYLES[run.decision]), f"  {clean(run.gate)} gate, {clean(about)}")
    score = f"{run.summary.weighted_score_percent:g} %"
    line.append(f", score {score}, run {run.run_id} at {when(run.decided_at)}")
    if run.site != "global":
        line.append(f", site {clean(run.site)}")
    return line


def _verdict_table(run: GateRun) -> Table:
    rows = [(rule.status, rule.id, "" if rule.required else "optional", rule.message) for rule in run.rules]
    return table(("", "rule", "", "reason"), rows)


def _items_of(session: Session, run: GateRun) -> Mapping[str, Item]:
    """The tracked items of this run's rules; none when the caller may not read them."""
    try:
        found = session.client.items(gate=run.gate, subject=run.subject, limit=500, **session.sited)
    except ApiError:
        return {}
    return {item.rule_id: item for item in found if item.is_active}


def _explained(run: GateRun, rule: RuleResult, item: Item | None) -> Table:
    pairs: list[tuple[str, object]] = [(rule.id, plain(rule.status)), ("  reason", rule.message)]
    if rule.observed:
        pairs.append(("  observed", rule.observed))
    if rule.wanted:
        pairs.append(("  wanted", rule.wanted))
    if rule.baseline:
        pairs.append(("  baseline", rule.baseline))
    if rule.facts_used:
        pairs.append(("  signals", rule.facts_used))
    if not rule.passed:
        due = item.due_at if item else run.decided_at + timedelta(hours=rule.sla_hours)
        who = f"{rule.owner_role} ({item.assignee})" if item and item.assignee else rule.owner_role
        pairs.append(("  who mends it", f"{who}, by {when(due)}"))
        pairs.append(("  how", rule.action))
        if item:
            pairs.append(("  item", f"{item.id}, {item.status}"))
    return facts(pairs)
