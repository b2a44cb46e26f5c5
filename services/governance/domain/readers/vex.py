"""The data of a ``vex.statements`` fact; and OpenVEX, https://openvex.dev.

A statement says of a vulnerability in a product, or in packages of it, whether it matters. What it lifts decides the
judge (``libs.judge.vulnerabilities``), since statements and scans come separately.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from libs.judge.checks import parse_time
from libs.judge.report_base import (
    DEFAULT_PART,
    JSON,
    BadReport,
    ParsedSignal,
    Remarks,
    as_list,
    as_object,
    as_text,
    clean_text,
    counted,
)
from services.governance.domain.readers.report_json import read_json
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.vulnerabilities import ids_of

KIND = "vex.statements"
STATUSES = ("not_affected", "affected", "fixed", "under_investigation")
MAX_STATEMENTS = 5_000
MAX_NAMED = 200  # products or packages of one statement


@dataclass(frozen=True, slots=True)
class Statement:
    """``ids``: names of the vulnerability. ``products``: purls or ids of what it is about.

    ``packages``: of the packages in it, if it is about those only. ``time``: RFC 3339, "" if it does not say.
    """

    ids: tuple[str, ...]
    status: str
    justification: str
    products: tuple[str, ...]
    packages: tuple[str, ...]
    time: str


@dataclass(slots=True)
class Statements:
    """What a VEX document states."""

    remarks: Remarks = field(default_factory=Remarks)
    _listed: list[Statement] = field(default_factory=list)

    def add(self, statement: Statement) -> None:
        """Keep a statement. Raises BadReport beyond ``MAX_STATEMENTS``."""
        self._listed.append(statement)
        if len(self._listed) > MAX_STATEMENTS:
            raise BadReport(f"The VEX document has more than {MAX_STATEMENTS} statements: split it into parts.")

    def signal(self, source: Source) -> list[ParsedSignal]:
        """The fact of the document."""
        if source.mixed:
            self.remarks.note(
                "Some bytes are not in the encoding that the report declares; they were read as Windows-1252."
            )
        bare = [one for one in self._listed if one.status == "not_affected" and not one.justification]
        if bare:
            self.remarks.note(f"{counted(len(bare), 'statement')} not_affected without a justification: lifts nothing.")
        counts = Counter(one.status for one in self._listed)
        summary = counted(len(self._listed), "statement")
        if counts:
            summary += ": " + ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
        data: dict[str, JSON] = {"statements": [_data(one) for one in self._listed], **self.remarks.data(summary)}
        return [ParsedSignal(KIND, DEFAULT_PART, data)]


def _data(statement: Statement) -> dict[str, JSON]:
    return {
        "id": statement.ids[0],
        "aliases": list(statement.ids[1:]),
        "status": statement.status,
        "justification": clean_text(statement.justification, 300),
        "products": [clean_text(one, 400) for one in statement.products[:MAX_NAMED]],
        "packages": [clean_text(one, 400) for one in statement.packages[:MAX_NAMED]],
        "time": statement.time if parse_time(statement.time) else "",
    }


def parse_openvex(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``vex.statements`` signal. Data: ``statements [{id, aliases, status, justification, products, packages,
    time}], summary, notes, incomplete``. Raises BadReport.
    """
    source = Source(content, "OpenVEX")
    body = read_json(source)
    if "openvex" not in str(body.get("@context")):
        raise BadReport("The file has no @context of OpenVEX.")
    listed = as_list(body.get("statements"), "statements")
    if not listed:
        raise BadReport("The OpenVEX document has no statements, so it states nothing.")
    written = body.get("last_updated") or body.get("timestamp")
    found = Statements()
    for index, item in enumerate(listed):
        where = f"statements[{index}]"
        found.add(_statement(as_object(item, where), where, as_text(written, "timestamp", 64)))
    return found.signal(source)


def _statement(item: Mapping[str, JSON], where: str, written: str) -> Statement:
    about = item.get("vulnerability")
    # Of old it was the name alone.
    named = {"name": about} if isinstance(about, str) else as_object(about, f"{where}.vulnerability")
    ids = ids_of(named.get("name"), *as_list(named.get("aliases"), f"{where}.vulnerability.aliases"), named.get("@id"))
    if not ids:
        raise BadReport(f"{where}.vulnerability has no name.")
    status = as_text(item.get("status"), f"{where}.status")
    if status not in STATUSES:
        raise BadReport(f"{where}.status is {status[:40]!r}; wanted one of {', '.join(STATUSES)}.")
    products: list[str] = []
    packages: list[str] = []
    for entry in as_list(item.get("products"), f"{where}.products"):
        product = {"@id": entry} if isinstance(entry, str) else as_object(entry, f"{where}.products")
        products += _names(product, f"{where}.products")
        for part in as_list(product.get("subcomponents"), f"{where}.products.subcomponents"):
            inner = {"@id": part} if isinstance(part, str) else as_object(part, f"{where}.products.subcomponents")
            packages += _names(inner, f"{where}.products.subcomponents")
    why = as_text(item.get("justification"), f"{where}.justification") or as_text(
        item.get("impact_statement"), f"{where}.impact_statement"
    )
    time = as_text(item.get("last_updated") or item.get("timestamp"), f"{where}.timestamp", 64) or written
    return Statement(ids, status, why, tuple(products), tuple(packages), time)


def _names(product: Mapping[str, JSON], where: str) -> list[str]:
    purl = as_object(product.get("identifiers"), f"{where}.identifiers").get("purl")
    names = (as_text(product.get("@id"), f"{where}.@id", 2_000), as_text(purl, f"{where}.identifiers.purl", 2_000))
    return [name for name in dict.fromkeys(names) if name]
