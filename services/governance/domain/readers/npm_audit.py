"""``npm audit --json`` of npm 6 (``advisories``) and of npm 7 and later (``vulnerabilities``), also of pnpm.

npm 7 lists packages; the advisories stand in their ``via``, which names another package where one only comes through
it. An audit that failed writes an ``error`` instead: nothing is known then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO
from urllib.parse import quote

from libs.judge.report_base import JSON, BadReport, ParsedSignal, as_list, as_object, as_text
from services.governance.domain.readers.report_json import MAX_LARGE_JSON_CHARS, read_json
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.severity import as_score, score_severity, vector_score, word_severity
from services.governance.domain.readers.vulnerabilities import Found, Scan, ids_of


def parse_npm_audit(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``scan.vulnerabilities`` signal, with the keys that `vulnerabilities.Scan.signal` gives. Raises BadReport."""
    source = Source(content, "npm audit")
    body = read_json(source, MAX_LARGE_JSON_CHARS)
    if "error" in body:
        error = as_object(body["error"], "error")
        raise BadReport(
            f"npm audit failed: {as_text(error.get('summary') or error.get('code'), 'error')[:300].rstrip('.')}."
        )
    scan = Scan("npm audit")
    if isinstance(body.get("advisories"), Mapping):
        for key, item in as_object(body["advisories"], "advisories").items():
            scan.add(_old(as_object(item, f"advisories.{key}"), f"advisories.{key}"))
    elif isinstance(body.get("vulnerabilities"), Mapping) and "auditReportVersion" in body:
        for key, item in as_object(body["vulnerabilities"], "vulnerabilities").items():
            _packages(scan, as_object(item, f"vulnerabilities.{key}"), f"vulnerabilities.{key}")
    else:
        raise BadReport("The report has neither advisories nor vulnerabilities: write it with npm audit --json.")
    metadata = as_object(body.get("metadata"), "metadata")
    counts = metadata.get("dependencies")
    total = counts.get("total") if isinstance(counts, Mapping) else metadata.get("totalDependencies")
    if total == 0:
        scan.finished = False
        scan.remarks.note("No packages were looked at.")
    return scan.signal(source)


def _purl(name: str) -> str:
    """``pkg:npm/%40scope/name``."""
    return f"pkg:npm/{quote(name, safe='/')}"


def _rating(advisory: Mapping[str, JSON], where: str) -> tuple[str | None, float | None]:
    cvss = as_object(advisory.get("cvss"), f"{where}.cvss")
    given = as_score(cvss.get("score"))
    score = given or vector_score(cvss.get("vectorString"))  # npm writes 0 where it knows none
    word = word_severity(advisory.get("severity"))
    return word or (score_severity(score) if score else None), score or None


def _old(advisory: Mapping[str, JSON], where: str) -> Found:
    severity, score = _rating(advisory, where)
    found = [as_object(one, f"{where}.findings") for one in as_list(advisory.get("findings"), f"{where}.findings")]
    cves = as_list(advisory.get("cves"), f"{where}.cves")
    ids = ids_of(*cves, advisory.get("github_advisory_id"), f"npm-{advisory.get('id')}")
    versions = [as_text(one.get("version"), f"{where}.findings") for one in found]
    return Found(
        ids,
        _purl(as_text(advisory.get("module_name"), f"{where}.module_name")),
        ", ".join(versions[:5]),
        (severity,),
        score,
        as_text(advisory.get("patched_versions"), f"{where}.patched_versions"),
    )


def _packages(scan: Scan, package: Mapping[str, JSON], where: str) -> None:
    for number, via in enumerate(as_list(package.get("via"), f"{where}.via")):
        if isinstance(via, str):  # the advisory stands at that package
            continue
        spot = f"{where}.via[{number}]"
        advisory = as_object(via, spot)
        url = as_text(advisory.get("url"), f"{spot}.url")
        ids = ids_of(
            *as_list(advisory.get("cves"), f"{spot}.cves"), url.rpartition("/")[2], f"npm-{advisory.get('source')}"
        )
        severity, score = _rating(advisory, spot)
        fix = package.get("fixAvailable")
        fixed = (
            f"{fix.get('name')} {fix.get('version')}" if isinstance(fix, Mapping) else "npm audit fix" if fix else ""
        )
        name = as_text(advisory.get("name"), f"{spot}.name") or as_text(package.get("name"), f"{where}.name")
        scan.add(Found(ids, _purl(name), "", (severity,), score, fixed))
