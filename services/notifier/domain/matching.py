"""Which events a subscription wants, by their names and by what their data says of gates, rules, items and roles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


def type_pattern(event_types: Iterable[str]) -> re.Pattern[str]:
    """A pattern for whole names of events; ``*`` in a type stands for any text, also for none."""
    return re.compile("|".join(f"(?:{'.*'.join(map(re.escape, one.split('*')))})" for one in event_types))


@dataclass(frozen=True, slots=True)
class Filters:
    """What must be in an event's data. An empty set asks nothing; data that lacks what is asked does not match."""

    gates: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()
    priorities: frozenset[int] = frozenset()
    roles: frozenset[str] = frozenset()

    def match(self, data: Mapping[str, Any]) -> bool:
        """Whether the data has all that is asked."""
        if not (self.gates or self.rules or self.priorities or self.roles):
            return True
        item = data.get("item")
        about: Mapping[str, Any] = item if isinstance(item, Mapping) else data
        return (
            (not self.gates or about.get("gate") in self.gates)
            and (not self.rules or not self.rules.isdisjoint(_rules(about)))
            and (not self.priorities or about.get("priority") in self.priorities)
            and (not self.roles or not self.roles.isdisjoint(_roles(data, about)))
        )


def _unmet(about: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The rules of a verdict that have not passed."""
    rules = about.get("rules")
    if isinstance(rules, list):
        yield from (rule for rule in rules if isinstance(rule, Mapping) and rule.get("passed") is False)


def _rules(about: Mapping[str, Any]) -> set[str]:
    return {text for text in (about.get("rule_id"), *(rule.get("id") for rule in _unmet(about))) if text}


def _roles(data: Mapping[str, Any], about: Mapping[str, Any]) -> set[str]:
    targets = data.get("targets")
    told = targets if isinstance(targets, list) else []
    names = [one.get("name") for one in told if isinstance(one, Mapping) and one.get("kind") in ("role", "owner_role")]
    owners = [rule.get("owner_role") for rule in _unmet(about)]
    return {name for name in (about.get("owner_role"), *names, *owners) if name}
