"""SARIF 2.1.0 logs, as CodeQL, Trivy, Semgrep, ESLint, bandit, ruff and compilers write them.

Format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. Severity comes from ``security-severity``
as GitHub code scanning reads it (9 and more critical, 7 high, 4 medium, above 0 low), else from a severity word in
the properties (bandit's ``issue_severity``), else from the level (error high, warning medium, note low).
A finding keeps its fingerprint when lines above it move: it is made of the tool's own fingerprint, or of tool, rule,
path and text without numbers, plus a count that tells equal findings apart.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import BinaryIO

from libs.judge.report_base import (
    JSON,
    BadReport,
    ParsedSignal,
    Remarks,
    as_list,
    as_object,
    as_text,
    clean_text,
    counted,
    part_name,
)
from libs.judge.test_ids import pack
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.sarif_log import RunHead, read_heads, read_results
from services.governance.domain.readers.sarif_rules import Rules
from services.governance.domain.readers.severity import as_score, score_severity

MAX_SEVERE = 5_000  # listed; of more the fingerprints are kept, as a verdict compares each one
MAX_LESSER = 2_000  # listed; of more only the number is kept
MAX_DETAILED = 2_000  # listed with level and message
MAX_MESSAGE_CHARS = 300
SEVERITIES = ("critical", "high", "medium", "low", "none")

_LEVEL_SEVERITY = {"error": "high", "warning": "medium", "note": "low", "none": "none"}
_WORD_SEVERITY = {
    "critical": "critical",
    "high": "high",
    "medium": "medium",
    "moderate": "medium",
    "low": "low",
    "none": "none",
}
_WORD_KEYS = ("issue_severity", "issueSeverity", "severity")
_NOT_FINDINGS = {"pass", "notApplicable", "informational"}
_SEVERE = ("critical", "high")
# Words that tools write beside the four of the standard.
_LEVELS = {
    **{level: level for level in _LEVEL_SEVERITY},
    **dict.fromkeys(("critical", "high", "fatal", "failure", "err"), "error"),
    **dict.fromkeys(("medium", "moderate", "warn"), "warning"),
    **dict.fromkeys(("low", "info", "information", "informational", "recommendation"), "note"),
}
# Ids that differ each time name a run, not a scan: GUIDs, digests, numbers and times.
_RUN_ID = re.compile(
    r"\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?|[0-9a-f]{40}|[0-9a-f]{64}|[0-9 .:_+-]+"
    r"|\d{4}-?\d\d-?\d\d[T _-]?[0-9.:Z+-]*",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")
_SPACES = re.compile(r"\s+")


@dataclass(slots=True)
class _Scan:
    """What the runs of one part (a tool, or a tool and its category) add up to."""

    tool: str
    remarks: Remarks = field(default_factory=Remarks)
    findings: list[dict[str, JSON]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    suppressed: int = 0
    execution_successful: bool = True
    seen_places: set[bytes] = field(default_factory=set)
    equal: Counter[str] = field(default_factory=Counter)  # how often each fingerprint came
    listed: Counter[bool] = field(default_factory=Counter)  # severe ones and lesser ones
    unlisted: list[str] = field(default_factory=list)  # fingerprints of severe ones


@dataclass(frozen=True, slots=True)
class _Run:
    """What is needed to read the results of one run."""

    scan: _Scan
    rules: Rules
    bases: tuple[str, ...]
    paths: tuple[str, ...]  # of the run's artifacts: results may give only their index
    where: str


def parse_sarif(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``scan.sarif`` signal for each tool in the log; runs of one tool and category are added up.

    Data: ``tool, findings [{fingerprint, rule_id, level, severity, path, line, message}], counts {severity: n, total},
    suppressed`` (results the code or the tool silenced), ``execution_successful`` (false when a run failed or has no
    results list: then nothing is known), ``severe_packed`` (fingerprints of the severe findings that are too many to be
    listed), ``summary, notes, incomplete``. Raises BadReport.
    """
    source = Source(content, "SARIF")
    head = read_heads(source)
    if not isinstance(head.version, str) or not head.version.startswith("2.1.0"):
        raise BadReport(f"The SARIF log has version {str(head.version)[:20]!r}; 2.1.0 is read.")
    if not head.runs:
        raise BadReport("The SARIF log has no runs: no tool says that it scanned anything.")
    scans: dict[str, _Scan] = {}
    runs = [_open(run, f"runs[{index}]", scans) for index, run in enumerate(head.runs)]
    if any(run.result_count for run in head.runs):
        results = read_results(source)
        for run, reader in zip(head.runs, runs, strict=True):
            for index in range(run.result_count or 0):
                spot = f"{reader.where}.results[{index}]"
                _read_result(as_object(next(results, None), spot), spot, reader)
    if source.mixed:
        for scan in scans.values():
            scan.remarks.note("Some bytes are not UTF-8; they were read as Windows-1252.")
    return [ParsedSignal("scan.sarif", part, _data(scan)) for part, scan in scans.items()]


def _data(scan: _Scan) -> dict[str, JSON]:
    counts: dict[str, JSON] = {severity: scan.counts[severity] for severity in SEVERITIES}
    total = scan.counts.total()
    severe = sum(scan.counts[severity] for severity in _SEVERE)
    if severe > MAX_SEVERE:
        scan.remarks.note(
            f"Of {severe} high or critical findings, {MAX_SEVERE} are listed; of the others fingerprints are kept."
        )
    if total - severe > MAX_LESSER:
        scan.remarks.note(f"Of {total - severe} findings below high, {MAX_LESSER} are listed.")
    summary = counted(total, "finding")
    if total:
        summary += ": " + ", ".join(f"{scan.counts[word]} {word}" for word in SEVERITIES if scan.counts[word])
    summary += f"; {scan.suppressed} suppressed" if scan.suppressed else ""
    summary += "" if scan.execution_successful else "; the scan did not finish"
    return {
        "tool": scan.tool,
        "findings": scan.findings,
        "counts": {**counts, "total": total},
        "suppressed": scan.suppressed,
        "execution_successful": scan.execution_successful,
        **({"severe_packed": pack(scan.unlisted)} if scan.unlisted else {}),
        **scan.remarks.data(summary),
    }


def _open(head: RunHead, where: str, scans: dict[str, _Scan]) -> _Run:
    """Add a run's head to its part."""
    run = head.values
    tool = as_object(run.get("tool"), f"{where}.tool")
    driver = as_object(tool.get("driver"), f"{where}.tool.driver")
    name = as_text(driver.get("name"), f"{where}.tool.driver.name", 200).strip()
    if not name:
        raise BadReport(f"{where}.tool.driver has no name.")
    automation = as_object(run.get("automationDetails"), f"{where}.automationDetails")
    category = _category(as_text(automation.get("id"), f"{where}.automationDetails.id"))
    external = as_object(run.get("externalPropertyFileReferences"), f"{where}.externalPropertyFileReferences")
    if external.get("results"):
        raise BadReport(f"{where} keeps its results in other files: send one log that holds them.")
    scan = scans.setdefault(part_name(f"{name}:{category}" if category else name), _Scan(name))
    invocations = as_list(run.get("invocations"), f"{where}.invocations")
    for index, item in enumerate(invocations):
        invocation = as_object(item, f"{where}.invocations[{index}]")
        if invocation.get("executionSuccessful", invocation.get("exitCode") == 0) is not True:
            scan.execution_successful = False
            scan.remarks.note(f"{where}.invocations[{index}] says that the scan did not succeed.")
    if head.result_count is None:
        # By the standard an absent list means that no scan took place; an empty one, that nothing was found.
        scan.execution_successful = False
        scan.remarks.note(f"{where} has no list of results: by the standard, no scan took place.")
    rules = Rules(driver, as_list(tool.get("extensions"), f"{where}.tool.extensions"), where)
    return _Run(scan, rules, _bases(run, where), _artifact_paths(run, where), where)


def _category(automation_id: str) -> str:
    """What tells two scans of one tool apart: of ``category/run id`` the category, else an id that names no run."""
    category, slash, _run_id = automation_id.strip().rpartition("/")
    if slash:
        return category
    return "" if _RUN_ID.fullmatch(automation_id.strip()) else automation_id.strip()


def _artifact_paths(run: Mapping[str, JSON], where: str) -> tuple[str, ...]:
    paths: list[str] = []
    for item in as_list(run.get("artifacts"), f"{where}.artifacts"):
        location = as_object(as_object(item, f"{where}.artifacts").get("location"), f"{where}.artifacts")
        paths.append(as_text(location.get("uri"), f"{where}.artifacts: uri"))
    return tuple(paths)


def _bases(run: Mapping[str, JSON], where: str) -> tuple[str, ...]:
    """Folders of this machine that are cut off the paths, longest first."""
    found: set[str] = set()
    bases = as_object(run.get("originalUriBaseIds"), f"{where}.originalUriBaseIds")
    for name, base in bases.items():
        found.add(as_text(as_object(base, f"{where}.originalUriBaseIds.{name[:40]}").get("uri"), f"{where}: base uri"))
    for item in as_list(run.get("invocations"), f"{where}.invocations"):
        folder = as_object(
            as_object(item, f"{where}.invocations").get("workingDirectory"), f"{where}: workingDirectory"
        )
        found.add(as_text(folder.get("uri"), f"{where}: workingDirectory.uri"))
    return tuple(sorted((uri.rstrip("/") + "/" for uri in found if uri.strip("/")), key=len, reverse=True))


def _read_result(result: Mapping[str, JSON], spot: str, run: _Run) -> None:
    scan = run.scan
    kind = result.get("kind", "fail")
    if kind in _NOT_FINDINGS or result.get("baselineState") == "absent":
        return
    if _is_suppressed(result, spot):
        scan.suppressed += 1
        return
    rule_id, rule = run.rules.find(result, spot)
    level = _level(result, rule, kind, spot, scan.remarks)
    path, line, column, snippet = _place(result, spot, run)
    message = _message(result, rule, spot)
    fingerprint = _fingerprint(result, spot, scan.tool, rule_id, path, snippet or message)
    if line is not None and column is not None:
        place = sha256(json.dumps([fingerprint, line, column, message]).encode()).digest()[:12]
        if place in scan.seen_places:
            return  # the same result of two runs of one log
        scan.seen_places.add(place)
    severity = _severity(result, rule, level, spot)
    scan.counts[severity] += 1
    severe = severity in _SEVERE
    scan.equal[fingerprint] += 1
    if scan.equal[fingerprint] > 1:
        # A second equal finding is a new one, not the first seen twice.
        fingerprint = f"{fingerprint}-{scan.equal[fingerprint]}"
    if scan.listed[severe] >= (MAX_SEVERE if severe else MAX_LESSER):
        if severe:
            scan.unlisted.append(fingerprint)
        return
    scan.listed[severe] += 1
    finding: dict[str, JSON] = {
        "fingerprint": fingerprint,
        "rule_id": rule_id,
        "severity": severity,
        "path": path,
        "line": line,
    }
    if len(scan.findings) < MAX_DETAILED:
        finding |= {"level": level, "message": clean_text(message, MAX_MESSAGE_CHARS)}
    scan.findings.append(finding)


def _is_suppressed(result: Mapping[str, JSON], spot: str) -> bool:
    """By 3.27.23: there are suppressions and none of them is under review or rejected."""
    items = as_list(result.get("suppressions"), f"{spot}.suppressions")
    statuses = [as_object(item, f"{spot}.suppressions").get("status", "accepted") for item in items]
    return bool(statuses) and all(status == "accepted" for status in statuses)


def _level(result: Mapping[str, JSON], rule: Mapping[str, JSON], kind: JSON, spot: str, remarks: Remarks) -> str:
    level = result.get("level")
    if level is None and kind != "fail":
        return "none"
    if level is None:
        level = as_object(rule.get("defaultConfiguration"), f"{spot}: rule defaultConfiguration").get("level")
    if level is None:
        return "warning"
    known = _LEVELS.get(level.strip().lower()) if isinstance(level, str) else None
    if known is None:
        remarks.note(f"The level {str(level)[:40]!r} is not one of error, warning, note and none; it counts as error.")
        return "error"
    return known


def _severity(result: Mapping[str, JSON], rule: Mapping[str, JSON], level: str, spot: str) -> str:
    own = as_object(result.get("properties"), f"{spot}.properties")
    general = as_object(rule.get("properties"), f"{spot}: rule properties")
    for properties in (own, general):
        score = as_score(properties.get("security-severity"))
        if score is not None:
            return score_severity(score)
    for properties in (own, general):
        for key in _WORD_KEYS:
            word = properties.get(key)
            if isinstance(word, str) and word.strip().lower() in _WORD_SEVERITY:
                return _WORD_SEVERITY[word.strip().lower()]
    return _LEVEL_SEVERITY[level]


def _place(result: Mapping[str, JSON], spot: str, run: _Run) -> tuple[str, int | None, int | None, str]:
    """Path, line, column and source text of the first location."""
    locations = as_list(result.get("locations"), f"{spot}.locations")
    first = as_object(locations[0], f"{spot}.locations[0]") if locations else {}
    physical = as_object(first.get("physicalLocation"), f"{spot}: physicalLocation")
    artifact = as_object(physical.get("artifactLocation"), f"{spot}: artifactLocation")
    region = as_object(physical.get("region"), f"{spot}: region")
    path = as_text(artifact.get("uri"), f"{spot}: uri")
    index = artifact.get("index")
    if not path and isinstance(index, int) and 0 <= index < len(run.paths):
        path = run.paths[index]
    path = next((path[len(base) :] for base in run.bases if path.startswith(base)), path).removeprefix("./")
    snippet = as_text(as_object(region.get("snippet"), f"{spot}: snippet").get("text"), f"{spot}: snippet", 4_000)
    return path, _position(region.get("startLine")), _position(region.get("startColumn")), snippet


def _position(value: JSON) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None


def _message(result: Mapping[str, JSON], rule: Mapping[str, JSON], spot: str) -> str:
    message = as_object(result.get("message"), f"{spot}.message")
    text = as_text(message.get("text"), f"{spot}.message.text", 4_000)
    if text:
        return text
    strings = as_object(rule.get("messageStrings"), f"{spot}: messageStrings")
    named = as_object(strings.get(as_text(message.get("id"), f"{spot}.message.id")), f"{spot}: messageStrings")
    return as_text(named.get("text"), f"{spot}: messageStrings", 4_000)


def _fingerprint(result: Mapping[str, JSON], spot: str, tool: str, rule_id: str, path: str, text: str) -> str:
    full = as_object(result.get("fingerprints"), f"{spot}.fingerprints")
    partial = as_object(result.get("partialFingerprints"), f"{spot}.partialFingerprints")
    basis: list[JSON]
    if full:
        basis = ["full", tool, sorted(full.items(), key=str)]
    elif partial:
        basis = ["partial", tool, rule_id, path, sorted(partial.items(), key=str)]
    else:
        basis = ["text", tool, rule_id, path, _DIGITS.sub("#", _SPACES.sub(" ", text).strip())]
    return sha256(json.dumps(basis, default=str).encode()).hexdigest()[:32]
