"""A verdict as Markdown, for the summary of a pipeline. Text from outside is shown as it is and makes no markup."""

from __future__ import annotations

import re
from typing import Any

from libs.client.show import clean, of_line, when
from libs.client.views.explained import of_version
from libs.common.contracts.governance.explanations import Explanation
from libs.common.contracts.governance.runs import GateRun, RuleResult

_MARKS = {"pass": "✅", "fail": "❌", "warning": "⚠️", "waived": "🕒", "shadow": "👁"}
_SIGNS = re.compile(r"[\\`*_{}\[\]()<>#+!|~&@:-]")


def summary(run: GateRun, told: Explanation | None = None) -> str:
    """The verdict, its reasons, each rule in a table, and what changed since the last GO."""
    about = f"{run.subject} {run.version}".strip() + of_line(run.line)
    lines = [f"## {run.verdict.replace('_', ' ')}: {_text(about)}", ""]
    score = f"{run.summary.weighted_score_percent:g} %"
    lines.append(f"Gate {_text(run.gate)}, run {run.run_id} at {when(run.decided_at)}, score {score}.")
    if run.artifact_digest:
        lines.append(f"Artifact: `{run.artifact_digest}`.")
    if run.override is not None:
        one = run.override
        by = "nobody yet" if one.confirmed_by is None else one.confirmed_by
        lines.append(
            f"**Overridden** by {_text(one.given_by)} until {when(one.until)} ({_text(one.issue)}), confirmed by "
            f"{_text(by)}: {_text(one.reason)} It would be NO GO: {_text(' '.join(one.against))}"
        )
    if run.valid_until is not None:
        lines.append(f"This GO holds until {when(run.valid_until)} at the most.")
    lines += ["", "| | rule | reason | who mends it |", "|---|---|---|---|"]
    lines += [_row(rule) for rule in run.rules]
    if others := [reason for reason in run.reasons if reason not in {rule.message for rule in run.rules}]:
        lines += ["", *(f"- {_text(reason)}" for reason in others)]
    lines += _since(told) if told else []
    if run.capsule_sha256:
        lines += ["", f"Proof: capsule `{run.capsule_sha256}`."]
    return "\n".join(lines) + "\n"


def _since(told: Explanation) -> list[str]:
    if told.last_go is None:
        return ["", "It never was GO before."]
    head = f"Since the last GO (run {told.last_go.run_id}{of_version(told.last_go.version)}):"
    changes = told.changes or ["no rule turned, and nothing that it read is missing."]
    return ["", _text(head), "", *(f"- {_text(change)}" for change in changes)]


def _row(rule: RuleResult) -> str:
    who = "" if rule.status == "pass" else f"{rule.owner_role} within {rule.sla_hours} h: {rule.action}"
    cells = (_MARKS.get(rule.status, ""), _text(rule.id), _text(rule.message), _text(who))
    return f"| {' | '.join(cells)} |"


def _text(value: Any) -> str:
    """What was sent by others, with every sign that could be markup, a link or a mention taken by its word."""
    return _SIGNS.sub(lambda sign: f"&#{ord(sign[0])};", clean(value))
