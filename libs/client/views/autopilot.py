"""The autopilot: a plan step by step, a run, its history, and what looks wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, facts, of_line, plain, table
from libs.client.views.general import failed, words
from libs.common.contracts.tracker.autopilot import AutopilotRun, Guard, GuardShown, PlanStep, Preview, Switch
from libs.common.contracts.tracker.autopilot_policy import AutopilotPolicy
from libs.common.contracts.tracker.autopilot_reports import Anomalies, History

WATCHED = ("open_items", "unassigned_open_count", "overdue_count", "critical_open_count")


def previewed(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The plan, and how to approve it."""
    seen = read_as(Preview, answer)
    parts = _steps(seen.plan.steps) or [Text("A run would do nothing now.")]
    if seen.plan.left_out_count:
        parts.append(Text(f"{seen.plan.left_out_count} more steps are left to later runs (max_touched_items)."))
    parts += [Text(clean(error), style="red") for error in seen.errors]
    parts += [Text(), _may(seen.switch, seen.policy, seen.guard)]
    if seen.plan_hash is not None:
        parts.append(Text(f"Approve until {seen.ends_at:%Y-%m-%d %H:%M} UTC:"))
        parts.append(Text(f"headgate autopilot run --plan-hash {seen.plan_hash}", no_wrap=True, overflow="ignore"))
    session.emit(answer, *parts)


def guarded(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Whether it may act, and what it sees."""
    shown = read_as(GuardShown, answer)
    figures = [(words(name), getattr(shown.evaluation.metrics, name)) for name in WATCHED]
    planned = ", ".join(words(action) for action in shown.evaluation.planned_actions) or "nothing"
    may = _may(shown.switch, shown.policy, shown.guard)
    session.emit(answer, may, facts([*figures, ("called for", planned)]))


def _may(switch: Switch, policy: AutopilotPolicy, guard: Guard) -> Text:
    if switch.stopped:
        where = "at every site" if switch.scope == "global" else "here"
        said = f"Stopped {where} by {clean(switch.stopped_by)}: {clean(switch.reason)}"
        return Text(said, style="red")
    if not policy.enabled:
        return Text("It is disabled by its policy.", style="yellow")
    if guard.reason == "cooldown_active":
        return Text(f"It has acted a short while ago; it may again in {guard.minutes_until_ready} min.", style="yellow")
    return Text("It may act now.", style="green")


def _steps(steps: Sequence[PlanStep]) -> list[RenderableType]:
    if not steps:
        return []
    rows = [
        (words(step.action), step.item_id, step.rule_id, step.subject + of_line(step.line), _to(step), step.why)
        for step in steps
    ]
    return [table(("action", "item", "rule", "subject", "to", "why"), rows)]


def _to(step: PlanStep) -> str:
    return step.assignee or ", ".join(step.targets) or "nobody"


def ran(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """What a run did, what it changed, and what did not move; of one that failed the reason."""
    if failed(session, answer):
        return
    run = read_as(AutopilotRun, answer)
    parts: list[RenderableType] = [Text.assemble(plain(run.status), f"  run {run.run_id}: {_did(run)}")]
    rows = [(words(name), getattr(run.metrics, name), getattr(run.metrics_after, name)) for name in WATCHED]
    parts += [*_steps(run.planned_steps), Text(), table(("", "before", "after"), rows)]
    for check in run.checks:
        if not check.ok:
            missing = ", ".join(str(item) for item in check.not_moved)
            parts.append(Text(f"{words(check.action)}: these did not move as planned: {missing}", style="red"))
    parts += [Text(clean(error), style="red") for error in run.errors]
    session.emit(answer, *parts)


def _did(run: AutopilotRun) -> str:
    if run.skipped:
        return f"skipped, {words(run.skip_reason or '')}"
    if run.shadow:
        return f"in shadow, would touch {len({step.item_id for step in run.planned_steps})} items"
    done = ", ".join(words(action) for action in run.actions) or "nothing"
    return f"dry, {done}" if run.dry_run else f"{done}; {run.touched_count} items touched"


def past(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The runs, newest first."""
    rows = [
        (run.run_id, run.finished_at, run.trigger, plain(run.status), words(run.skip_reason or "")
         or ("shadow" if run.shadow else "dry" if run.dry_run else ", ".join(words(one) for one in run.actions)),
         run.touched_count, run.open_items, run.overdue_count, "undone" if run.undone_at else None)
        for run in read_as(History, answer).items
    ]  # fmt: skip
    columns = ("run", "when", "by", "status", "what", "touched", "open", "overdue", "")
    session.emit(answer, table(columns, rows))


def wrong(session: Session, answer: Any, _fields: Mapping[str, Any]) -> int:
    """What looks wrong; exit code 1 if anything critical does."""
    found = read_as(Anomalies, answer)
    if not found.anomalies:
        session.emit(answer, Text("Nothing looks wrong.", style="green"))
        return 0
    rows = [(one.severity, one.code, one.message, one.recommendation) for one in found.anomalies]
    session.emit(answer, table(("severity", "code", "what", "what to do"), rows))
    return int(found.health_status == "critical")


View = Callable[[Session, Any, Mapping[str, Any]], int | None]
BY_RESULT: dict[Any, View] = {
    Preview: previewed,
    GuardShown: guarded,
    AutopilotRun: ran,
    History: past,
    Anomalies: wrong,
}
