"""A verdict as Markdown, for the summary of a pipeline. Text from outside is shown as it is and makes no markup."""

from __future__ import annotations

import re
from typing import Any

from libs.client.show import clean, of_line, when
from libs.common.contracts.governance.runs import GateRun, RuleResult

_MARKS = {"pass": "✅", "fail": "❌", "warning": "⚠️", "waived": "🕒", "shadow": "👁"}
_SIGNS = re.compile(r"[\\`*_{}\[\]()<>#+!|~&@:-]")


def summary(run: GateRun) -> str:
    """The verdict, its reasons, and each rule in a table."""
    about = f"{run.subject} {run.version}".strip() + of_line(run.line)
    lines = [f"## {run.verdict.replace('_', ' ')}: {_text(about)}", ""]
    score = f"{run.summary.weighted_score_percent:g} %"
    lines.append(f"Gate {_text(run.gate)}, run {run.run_id} at {when(run.decided_at)}, score {score}.")
    if run.valid_until is not None:
        lines.append(f"This GO holds until {when(run.valid_until)} at the most.")
    lines += ["", "| | rule | reason | who mends it |", "|---|---|---|---|"]
    lines += [_row(rule) for rule in run.rules]
    if others := [reason for reason in run.reasons if reason not in {rule.message for rule in run.rules}]:
        lines += ["", *(f"- {_text(reason)}" for reason in others)]
    if run.capsule_sha256:
        lines += ["", f"Proof: capsule `{run.capsule_sha256}`."]
    return "\n".join(lines) + "\n"


def _row(rule: RuleResult) -> str:
    who = "" if rule.status == "pass" else f"{rule.owner_role} within {rule.sla_hours} h: {rule.action}"
    cells = (_MARKS.get(rule.status, ""), _text(rule.id), _text(rule.message), _text(who))
    return f"| {' | '.join(cells)} |"


def _text(value: Any) -> str:
    """What was sent by others, with every sign that could be markup, a link or a mention taken by its word."""
    return _SIGNS.sub(lambda sign: f"&#{ord(sign[0])};", clean(value))
