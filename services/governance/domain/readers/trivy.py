"""Trivy's JSON report (``trivy image | fs | rootfs | repo --format json``), schema version 2.

A target whose packages were looked at has a result, also without vulnerabilities. A report without any result proves
nothing: Trivy writes it for an image whose system it does not know, and where no scanner for vulnerabilities ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from libs.judge.report_base import JSON, BadReport, ParsedSignal, as_list, as_object, as_text
from services.governance.domain.readers.report_json import MAX_LARGE_JSON_CHARS, read_json
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.severity import as_score, score_severity, vector_score, word_severity
from services.governance.domain.readers.vulnerabilities import Found, Scan, ids_of

_PACKAGES = ("os-pkgs", "lang-pkgs")


def parse_trivy(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``scan.vulnerabilities`` signal, with the keys that `vulnerabilities.Scan.signal` gives. Raises BadReport."""
    source = Source(content, "Trivy")
    body = read_json(source, MAX_LARGE_JSON_CHARS)
    if body.get("SchemaVersion") != 2:
        raise BadReport("This is no Trivy report of schema version 2: write it with trivy --format json.")
    scan = Scan("Trivy", artifacts=_artifacts(body))
    looked_at = 0
    for index, item in enumerate(as_list(body.get("Results"), "Results")):
        result = as_object(item, f"Results[{index}]")
        found = as_list(result.get("Vulnerabilities"), f"Results[{index}].Vulnerabilities")
        looked_at += bool(found) or result.get("Class") in _PACKAGES
        for number, one in enumerate(found):
            scan.add(_found(as_object(one, where := f"Results[{index}].Vulnerabilities[{number}]"), where))
        modified = as_list(result.get("ExperimentalModifiedFindings"), f"Results[{index}].ExperimentalModifiedFindings")
        scan.suppressed += len(modified)
    if not looked_at:
        scan.finished = False
        scan.remarks.note("No packages were looked at: Trivy found none, or its scanner for vulnerabilities was off.")
    return scan.signal(source)


def _artifacts(body: Mapping[str, JSON]) -> list[str]:
    metadata = as_object(body.get("Metadata"), "Metadata")
    listed = [*as_list(metadata.get("RepoDigests"), "RepoDigests"), *as_list(metadata.get("RepoTags"), "RepoTags")]
    return [one for one in (body.get("ArtifactName"), metadata.get("ImageID"), *listed) if isinstance(one, str)]


def _found(one: Mapping[str, JSON], where: str) -> Found:
    name = as_text(one.get("VulnerabilityID"), f"{where}.VulnerabilityID")
    if not name:
        raise BadReport(f"{where} has no VulnerabilityID.")
    purl = as_text(as_object(one.get("PkgIdentifier"), f"{where}.PkgIdentifier").get("PURL"), f"{where}: PURL")
    score = None
    for rating in as_object(one.get("CVSS"), f"{where}.CVSS").values():
        given = as_object(rating, f"{where}.CVSS")
        scores = [as_score(given.get(key)) for key in ("V40Score", "V3Score")]
        scores.append(vector_score(given.get("V3Vector")))
        score = max((value for value in (score, *scores) if value is not None), default=None)
    word = word_severity(one.get("Severity"))
    # Trivy has weighed its sources, a distribution's own word before NVD's; a score decides only where it has no word.
    return Found(
        ids_of(name, *as_list(one.get("VendorIDs"), f"{where}.VendorIDs")),
        purl or as_text(one.get("PkgName"), f"{where}.PkgName"),
        as_text(one.get("InstalledVersion"), f"{where}.InstalledVersion"),
        (word or (score_severity(score) if score is not None else None),),
        score,
        as_text(one.get("FixedVersion"), f"{where}.FixedVersion"),
    )
