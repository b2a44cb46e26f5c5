"""The rules that a SARIF run's tool and its extensions describe, looked up by index or id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from libs.judge.report_base import JSON, as_list, as_object, as_text


class Rules:
    """Looks up a result's rule by index or id, in the driver or in an extension."""

    def __init__(self, driver: Mapping[str, JSON], extensions: Sequence[JSON], where: str) -> None:
        components = [driver, *(as_object(item, f"{where}.tool.extensions") for item in extensions)]
        self._by_index: list[list[Mapping[str, JSON]]] = []
        self._by_id: dict[str, Mapping[str, JSON]] = {}
        for component in components:
            listed = as_list(component.get("rules"), f"{where}.tool.*.rules")
            rules = [as_object(rule, f"{where}.tool.*.rules") for rule in listed]
            self._by_index.append(rules)
            for rule in rules:
                rule_id = rule.get("id")
                if isinstance(rule_id, str):
                    self._by_id.setdefault(rule_id, rule)

    def find(self, result: Mapping[str, JSON], spot: str) -> tuple[str, Mapping[str, JSON]]:
        """The rule's id ("" if there is none) and its object ({} if it isn't described)."""
        reference = as_object(result.get("rule"), f"{spot}.rule")
        rule_id = as_text(result.get("ruleId"), f"{spot}.ruleId") or as_text(reference.get("id"), f"{spot}.rule.id")
        component = as_object(reference.get("toolComponent"), f"{spot}.rule.toolComponent").get("index")
        place = component + 1 if isinstance(component, int) and component >= 0 else 0
        index = result.get("ruleIndex", reference.get("index"))
        if isinstance(index, int) and place < len(self._by_index) and 0 <= index < len(self._by_index[place]):
            rule = self._by_index[place][index]
            known = as_text(rule.get("id"), f"{spot}: rule id")
            # "CA1000/1" is a sub-rule of CA1000; an index that points at another rule is ignored.
            if not rule_id or rule_id == known or rule_id.startswith(known + "/"):
                return rule_id or known, rule
        return rule_id, self._by_id.get(rule_id) or self._by_id.get(rule_id.rpartition("/")[0]) or {}
