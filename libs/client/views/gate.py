"""Gates, verdicts and plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import NAMES, STYLES, clean, facts, of_line, table, when
from libs.common.contracts.base import Page
from libs.common.contracts.governance.admission import Admission
from libs.common.contracts.governance.forecasts import Forecast
from libs.common.contracts.governance.gates import GateInfo
from libs.common.contracts.governance.operations import OpsGate, OpsGateRun
from libs.common.contracts.governance.paths import Path, Repair
from libs.common.contracts.governance.plans import Plan
from libs.common.contracts.governance.runs import AcceptedUsed, GateRun, OverrideUsed, RuleResult, WaiverUsed
from libs.common.contracts.governance.seen import SeenBy
from libs.common.contracts.governance.stages import Stages
from libs.common.contracts.governance.verdicts import LatestVerdict

MOST_SHOWN = 1_000  # of a role's open items; the server counts no further


def gate_list(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The gates, one a line."""
    rows = [(gate.gate, gate.title, gate.subject_mode, len(gate.rules)) for gate in read_as(list[GateInfo], answer)]
    session.emit(answer, table(("gate", "title", "judges a", "rules"), rows))


def gate(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """A gate's policy."""
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


def verdict(session: Session, answer: Any, _fields: Mapping[str, Any]) -> int:
    """A verdict with each rule's reason; the exit code is the decision."""
    run = read_as(GateRun, answer)
    session.emit(answer, headline(run), Text(), _verdict_table(run), *_other_reasons(run))
    return 0 if run.decision == "go" else 1


def admission(session: Session, answer: Any, _fields: Mapping[str, Any]) -> int:
    """Whether a version may go; the exit code says it, too."""
    found = read_as(Admission, answer)
    decision = "go" if found.admitted else "no_go"
    about = f"{found.subject} {found.version}".strip() + of_line(found.line)
    about += f" ({found.artifact_digest})" if found.artifact_digest else ""
    line = Text.assemble(("ADMITTED" if found.admitted else "NOT ADMITTED", STYLES[decision]))
    line.append(f"  {clean(found.gate)} gate, {clean(about)}")
    if found.admitted:
        until = "nothing ends it" if found.valid_until is None else f"until {when(found.valid_until)}"
        line.append(f", by run {found.run_id}, {until}")
    first = [] if found.override is None else [overridden(found.override)]
    session.emit(answer, *first, line, *(Text(f"- {clean(reason)}") for reason in found.reasons))
    return 0 if found.admitted else 1


def path(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """What to repair so that it becomes GO."""
    found = read_as(Path, answer)
    if found.decision == "go":
        session.emit(answer, Text(f"Run {found.run_id} is GO already."))
        return
    when_ = "when a person lifts what holds it" if found.earliest_go_at is None else when(found.earliest_go_at)
    rows = [
        (one.rule_id, one.owner_role, f"{one.sla_hours} h", _load(one), one.action, one.reason) for one in found.repairs
    ]
    load = "load unknown" if found.load_known_since is None else f"{found.weighted_hours:g} h with the owners' load"
    head = Text(f"{len(rows)} repairs, {found.cost_hours} h together ({load}); GO at the earliest: {when_}")
    if found.waits_for_approval:
        head.append(", if persons approve it by then")
    held = [Text(clean(hold.message), style="red") for hold in found.holds]
    session.emit(answer, head, *held, table(("rule", "owner", "SLA", "open", "action", "reason"), rows))


def _load(one: Repair) -> str:
    return "?" if one.open_items is None else f"{one.open_items}{'+' if one.open_items >= MOST_SHOWN else ''}"


def forecast(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """What a gate will say, what turns on the way, and what to renew by when."""
    found = read_as(Forecast, answer)
    about = f"{found.subject} {found.version}".strip()
    line = Text.assemble((NAMES[found.then.decision], STYLES[found.then.decision]))
    line.append(f" at {when(found.then.at)}: {clean(found.gate)} gate, {clean(about)}, by the facts of now; ")
    line.append(f"now {NAMES[found.now.decision]}")
    lines = [line]
    if found.breaks_at is not None:
        lines.append(Text(f"It breaks first at {when(found.breaks_at)}.", style="red"))
    if found.held is not None:
        until = "no known end" if found.held.valid_until is None else f"until {when(found.held.valid_until)}"
        lines.append(Text(f"The GO of run {found.held.run_id} holds {until}."))
    lines += [Text(f"- {clean(reason)}") for reason in found.then.reasons]
    turns = [
        (turn.at, turn.after.replace("_", " "), "\n".join(
            [*turn.changes, *(f"{rule.rule_id}: {rule.before} → {rule.after}" for rule in turn.rules)]))
        for turn in found.turns
    ]  # fmt: skip
    renewals = [
        (one.begin_by, one.renew_by, one.times, f"{one.kind} {one.part}", one.owner_role, f"{one.sla_hours} h",
         one.action)
        for one in found.renewals
    ]  # fmt: skip
    tables: list[Any] = [Text(), table(("at", "verdict", "what turns"), turns)] if turns else []
    if found.known_until < found.then.at:
        tables.append(Text(f"What turns after {when(found.known_until)} is not listed: there is too much."))
    if renewals:
        columns = ("begin by", "renew by", "times", "fact", "owner", "SLA", "action")
        tables += [Text(), table(columns, renewals)]
    if found.repairs:
        rows = [(one.rule_id, one.owner_role, f"{one.sla_hours} h", one.action, one.reason) for one in found.repairs]
        tables += [Text(), table(("repair", "owner", "SLA", "action", "reason"), rows)]
    session.emit(answer, *lines, *tables)


def verdicts(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Verdicts, one a line."""
    rows = [
        (run.run_id, run.decision, run.subject, run.version, run.line, f"{run.summary.weighted_score_percent:g} %",
         run.summary.failure_count, run.trigger, run.decided_at)
        for run in read_as(Page[GateRun], answer).items
    ]  # fmt: skip
    columns = ("run", "verdict", "subject", "version", "line", "score", "failed", "trigger", "decided at")
    session.emit(answer, table(columns, rows))


def all_verdicts(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """The newest verdict of each line, one a line."""
    rows = [
        (one.gate, one.subject, one.line, one.version, one.decision, f"{one.score_percent:g} %", one.decided_at,
         one.changed_at, one.run_id)
        for one in read_as(Page[LatestVerdict], answer).items
    ]  # fmt: skip
    columns = ("gate", "subject", "line", "version", "verdict", "score", "decided at", "so since", "run")
    session.emit(answer, table(columns, rows))


def seen_by(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Who saw a verdict, one a line."""
    rows = [(one.username, one.first_seen_at, one.last_seen_at) for one in read_as(Page[SeenBy], answer).items]
    nobody = [] if rows else [Text("Nobody has said that they saw it.")]
    session.emit(answer, *nobody, *([table(("who", "first seen at", "last seen at"), rows)] if rows else []))


def stages(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """Where versions stand, one gate of a version a line."""
    found = read_as(Stages, answer)
    rows: list[tuple[Any, ...]] = []
    for one in found.versions:
        rows += [
            (one.version, stage.gate, stage.line, stage.verdict if stage.holds or stage.verdict == "NO_GO" else "over",
             stage.since, stage.valid_until, stage.run_id, stage.artifact_digest)
            for stage in one.stages
        ] or [(one.version, "", "", "not judged yet", None, None, "", one.artifact_digest)]  # fmt: skip
    columns = ("version", "gate", "line", "verdict", "holds since", "until", "run", "artifact")
    session.emit(answer, table(columns, rows))


def plan(session: Session, answer: Any, _fields: Mapping[str, Any]) -> None:
    """A remediation plan."""
    found = read_as(Plan, answer)
    rows = [
        (item.priority, item.rule_id, item.rule_status, item.owner_role, item.due_at, item.action, item.reason)
        for item in found.items
    ]
    count = f"{found.summary.item_count} of {found.summary.total_candidates} items"
    columns = ("priority", "rule", "state", "owner", "due", "action", "reason")
    session.emit(answer, Text(f"{NAMES[found.decision]}: {count}", style=STYLES[found.decision]), table(columns, rows))


def ops_verdict(session: Session, answer: Any, _fields: Mapping[str, Any]) -> int:
    """A verdict as callers of the facility system know it; the exit code is the decision."""
    shape = OpsGateRun if isinstance(answer, dict) and "run_id" in answer else OpsGate
    found: OpsGate = read_as(shape, answer)
    rows = [(rule.status, rule.id, "" if rule.required else "optional", rule.message) for rule in found.rules]
    score = f"  score {found.summary.weighted_score_percent:g} %, at {when(found.generated_at)}"
    line = Text.assemble((NAMES[found.decision], STYLES[found.decision]), score)
    session.emit(answer, line, Text(), table(("", "rule", "", "reason"), rows))
    return 0 if found.decision == "go" else 1


def headline(run: GateRun) -> Text:
    """The verdict in a line."""
    about = (run.subject if not run.version else f"{run.subject} {run.version}") + of_line(run.line)
    word = f"{NAMES[run.decision]}{' WITH WARNINGS' if run.verdict == 'GO_WITH_WARNINGS' else ''}"
    line = Text.assemble((word, STYLES[run.decision]), f"  {clean(run.gate)} gate, {clean(about)}")
    score = f"{run.summary.weighted_score_percent:g} %"
    line.append(f", score {score}, run {run.run_id} at {when(run.decided_at)}")
    if run.artifact_digest:
        by = "" if run.artifact_signal_id is None else f", named by signal {run.artifact_signal_id}"
        line.append(f", artifact {run.artifact_digest}{by}")
    if run.site != "global":
        line.append(f", site {clean(run.site)}")
    return line if run.override is None else Text("\n").join([overridden(run.override), line])


def overridden(one: OverrideUsed) -> Text:
    """By whose word it is GO against the verdict, until when."""
    by = "confirmed by nobody yet" if one.confirmed_by is None else f"confirmed by {one.confirmed_by}"
    issue = f", {one.issue}" if one.issue else ""
    words = f"override {one.override_id} of run {one.run_id} by {one.given_by}, until {when(one.until)}{issue}, {by}"
    return Text(clean(f"OVERRIDDEN  {words}: {one.reason}"), style="red")


def _verdict_table(run: GateRun) -> Table:
    rows = [(rule.status, rule.id, "" if rule.required else "optional", _reason(rule)) for rule in run.rules]
    return table(("", "rule", "", "reason"), rows)


def _reason(rule: RuleResult) -> str:
    accepted = (f"Waived {accepted_words(one)}." for one in rule.accepted)
    return " ".join([rule.message, *(f"Waived {waived(one)}." for one in rule.waivers), *accepted])


def waived(waiver: WaiverUsed) -> str:
    """Until when a rule, or a finding of it, does not count, by whose word."""
    of = f" for {waiver.fingerprint}" if waiver.fingerprint else ""
    issue = f", {waiver.issue}" if waiver.issue else ""
    why = waiver.reason.rstrip(".")
    return clean(f"until {when(waiver.ends_at)} by {waiver.approved_by}{of} (waiver {waiver.waiver_id}{issue}): {why}")


def accepted_words(one: AcceptedUsed) -> str:
    """Until when known findings and vanished tests may be there, by whose word."""
    issue, why = f", {one.issue}" if one.issue else "", one.reason.rstrip(".")
    what = f"{one.finding_count} findings and {one.vanished_count} vanished tests"
    by = f"until {when(one.ends_at)} by {one.approved_by}"
    return clean(f"{by} for {what} since {when(one.begins_at)} (accepted baseline {one.accepted_id}{issue}): {why}")


def _other_reasons(run: GateRun) -> list[Text]:
    """Reasons against GO that no rule's line shows, such as a score that is too low."""
    shown = {rule.message for rule in run.rules}
    return [Text(clean(reason), style="red") for reason in run.reasons if not any(m in reason for m in shown)]


BY_RESULT: dict[Any, Callable[[Session, Any, Mapping[str, Any]], int | None]] = {
    list[GateInfo]: gate_list,
    GateInfo: gate,
    Admission: admission,
    GateRun: verdict,
    Page[GateRun]: verdicts,
    Page[LatestVerdict]: all_verdicts,
    Page[SeenBy]: seen_by,
    Path: path,
    Forecast: forecast,
    Plan: plan,
    Stages: stages,
    OpsGate: ops_verdict,
    OpsGateRun: ops_verdict,
}
