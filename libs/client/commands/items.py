"""``headgate items …``: the board of remediation items."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from libs.client.errors import ApiError, UsageProblem
from libs.client.http import given, read_as
from libs.client.session import Session, command
from libs.client.show import clean, facts, plain, table
from libs.common.contracts.tracker.board import Overview, SyncResult
from libs.common.contracts.tracker.completion import Completion, Readiness
from libs.common.contracts.tracker.items import Item

items = typer.Typer(no_args_is_help=True, help="Remediation items: who does what by when.")

GateOption = Annotated[str, typer.Option("--gate", help="The gate whose board this is.")]
SubjectOption = Annotated[str | None, typer.Option("--subject", help="The software (else: the site).")]
VersionOption = Annotated[str | None, typer.Option("--version", help="The version to judge afresh.")]
ItemArgument = Annotated[int, typer.Argument(help="The item's number.")]


@command(items, "list")
def list_items(
    session: Session,
    gate: GateOption = "operations",
    subject: SubjectOption = None,
    status: Annotated[str | None, typer.Option("--status", help="pending, in_progress, blocked or done.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Resolved items too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at the most.")] = 200,
) -> None:
    """List items: active first, then by priority and due time."""
    fields = given(subject=subject, status=status) | session.sited
    answer = session.client.call("tracker.items.list", gate=gate, include_inactive=everything, limit=limit, **fields)
    rows = [
        (item.id, item.rule_id, item.subject, item.version, item.status if item.is_active else "resolved",
         item.assignee or "nobody", item.owner_role, item.due_at, item.reason)
        for item in read_as(list[Item], answer)
    ]  # fmt: skip
    columns = ("item", "rule", "subject", "version", "status", "assignee", "owner", "due", "reason")
    session.emit(answer, table(columns, rows) if rows else Text("No items."))


@command(items, "show")
def show_item(session: Session, item_id: ItemArgument) -> None:
    """Show an item."""
    answer = session.client.call("tracker.items.get", item_id=item_id, **session.sited)
    session.emit(answer, facts(list(read_as(Item, answer))))


@command(items, "patch")
def patch_item(
    session: Session,
    item_id: ItemArgument,
    assignee: Annotated[str | None, typer.Option("--assignee", help="Who does it; empty: nobody.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="pending, in_progress, blocked or done.")] = None,
    note: Annotated[str | None, typer.Option("--note", help="The completion note.")] = None,
    checked: Annotated[bool | None, typer.Option("--checked/--unchecked", help="The completion was checked.")] = None,
) -> None:
    """Assign an item, move it, note on it, or claim it done (a later run confirms the claim)."""
    fields = given(assignee=assignee, status=status, completion_note=note, completion_checked=checked)
    if not fields:
        raise UsageProblem("Nothing to change; give --assignee, --status, --note or --checked.")
    answer = session.client.call("tracker.item.patch", item_id=item_id, **fields, **session.sited)
    item = read_as(Item, answer)
    who = clean(item.assignee) or "nobody"
    session.emit(answer, Text.assemble(f"Item {item.id} ({clean(item.rule_id)}): ", plain(item.status), f", {who}"))


@command(items, "sync")
def sync(
    session: Session,
    gate: GateOption = "operations",
    subject: SubjectOption = None,
    version: VersionOption = None,
) -> None:
    """Run the gate afresh and bring the board in line with it."""
    fields = given(subject=subject, version=version) | session.sited
    answer = session.client.call("tracker.board.sync", gate=gate, **fields)
    result = read_as(SyncResult, answer)
    counts = (
        f"{result.created_count} created, {result.reopened_count} reopened, {result.resolved_count} resolved, "
        f"{result.active_count} active"
    )
    session.emit(answer, Text.assemble(plain(result.decision), f"  {counts}"))


@command(items, "overview")
def overview(session: Session, gate: GateOption = "operations", subject: SubjectOption = None) -> None:
    """Show the counts of a board."""
    answer = session.client.call("tracker.overview.get", gate=gate, **given(subject=subject), **session.sited)
    session.emit(answer, facts([(_words(name), value) for name, value in read_as(Overview, answer)]))


@command(items, "readiness")
def readiness(session: Session, gate: GateOption = "operations", subject: SubjectOption = None) -> int:
    """Show whether a board may be completed, and what stands in the way. Exit code 1: not ready."""
    answer = session.client.call("tracker.readiness.get", gate=gate, **given(subject=subject), **session.sited)
    ready = read_as(Readiness, answer)
    verdict = Text("Ready", style="green") if ready.ready else Text("Not ready", style="red")
    blockers = [Text(f"  {clean(blocker)}") for blocker in ready.blockers]
    session.emit(answer, Text.assemble(verdict, f", {ready.readiness_score_percent} %"), *blockers)
    return 0 if ready.ready else 1


@command(items, "complete")
def complete(
    session: Session,
    gate: GateOption = "operations",
    subject: SubjectOption = None,
    version: VersionOption = None,
    note: Annotated[str, typer.Option("--note", help="The completion note.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Close it with exceptions.")] = False,
) -> None:
    """Close a board, if a fresh run of the gate agrees."""
    fields = given(subject=subject, version=version) | session.sited
    try:
        answer = session.client.call("tracker.board.complete", gate=gate, completion_note=note, force=force, **fields)
    except ApiError as error:
        for blocker in error.problem.get("blockers", []):
            session.note(f"  {clean(blocker)}")
        raise
    done = read_as(Completion, answer)
    session.emit(answer, Text(f"{clean(_words(done.status))} by {clean(done.completed_by)}", style="green"))


def _words(name: str) -> str:
    return name.replace("_", " ")
