"""What a verdict rests on and what changed since the last GO, in words."""

from __future__ import annotations

from rich.text import Text

from libs.client.show import clean, when
from libs.common.contracts.governance.explanations import Explanation, FactUsed, RuleExplained, TrendPoint

MARKS = {"pass": "+", "fail": "-", "warning": "!", "waived": "w", "shadow": "s"}  # in a trend, the oldest first


def since_last_go(told: Explanation) -> list[Text]:
    """What is different since the last GO."""
    if told.last_go is None:
        return [Text("It never was GO before.")]
    go = told.last_go
    head = f"Since the last GO (run {go.run_id}{of_version(go.version)}, {when(go.decided_at)}):"
    changes = told.changes or ["no rule turned, and nothing that it read is missing."]
    return [Text(clean(head)), *(Text(f"- {clean(change)}") for change in changes)]


def of_version(version: str) -> str:
    return f", version {version}" if version else ""


def pairs(rule: RuleExplained) -> list[tuple[str, object]]:
    """The facts with source and age, and the trend, as rows below a rule."""
    found: list[tuple[str, object]] = []
    lines = [_fact(fact) for fact in rule.facts]
    if rule.facts_left_out:
        lines.append(f"and {rule.facts_left_out} more")
    if lines:
        found.append(("  facts", Text("\n".join(lines))))
    if len(rule.trend) > 1:
        found.append(("  trend", Text("\n".join(trend(rule.trend)))))
    return found


def _fact(fact: FactUsed) -> str:
    old = "; new since the last GO" if fact.is_new else f"; was signal {fact.replaces}" if fact.replaces else ""
    who = f"{fact.actor}, {fact.source}" if fact.actor else fact.source
    return clean(f"signal {fact.signal_id}: {fact.kind} {fact.part} by {who}, {age(fact.age_hours)} old{old}")


def age(hours: float) -> str:
    """Hours as a person says them."""
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def trend(points: list[TrendPoint]) -> list[str]:
    """A mark for each run, and a row of numbers for each that the rule shows and that has moved."""
    seen: dict[str, set[float]] = {}
    for point in points:
        for name, value in point.values.items():
            seen.setdefault(name, set()).add(value)
    names = sorted(name for name, values in seen.items() if len(values) > 1)
    lines = ["".join(MARKS[point.status] for point in points)]
    return lines + [
        f"{clean(name)}: {' '.join(f'{point.values[name]:g}' if name in point.values else '?' for point in points)}"
        for name in names
    ]
