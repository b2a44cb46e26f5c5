"""SARIF 2.1.0 logs, as ruff, bandit, CodeQL, Trivy and Semgrep write them.

Format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. Severity comes from ``security-severity``
as GitHub code scanning reads it (9 and more critical, 7 high, 4 medium, above 0 low), else from a severity word in
the properties (bandit's ``issue_severity``), else from the level (error high, warning medium, note low).
A finding keeps its fingerprint when lines above it move: it is made of the tool's own fingerprint, or of tool, rule,
path and text without numbers, plus a count that tells equal findings apart.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from services.governance.domain.report_base import (
    JSON,
    BadReport,
    ParsedSignal,
    as_list,
    as_object,
    as_text,
    clean_text,
    part_name,
    read_json,
)

MAX_FINDINGS = 20_000
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
_DIGITS = re.compile(r"\d+")
_SPACES = re.compile(r"\s+")


@dataclass(slots=True)
class _Run:
    """What the runs of one part (a tool, or a tool and its category) add up to."""

    tool: str
    findings: list[dict[str, JSON]] = field(default_factory=list)
    suppressed: int = 0
    execution_successful: bool = True
    seen_places: set[tuple[str, JSON, JSON, JSON]] = field(default_factory=set)


def parse_sarif(content: bytes) -> list[ParsedSignal]:
    """One ``scan.sarif`` signal for each tool in the log; runs of one tool and category are added up.

    Data: ``tool, findings [{fingerprint, rule_id, level, severity, path, line, message}], counts {severity: n, total},
    suppressed`` (results the code or the tool silenced), ``execution_successful`` (false when a run failed or has no
    results list: then nothing is known). Raises BadReport.
    """
    log = read_json(content, "SARIF")
    if log.get("version") != "2.1.0":
        raise BadReport(f"The SARIF log has version {str(log.get('version'))[:20]!r}; 2.1.0 is read.")
    runs = as_list(log.get("runs"), "runs")
    if not runs:
        raise BadReport("The SARIF log has no runs: no tool says that it scanned anything.")
    parts: dict[str, _Run] = {}
    left = MAX_FINDINGS
    for index, item in enumerate(runs):
        left -= _read_run(as_object(item, f"runs[{index}]"), f"runs[{index}]", parts, left)
    return [ParsedSignal("scan.sarif", part, _data(run)) for part, run in parts.items()]


def _data(run: _Run) -> dict[str, JSON]:
    _number_equal_findings(run.findings)
    counted = Counter(finding["severity"] for finding in run.findings)
    counts: dict[str, JSON] = {severity: counted[severity] for severity in SEVERITIES}
    return {
        "tool": run.tool,
        "findings": run.findings,
        "counts": {**counts, "total": len(run.findings)},
        "suppressed": run.suppressed,
        "execution_successful": run.execution_successful,
    }


def _read_run(run: Mapping[str, JSON], where: str, parts: dict[str, _Run], left: int) -> int:
    """Add one run to its part; gives the number of its results."""
    tool = as_object(run.get("tool"), f"{where}.tool")
    driver = as_object(tool.get("driver"), f"{where}.tool.driver")
    name = as_text(driver.get("name"), f"{where}.tool.driver.name", 200).strip()
    if not name:
        raise BadReport(f"{where}.tool.driver has no name.")
    automation = as_object(run.get("automationDetails"), f"{where}.automationDetails")
    # "category/run id": the category tells two scans of one tool apart, the run id differs each time.
    category = as_text(automation.get("id"), f"{where}.automationDetails.id").rpartition("/")[0]
    external = as_object(run.get("externalPropertyFileReferences"), f"{where}.externalPropertyFileReferences")
    if external.get("results"):
        raise BadReport(f"{where} keeps its results in other files: send one log that holds them.")
    whole = parts.setdefault(part_name(f"{name}:{category}" if category else name), _Run(name))
    invocations = as_list(run.get("invocations"), f"{where}.invocations")
    for index, item in enumerate(invocations):
        if as_object(item, f"{where}.invocations[{index}]").get("executionSuccessful") is not True:
            whole.execution_successful = False
    if run.get("results") is None:
        # By the standard an absent list means that no scan took place; an empty one, that nothing was found.
        whole.execution_successful = False
        return 0
    results = as_list(run["results"], f"{where}.results")
    if len(results) > left:
        raise BadReport(f"The SARIF log has more than {MAX_FINDINGS} results: split it, or narrow the scan.")
    rules = _Rules(driver, as_list(tool.get("extensions"), f"{where}.tool.extensions"), where)
    bases = _bases(run, where)
    for index, item in enumerate(results):
        spot = f"{where}.results[{index}]"
        _read_result(as_object(item, spot), spot, whole, rules, bases)
    return len(results)


class _Rules:
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


def _read_result(result: Mapping[str, JSON], spot: str, whole: _Run, rules: _Rules, bases: tuple[str, ...]) -> None:
    kind = result.get("kind", "fail")
    if kind in _NOT_FINDINGS or result.get("baselineState") == "absent":
        return
    if _is_suppressed(result, spot):
        whole.suppressed += 1
        return
    rule_id, rule = rules.find(result, spot)
    level = _level(result, rule, kind, spot)
    path, line, column, snippet = _place(result, spot, bases)
    message = _message(result, rule, spot)
    fingerprint = _fingerprint(result, spot, whole.tool, rule_id, path, snippet or message)
    place = (fingerprint, line, column, message)
    if line is not None and column is not None:
        if place in whole.seen_places:
            return  # the same result of two runs of one log
        whole.seen_places.add(place)
    whole.findings.append(
        {
            "fingerprint": fingerprint,
            "rule_id": rule_id,
            "level": level,
            "severity": _severity(result, rule, level, spot),
            "path": path,
            "line": line,
            "message": clean_text(message, MAX_MESSAGE_CHARS),
        }
    )


def _is_suppressed(result: Mapping[str, JSON], spot: str) -> bool:
    """By 3.27.23: there are suppressions and none of them is under review or rejected."""
    items = as_list(result.get("suppressions"), f"{spot}.suppressions")
    statuses = [as_object(item, f"{spot}.suppressions").get("status", "accepted") for item in items]
    return bool(statuses) and all(status == "accepted" for status in statuses)


def _level(result: Mapping[str, JSON], rule: Mapping[str, JSON], kind: JSON, spot: str) -> str:
    level = result.get("level")
    if level is None and kind != "fail":
        return "none"
    if level is None:
        level = as_object(rule.get("defaultConfiguration"), f"{spot}: rule defaultConfiguration").get("level")
    if level is None:
        return "warning"
    if not isinstance(level, str) or level not in _LEVEL_SEVERITY:
        raise BadReport(f"{spot}.level is {str(level)[:40]!r}; it must be error, warning, note or none.")
    return level


def _severity(result: Mapping[str, JSON], rule: Mapping[str, JSON], level: str, spot: str) -> str:
    own = as_object(result.get("properties"), f"{spot}.properties")
    general = as_object(rule.get("properties"), f"{spot}: rule properties")
    for properties in (own, general):
        score = _score(properties.get("security-severity"))
        if score is not None:
            steps = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"))
            return next((word for least, word in steps if score >= least), "low" if score > 0 else "none")
    for properties in (own, general):
        for key in _WORD_KEYS:
            word = properties.get(key)
            if isinstance(word, str) and word.strip().lower() in _WORD_SEVERITY:
                return _WORD_SEVERITY[word.strip().lower()]
    return _LEVEL_SEVERITY[level]


def _score(value: JSON) -> float | None:
    """``security-severity`` as a number of 0..10, None when it is absent or nonsense (the level decides then)."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        score = float(value)
    except (ValueError, OverflowError):
        return None
    return score if math.isfinite(score) and 0 <= score <= 10 else None


def _place(result: Mapping[str, JSON], spot: str, bases: tuple[str, ...]) -> tuple[str, int | None, int | None, str]:
    """Path, line, column and source text of the first location."""
    locations = as_list(result.get("locations"), f"{spot}.locations")
    first = as_object(locations[0], f"{spot}.locations[0]") if locations else {}
    physical = as_object(first.get("physicalLocation"), f"{spot}: physicalLocation")
    artifact = as_object(physical.get("artifactLocation"), f"{spot}: artifactLocation")
    region = as_object(physical.get("region"), f"{spot}: region")
    path = as_text(artifact.get("uri"), f"{spot}: uri")
    path = next((path[len(base) :] for base in bases if path.startswith(base)), path).removeprefix("./")
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
    return sha256(json.dumps(basis).encode()).hexdigest()[:32]


def _number_equal_findings(findings: list[dict[str, JSON]]) -> None:
    """Make fingerprints unique: a second equal finding is a new one, not the first seen twice."""
    seen: Counter[str] = Counter()
    for finding in findings:
        fingerprint = str(finding["fingerprint"])
        seen[fingerprint] += 1
        if seen[fingerprint] > 1:
            finding["fingerprint"] = f"{fingerprint}-{seen[fingerprint]}"
