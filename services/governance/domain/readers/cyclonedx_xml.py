"""CycloneDX XML in the shape of its JSON, as far as readers look at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.judge.report_base import JSON, BadReport
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.report_xml import read_xml

_LISTS = frozenset({"components", "vulnerabilities", "ratings", "affects", "references", "licenses", "tools"})
# What holds letters, if nothing else: others are objects, also when they are empty.
_TEXTS = frozenset(
    {
        *("timestamp", "group", "name", "version", "purl", "id", "expression", "score", "severity", "method", "vector"),
        *("state", "justification", "detail", "lastUpdated", "firstIssued", "ref"),
    }
)
_KEPT = (
    _LISTS
    | _TEXTS
    | {
        *("bom", "metadata", "component", "license", "vulnerability", "rating", "analysis", "target", "reference"),
        "tool",
    }
)


def read_bom_xml(source: Source) -> Mapping[str, JSON]:
    """The file as an object with the keys of the JSON form. Raises BadReport."""
    tree = _Tree()
    read_xml(source, tree.start, tree.end, tree.text)
    return tree.made


class _Tree:
    """Makes objects and lists of those elements that are kept; what stands in others is passed over."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}
        self._open: list[tuple[str, Any, list[str]]] = []
        self._skipped = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._open and name != "bom":
            raise BadReport(f"The root element is <{name[:40]}>; CycloneDX XML begins with <bom>.")
        if self._skipped or name not in _KEPT:
            self._skipped += 1
            return
        value: Any = [] if name in _LISTS else {}
        if isinstance(value, dict):
            value |= {key: attributes[key] for key in ("type", "bom-ref") if key in attributes}
        self._open.append((name, value, []))

    def text(self, letters: str) -> None:
        if self._open and not self._skipped:
            self._open[-1][2].append(letters)

    def end(self, _: str) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        name, value, letters = self._open.pop()
        if name in _TEXTS and not value:
            value = "".join(letters).strip()
        if not self._open:
            self.made = value if isinstance(value, dict) else {}
            return
        above_name, above = self._open[-1][:2]
        if isinstance(above, list):
            # A choice of licences holds <license> or <expression>; the tools of 1.5 hold a list of components.
            if above_name == "licenses":
                above.append({name: value})
            else:
                above.extend(value if isinstance(value, list) else [value])
        else:
            above[name] = value
