"""The data of an ``sbom.components`` fact, from any format of SBOM."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from libs.judge.report_base import DEFAULT_PART, JSON, ParsedSignal, Remarks, clean_text, counted
from services.governance.domain.readers.report_text import Source

KIND = "sbom.components"
MAX_LISTED = 5_000
MAX_LICENCES = 500
MAX_EACH = 20


@dataclass(frozen=True, slots=True)
class Component:
    """A component: ``licences`` are ids, names or expressions."""

    name: str
    version: str
    purl: str
    licences: tuple[str, ...] = ()


@dataclass(slots=True)
class Components:
    """What an SBOM lists. ``what``: the format."""

    what: str
    remarks: Remarks = field(default_factory=Remarks)
    _listed: list[Component] = field(default_factory=list)
    _count: int = 0
    _unversioned: int = 0
    _unlicensed: int = 0
    _licences: Counter[str] = field(default_factory=Counter)

    def add(self, component: Component) -> None:
        """Count a component."""
        self._count += 1
        self._unversioned += not component.version
        self._unlicensed += not component.licences
        self._licences.update(component.licences[:MAX_EACH])
        if len(self._listed) < MAX_LISTED:
            self._listed.append(component)

    def signal(self, source: Source) -> list[ParsedSignal]:
        """The fact of the SBOM."""
        if source.mixed:
            self.remarks.note(
                "Some bytes are not in the encoding that the report declares; they were read as Windows-1252."
            )
        if self._count > MAX_LISTED:
            self.remarks.note(f"Of {self._count} components, {MAX_LISTED} are listed.")
        licences = sorted(self._licences)
        if len(licences) > MAX_LICENCES:
            self.remarks.short("licences", len(licences), MAX_LICENCES)
        summary = counted(self._count, "component")
        summary += f"; {self._unlicensed} without a licence" if self._unlicensed else ""
        data: dict[str, JSON] = {
            "component_count": self._count,
            "without_version_count": self._unversioned,
            "without_licence_count": self._unlicensed,
            "licences": [clean_text(one, 200) for one in licences[:MAX_LICENCES]],
            "components": [_data(one) for one in self._listed],
            **self.remarks.data(summary),
        }
        return [ParsedSignal(KIND, DEFAULT_PART, data)]


def _data(component: Component) -> dict[str, JSON]:
    return {
        "name": clean_text(component.name, 200),
        "version": clean_text(component.version, 100),
        "purl": clean_text(component.purl, 300),
        "licences": [clean_text(one, 200) for one in component.licences[:MAX_EACH]],
    }
