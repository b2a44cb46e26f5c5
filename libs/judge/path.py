"""The shortest path to GO: the cheapest set of rules whose repair turns a NO_GO into a GO."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ITEMS_AS_MUCH_AGAIN = 10
MAX_KEPT = 10_000  # choices that are followed at a time; with the 100 rules of a policy it is never reached in practice


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule as it was judged. ``status`` as in a verdict; ``cost_hours``: what its repair costs."""

    id: str
    status: str
    weight: float
    cost_hours: float


def cost(sla_hours: int, open_items: int | None) -> float:
    """What a repair costs: the hours it may take, and as much again for each ten other items that its owners have open.

    ``open_items`` None: nobody knows, so the hours alone count.
    """
    return sla_hours * (1 + (open_items or 0) / ITEMS_AS_MUCH_AGAIN)


def shortest_path(rules: Sequence[Judged], *, allow_warning: bool, min_score_percent: float) -> list[str]:
    """The ids of the rules to repair, in the policy's order: every one that fails, every one that warns where warnings
    are not allowed, and else those that warn whose repair lifts the score to its minimum with the least hours (of equal
    ones, the fewest rules). Empty where nothing has to be repaired.
    """
    counted = [rule for rule in rules if rule.status not in ("shadow", "waived")]
    needed = {rule.id for rule in counted if rule.status == "fail" or (rule.status == "warning" and not allow_warning)}
    total = sum(rule.weight for rule in counted)
    reached = sum(rule.weight for rule in counted if rule.status == "pass" or rule.id in needed)
    optional = [rule for rule in counted if rule.status == "warning" and rule.id not in needed and rule.weight > 0]
    if total > 0 and not _suffices(reached, total, min_score_percent):
        needed |= _cheapest(optional, reached, total, min_score_percent)
    return [rule.id for rule in counted if rule.id in needed]


def _suffices(reached: float, total: float, min_score_percent: float) -> bool:
    return round(100 * reached / total, 2) >= min_score_percent  # as the verdict counts


def _cheapest(optional: Iterable[Judged], reached: float, total: float, minimum: float) -> frozenset[str]:
    """The cheapest set that suffices. What costs more and lifts less than another choice is dropped on the way."""
    choices: list[tuple[float, int, float, frozenset[str]]] = [(0, 0, reached, frozenset())]
    for rule in optional:
        more = [
            (cost + rule.cost_hours, size + 1, score + rule.weight, chosen | {rule.id})
            for cost, size, score, chosen in choices
        ]
        kept: list[tuple[float, int, float, frozenset[str]]] = []
        best = -1.0
        for choice in sorted([*choices, *more], key=lambda one: (one[0], one[1], -one[2])):
            if choice[2] > best:
                best = choice[2]
                kept.append(choice)
        choices = kept[:MAX_KEPT]
    enough = [choice for choice in choices if _suffices(choice[2], total, minimum)]
    return min(enough, key=lambda one: one[:2])[3] if enough else frozenset(rule.id for rule in optional)
