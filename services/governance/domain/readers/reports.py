"""Reports as tools write them, turned into facts: the one table of formats, their readers and their kinds.

``parse_report("junit", content)`` gives one ParsedSignal, SARIF one for each tool in the log. A format is a reader in a
module of its own and a row here; its name stands in ``libs.common.contracts.governance.reports``, too, which the edge
and the command line know it by (a test compares them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO

from libs.judge.report_base import MAX_REPORT_BYTES, BadReport, ParsedSignal
from libs.judge.vulnerabilities import EXPLOITED
from services.governance.domain.readers import (
    checkstyle,
    components,
    coverage_lines,
    k6,
    tests_read,
    vex,
    vulnerabilities,
)
from services.governance.domain.readers.alertmanager import parse_alertmanager
from services.governance.domain.readers.checkstyle import parse_checkstyle
from services.governance.domain.readers.clover import parse_clover
from services.governance.domain.readers.cobertura import parse_cobertura
from services.governance.domain.readers.cyclonedx import parse_cyclonedx, parse_cyclonedx_scan, parse_cyclonedx_vex
from services.governance.domain.readers.gocover import parse_gocover
from services.governance.domain.readers.gotest import parse_gotest
from services.governance.domain.readers.grype import parse_grype
from services.governance.domain.readers.jacoco import parse_jacoco
from services.governance.domain.readers.junit import parse_junit
from services.governance.domain.readers.k6 import parse_k6
from services.governance.domain.readers.kev import parse_kev
from services.governance.domain.readers.lcov import parse_lcov
from services.governance.domain.readers.look import Look, look_at
from services.governance.domain.readers.npm_audit import parse_npm_audit
from services.governance.domain.readers.nunit import parse_nunit
from services.governance.domain.readers.pip_audit import parse_pip_audit
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.sarif import parse_sarif
from services.governance.domain.readers.spdx import parse_spdx
from services.governance.domain.readers.tap import parse_tap
from services.governance.domain.readers.trivy import parse_trivy
from services.governance.domain.readers.trx import parse_trx
from services.governance.domain.readers.vex import parse_openvex
from services.governance.domain.readers.xunit import parse_xunit

__all__ = ["FORMATS", "MAX_REPORT_BYTES", "TABLE", "BadReport", "Format", "ParsedSignal", "parse_report"]


@dataclass(frozen=True, slots=True)
class Format:
    """``name``: the word of the HTTP path. ``title``: what sentences call it. ``kind``: of the facts that it makes.

    ``looks``: whether a file's beginning looks like it. ``ending``: of a file of it. ``parts_inside``: the report names
    its parts itself (scanners, alert groups), so that a broken one is about parts that nobody knows.
    """

    name: str
    title: str
    kind: str
    read: Callable[[bytes | BinaryIO], list[ParsedSignal]]
    looks: Callable[[Look], bool]
    ending: str = "xml"
    parts_inside: bool = False


_TESTS, _COVERAGE = tests_read.KIND, coverage_lines.KIND
_FOUND, _SBOM, _VEX = vulnerabilities.KIND, components.KIND, vex.KIND


def _is_cyclonedx(it: Look) -> bool:
    return "bomFormat" in it.keys or it.root == "bom"


_ROWS = (
    Format("junit", "JUnit XML", _TESTS, parse_junit, lambda it: it.root in ("testsuites", "testsuite")),
    Format("trx", "TRX", _TESTS, parse_trx, lambda it: it.root == "TestRun"),
    Format("nunit", "NUnit 3 XML", _TESTS, parse_nunit, lambda it: it.root in ("test-run", "test-suite")),
    Format("xunit", "xUnit.net XML", _TESTS, parse_xunit, lambda it: it.root in ("assemblies", "assembly")),
    Format(
        "tap", "TAP", _TESTS, parse_tap, lambda it: it.text.startswith(("TAP version", "1..", "ok ", "not ok ")), "tap"
    ),
    Format("gotest", "go test -json", _TESTS, parse_gotest, lambda it: {"Action", "Package"} <= it.keys, "json"),
    Format(
        "cobertura",
        "Cobertura XML",
        _COVERAGE,
        parse_cobertura,
        lambda it: it.root == "coverage" and ("line-rate" in it.after or "<packages" in it.text),
    ),
    Format("jacoco", "JaCoCo XML", _COVERAGE, parse_jacoco, lambda it: it.root == "report"),
    Format("clover", "Clover XML", _COVERAGE, parse_clover, lambda it: it.root == "coverage" and "<project" in it.text),
    Format("lcov", "LCOV", _COVERAGE, parse_lcov, lambda it: it.text.startswith(("TN:", "SF:")), "info"),
    Format("gocover", "Go cover profile", _COVERAGE, parse_gocover, lambda it: it.text.startswith("mode:"), "out"),
    Format("sarif", "SARIF", "scan.sarif", parse_sarif, lambda it: {"runs", "version"} <= it.keys, "sarif", True),
    Format(
        "trivy",
        "Trivy's JSON report",
        _FOUND,
        parse_trivy,
        lambda it: {"SchemaVersion", "ArtifactName"} <= it.keys,
        "json",
    ),
    Format("grype", "Grype's JSON report", _FOUND, parse_grype, lambda it: "matches" in it.keys, "json"),
    Format(
        "npm-audit",
        "npm audit --json",
        _FOUND,
        parse_npm_audit,
        lambda it: "auditReportVersion" in it.keys or {"advisories", "actions"} <= it.keys,
        "json",
    ),
    Format(
        "pip-audit", "pip-audit --format json", _FOUND, parse_pip_audit, lambda it: {"name", "vulns"} <= it.keys, "json"
    ),
    Format("cyclonedx", "a CycloneDX SBOM", _SBOM, parse_cyclonedx, _is_cyclonedx, "json"),
    Format("cyclonedx-scan", "a CycloneDX scan", _FOUND, parse_cyclonedx_scan, _is_cyclonedx, "json"),
    Format("cyclonedx-vex", "a CycloneDX VEX", _VEX, parse_cyclonedx_vex, _is_cyclonedx, "json"),
    Format("spdx", "an SPDX SBOM", _SBOM, parse_spdx, lambda it: "spdxVersion" in it.keys, "json"),
    Format("openvex", "OpenVEX", _VEX, parse_openvex, lambda it: {"@context", "statements"} <= it.keys, "json"),
    Format(
        "kev",
        "CISA's catalogue of exploited vulnerabilities",
        EXPLOITED,
        parse_kev,
        lambda it: {"catalogVersion", "vulnerabilities"} <= it.keys,
        "json",
        True,
    ),
    Format("checkstyle", "Checkstyle XML", checkstyle.KIND, parse_checkstyle, lambda it: it.root == "checkstyle"),
    Format(
        "k6",
        "a k6 summary",
        k6.KIND,
        parse_k6,
        lambda it: "metrics" in it.keys and "http_req_duration" in it.keys,
        "json",
    ),
    Format(
        "alertmanager",
        "Alertmanager webhook",
        "alert.alertmanager",
        parse_alertmanager,
        lambda it: {"alerts", "receiver"} <= it.keys,
        "json",
        True,
    ),
)
TABLE: Mapping[str, Format] = MappingProxyType({row.name: row for row in _ROWS})
FORMATS = tuple(TABLE)


def parse_report(format: str, content: bytes | BinaryIO) -> list[ParsedSignal]:  # noqa: A002 - the word of the HTTP path
    """The facts in a report: at least one, in the order of the file.

    ``format`` is one of ``FORMATS``; ``content`` is the file as the tool wrote it: its bytes, or
    an open binary file that can seek (then little of it is in memory at a time). Raises BadReport, which says what the
    file looks like if that is another format.
    """
    row = TABLE.get(format)
    if row is None:
        raise BadReport(f"Unknown report format {format[:40]!r}: use one of {', '.join(FORMATS)}.")
    try:
        return row.read(content)
    except BadReport as error:
        other = _other(row, content)
        if other is None:
            raise
        raise BadReport(f"{error.message} It looks like {other.title}: send it as {other.name}.") from None


def _other(row: Format, content: bytes | BinaryIO) -> Format | None:
    """The format that the file looks like, if it is not the one that was asked for."""
    try:
        look = look_at(Source(content, row.title))
    except BadReport:
        return None
    return None if row.looks(look) else next((one for one in _ROWS if one.looks(look)), None)
