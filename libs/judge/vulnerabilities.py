"""Findings in packages, and the VEX statements that lift them.

A statement lifts a finding if it is about the same vulnerability (any of its ids) and the same package or the scanned
artifact itself, says ``not_affected``, and says why: a word without a justification lifts nothing. Of several
statements about one finding the newest counts, of equally old ones the one that lifts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from libs.judge.checks import parse_time
from libs.judge.facts import Fact
from libs.judge.test_ids import fingerprint, unpack

KIND, VEX, EXPLOITED = "scan.vulnerabilities", "vex.statements", "vuln.exploited"
SEVERE = ("critical", "high")
NOT_AFFECTED = "not_affected"

Finding = Mapping[str, Any]


def package_of(package: str) -> str:
    """A package without its version, qualifiers and subpath: of ``pkg:npm/%40a/b@1?x=y`` ``pkg:npm/@a/b``."""
    return split_package(package)[0]


def split_package(package: str) -> tuple[str, str]:
    """A package and its version, "" if it names none."""
    if not package.startswith("pkg:"):
        return package.strip().lower(), ""
    plain = package.partition("?")[0].partition("#")[0]
    head, at, version = plain.rpartition("@")
    # An @ before the last slash belongs to a scope that somebody did not encode.
    if not at or "/" in version:
        head, version = plain, ""
    return unquote(head).lower(), unquote(version)


@dataclass(frozen=True, slots=True)
class Marks:
    """What lists of exploited vulnerabilities say: ids in capitals. ``is_told``: whether there is any list."""

    exploited: frozenset[str] = frozenset()
    is_told: bool = False

    def marked(self, finding: Finding) -> Finding:
        """The finding as the lists know it: one that is exploited is critical, whatever its score."""
        if not self.exploited or finding.get("exploited"):
            return finding
        ids = {name.upper() for name in (finding["id"], *(finding.get("aliases") or ()))}
        return finding if self.exploited.isdisjoint(ids) else {**finding, "exploited": True, "severity": "critical"}


UNMARKED = Marks()


def marks_of(lists: Sequence[Fact]) -> Marks:
    """What some lists say together."""
    data: list[Mapping[str, Any]] = [fact.data for fact in lists if isinstance(fact.data, Mapping)]
    return Marks(frozenset(str(name).upper() for held in data for name in held["ids"]), bool(data))


def unlisted_count(scans: Sequence[Fact]) -> int:
    """How many findings the scans count and keep nothing of, so that nobody can mark them."""
    found = 0
    for fact in scans:
        data: Mapping[str, Any] = fact.data  # type: ignore[assignment]
        counts = data.get("counts")
        total = counts.get("total") if isinstance(counts, Mapping) else None
        if isinstance(total, int):
            found += max(0, total - len(data["findings"]) - len(unpack(data.get("severe_packed") or "")))
    return found


@dataclass(frozen=True, slots=True)
class Weighed:
    """The severe findings of some scans by (part, fingerprint), and which of them are lifted, with the reason.

    A finding of which only the fingerprint is kept is ``{}``; it can't be lifted. ``lesser``: the others that are
    listed and that nothing lifts.
    """

    severe: Mapping[tuple[str, str], Finding]
    lifted: Mapping[tuple[str, str], str]
    lesser: Sequence[Finding]

    @property
    def counted(self) -> set[tuple[str, str]]:
        """The severe ones that are not lifted."""
        return set(self.severe) - set(self.lifted)


def weigh(scans: Sequence[Fact], statements: Sequence[Fact], marks: Marks = UNMARKED, *, packed: bool) -> Weighed:
    """Which severe findings there are and which are lifted. ``packed``: compare fingerprints of fingerprints."""
    by_id = _by_id(statements)
    severe: dict[tuple[str, str], Finding] = {}
    lifted: dict[tuple[str, str], str] = {}
    lesser: list[Finding] = []
    for fact in scans:
        data: Mapping[str, Any] = fact.data  # type: ignore[assignment]
        if packed:
            severe |= {(fact.part, one): {} for one in unpack(data.get("severe_packed") or "")}
        artifacts = frozenset(data.get("artifacts", ()))
        for finding in map(marks.marked, data["findings"]):
            if finding["severity"] not in SEVERE:
                if not _lifting(finding, artifacts, by_id):
                    lesser.append(finding)
                continue
            key = (fact.part, fingerprint(finding["fingerprint"]) if packed else finding["fingerprint"])
            severe[key] = finding
            reason = _lifting(finding, artifacts, by_id)
            if reason:
                lifted[key] = reason
    return Weighed(severe, lifted, lesser)


def named(finding: Finding) -> str:
    """``CVE-2026-1 in pkg:npm/a 1.0``."""
    if not finding:
        return "one that is not listed"
    return f"{finding['id']} in {package_of(finding['package'])} {finding.get('version') or ''}".strip()


def _by_id(facts: Iterable[Fact]) -> dict[str, list[tuple[str, Finding]]]:
    """The statements about each vulnerability, each with the time that it counts from."""
    found: dict[str, list[tuple[str, Finding]]] = {}
    for fact in facts:
        data: Mapping[str, Any] = fact.data  # type: ignore[assignment]
        for statement in data["statements"]:
            # A time of its own that lies after its receipt is no promise to win over what comes later.
            own = parse_time(statement.get("time") or "")
            time = min(own, fact.time) if own else fact.time
            for name in {statement["id"], *statement["aliases"]}:
                found.setdefault(name.upper(), []).append((f"{time.timestamp():020.6f}", statement))
    return found


def _lifting(finding: Finding, artifacts: frozenset[str], by_id: Mapping[str, list[tuple[str, Finding]]]) -> str:
    """Why the finding does not count, "" if it does."""
    about = [
        (time, statement)
        for name in {finding["id"], *(finding.get("aliases") or ())}
        for time, statement in by_id.get(name.upper(), ())
        if _is_about(statement, finding, artifacts)
    ]
    if not about:
        return ""
    newest = max(time for time, _ in about)
    reasons = [_reason(statement) for time, statement in about if time == newest]
    return reasons[0] if all(reasons) else ""


def _reason(statement: Finding) -> str:
    return str(statement["justification"]) if statement["status"] == NOT_AFFECTED else ""


def _is_about(statement: Finding, finding: Finding, artifacts: frozenset[str]) -> bool:
    packages = statement["packages"]
    if packages:
        return any(_same_package(one, finding) for one in packages)
    return any(_same_package(one, finding) or _same_artifact(one, artifacts) for one in statement["products"])


def _same_package(named_package: str, finding: Finding) -> bool:
    package, version = split_package(named_package)
    own, own_version = split_package(finding["package"])
    installed = {own_version, *str(finding.get("version") or "").split(", ")} - {""}
    return package == own and (not version or installed == {version})


def _same_artifact(product: str, artifacts: frozenset[str]) -> bool:
    version = split_package(product)[1]
    digest = version if version.startswith("sha256:") else ""
    return product in artifacts or bool(digest and any(one.endswith(digest) for one in artifacts))
