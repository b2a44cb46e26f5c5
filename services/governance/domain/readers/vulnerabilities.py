"""The data of a ``scan.vulnerabilities`` fact, from the findings of any scanner.

A finding is a vulnerability in a package. Its fingerprint is made of both, the package without its version: an upgrade
that does not mend it makes no new finding, and the lines of a lock file don't matter. Ids that are aliases (CVE, GHSA,
PYSEC) are one vulnerability, named by its CVE if it has one, so that two scanners' words for it count as one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from libs.judge.report_base import DEFAULT_PART, JSON, BadReport, ParsedSignal, Remarks, clean_text, counted
from libs.judge.test_ids import pack
from libs.judge.vulnerabilities import package_of
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.severity import SEVERE, SEVERITIES, rated_severity

KIND = "scan.vulnerabilities"
MAX_FINDINGS = 200_000
MAX_SEVERE = 5_000  # listed; of more the fingerprints are kept, as a verdict compares each one
MAX_LESSER = 2_000  # listed; of more only the number is kept
MAX_ALIASES = 20
MAX_ARTIFACTS = 50


@dataclass(frozen=True, slots=True)
class Found:
    """A finding as a scanner tells it. ``ids``: all names of the vulnerability. ``severities``: of scores and words.

    ``package``: its purl, else its name. ``epss``: a probability of 0 to 1. ``exploited``: known to be (CISA's KEV).
    """

    ids: tuple[str, ...]
    package: str
    version: str = ""
    severities: tuple[str | None, ...] = ()
    score: float | None = None
    fixed_in: str = ""
    epss: float | None = None
    exploited: bool = False

    @property
    def name(self) -> str:
        """The vulnerability's CVE if it has one, else its GHSA, else its first id."""
        ids = sorted(one.upper() for one in self.ids)
        return next((one for mark in ("CVE-", "GHSA-") for one in ids if one.startswith(mark)), ids[0])


@dataclass(slots=True)
class Scan:
    """What a scanner found. ``artifacts``: names and digests of what it scanned, which VEX statements may name."""

    tool: str
    remarks: Remarks = field(default_factory=Remarks)
    artifacts: list[str] = field(default_factory=list)
    suppressed: int = 0
    finished: bool = True
    _found: dict[str, Found] = field(default_factory=dict)

    def add(self, found: Found) -> None:
        """Keep a finding; several with one fingerprint are one, the worst of them. Raises BadReport beyond a bound."""
        key = fingerprint(found)
        known = self._found.get(key)
        self._found[key] = found if known is None else _both(known, found)
        if len(self._found) > MAX_FINDINGS:
            raise BadReport(f"The report has more than {MAX_FINDINGS} findings: split it into parts.")

    def signal(self, source: Source) -> list[ParsedSignal]:
        """The fact of the report."""
        if source.mixed:
            self.remarks.note(
                "Some bytes are not in the encoding that the report declares; they were read as Windows-1252."
            )
        rated = sorted(
            ((rated_severity(one.severities, one.epss, one.exploited), key, one) for key, one in self._found.items()),
            key=lambda entry: (SEVERITIES.index(entry[0]), entry[1]),
        )
        counts = Counter(severity for severity, _, _ in rated)
        severe = [entry for entry in rated if entry[0] in SEVERE]
        lesser = rated[len(severe) : len(severe) + MAX_LESSER]
        unlisted = [key for _, key, _ in severe[MAX_SEVERE:]]
        if unlisted:
            self.remarks.note(
                f"Of {len(severe)} severe findings, {MAX_SEVERE} are listed; of the others fingerprints are kept."
            )
        if len(rated) - len(severe) > MAX_LESSER:
            self.remarks.note(f"Of {len(rated) - len(severe)} findings below high, {MAX_LESSER} are listed.")
        unrated = sum(not any(one.severities) for _, _, one in rated)
        if unrated:
            self.remarks.note(f"{counted(unrated, 'finding')} without a severity: counted as high.")
        summary = counted(len(rated), "vulnerable package")
        if rated:
            summary += ": " + ", ".join(f"{counts[word]} {word}" for word in SEVERITIES if counts[word])
        summary += f"; {self.suppressed} suppressed" if self.suppressed else ""
        summary += "" if self.finished else "; the scan did not finish"
        data: dict[str, JSON] = {
            "tool": self.tool,
            "artifacts": [clean_text(one) for one in dict.fromkeys(self.artifacts) if one][:MAX_ARTIFACTS],
            "findings": [_listed(*entry) for entry in (*severe[:MAX_SEVERE], *lesser)],
            "counts": {**{word: counts[word] for word in SEVERITIES}, "total": len(rated)},
            "suppressed": self.suppressed,
            "execution_successful": self.finished,
            **({"severe_packed": pack(unlisted)} if unlisted else {}),
            **self.remarks.data(summary),
        }
        return [ParsedSignal(KIND, DEFAULT_PART, data)]


def fingerprint(found: Found) -> str:
    """32 hex digits of vulnerability and package."""
    return sha256(json.dumps([found.name, package_of(found.package)]).encode()).hexdigest()[:32]


def ids_of(*ids: JSON) -> tuple[str, ...]:
    """The ids that are texts, each once."""
    texts = (clean_text(one.strip(), 100) for one in ids if isinstance(one, str) and one.strip())
    return tuple(dict.fromkeys(texts))[:MAX_ALIASES]


def _both(one: Found, other: Found) -> Found:
    ids = tuple(dict.fromkeys((*one.ids, *other.ids)))[:MAX_ALIASES]
    versions = dict.fromkeys(version for version in (*one.version.split(", "), other.version) if version)
    return Found(
        ids,
        one.package,
        clean_text(", ".join(versions), 200),
        (*one.severities, *other.severities),
        _most((one.score, other.score)),
        one.fixed_in or other.fixed_in,
        _most((one.epss, other.epss)),
        one.exploited or other.exploited,
    )


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _listed(severity: str, key: str, found: Found) -> dict[str, JSON]:
    return {
        "fingerprint": key,
        "id": found.name,
        "aliases": sorted({one.upper() for one in found.ids} - {found.name}),
        "package": clean_text(found.package, 300),
        "version": clean_text(found.version, 200),
        "severity": severity,
        "score": found.score,
        "fixed_in": clean_text(found.fixed_in, 200),
        "epss": found.epss,
        "exploited": found.exploited,
    }
