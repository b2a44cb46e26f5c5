"""Grype's JSON report (``grype -o json``). Its risk figures (EPSS, KEV) are kept where they are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from libs.judge.report_base import JSON, BadReport, ParsedSignal, as_list, as_object, as_text
from services.governance.domain.readers.report_json import MAX_LARGE_JSON_CHARS, read_json
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.severity import (
    as_fraction,
    as_score,
    score_severity,
    vector_score,
    word_severity,
)
from services.governance.domain.readers.vulnerabilities import Found, Scan, ids_of


def parse_grype(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``scan.vulnerabilities`` signal, with the keys that `vulnerabilities.Scan.signal` gives. Raises BadReport."""
    source = Source(content, "Grype")
    body = read_json(source, MAX_LARGE_JSON_CHARS)
    if not isinstance(body.get("matches"), list):
        raise BadReport("The Grype report has no list of matches: write it with grype -o json.")
    scan = Scan("Grype", artifacts=_artifacts(body))
    for index, item in enumerate(as_list(body["matches"], "matches")):
        scan.add(_found(as_object(item, f"matches[{index}]"), f"matches[{index}]"))
    scan.suppressed = len(as_list(body.get("ignoredMatches"), "ignoredMatches"))
    return scan.signal(source)


def _artifacts(body: Mapping[str, JSON]) -> list[str]:
    target = as_object(body.get("source"), "source").get("target")
    if isinstance(target, str):
        return [target]
    about = as_object(target, "source.target")
    listed = [*as_list(about.get("repoDigests"), "repoDigests"), *as_list(about.get("tags"), "tags")]
    names = (about.get("userInput"), about.get("imageID"), about.get("manifestDigest"), *listed)
    return [one for one in names if isinstance(one, str)]


def _found(match: Mapping[str, JSON], where: str) -> Found:
    vulnerability = as_object(match.get("vulnerability"), f"{where}.vulnerability")
    artifact = as_object(match.get("artifact"), f"{where}.artifact")
    name = as_text(vulnerability.get("id"), f"{where}.vulnerability.id")
    if not name:
        raise BadReport(f"{where}.vulnerability has no id.")
    related = [
        as_object(one, f"{where}.relatedVulnerabilities")
        for one in as_list(match.get("relatedVulnerabilities"), f"{where}.relatedVulnerabilities")
    ]
    word = word_severity(vulnerability.get("severity"))
    scores = [score for one in (vulnerability, *related) for score in _scores(one, where)]
    score = max(scores, default=None)
    epss = [
        as_fraction(as_object(one, f"{where}: epss").get("epss"))
        for one in as_list(vulnerability.get("epss"), f"{where}: epss")
    ]
    fix = as_object(vulnerability.get("fix"), f"{where}: fix")
    fixed = [one for one in as_list(fix.get("versions"), f"{where}: fix.versions") if isinstance(one, str)]
    return Found(
        ids_of(name, *(one.get("id") for one in related)),
        as_text(artifact.get("purl"), f"{where}: purl") or as_text(artifact.get("name"), f"{where}: name"),
        as_text(artifact.get("version"), f"{where}: version"),
        # Grype's own word has weighed its sources; a score decides only where it says "Unknown".
        (word or (score_severity(score) if score is not None else None),),
        score,
        ", ".join(fixed[:5]),
        max((one for one in epss if one is not None), default=None),
        bool(as_list(vulnerability.get("knownExploited"), f"{where}: knownExploited")),
    )


def _scores(vulnerability: Mapping[str, JSON], where: str) -> list[float]:
    found: list[float] = []
    for item in as_list(vulnerability.get("cvss"), f"{where}: cvss"):
        rating = as_object(item, f"{where}: cvss")
        given = as_score(as_object(rating.get("metrics"), f"{where}: cvss.metrics").get("baseScore"))
        score = vector_score(rating.get("vector")) if given is None else given
        found += [] if score is None else [score]
    return found
