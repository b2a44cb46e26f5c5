"""``pip-audit --format json``. It tells no severity, so each finding counts as high; skipped packages are noted.

A package that was skipped (from a path, not on the index) was not looked at: the report is incomplete about it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import BinaryIO

from libs.judge.report_base import JSON, BadReport, ParsedSignal, as_list, as_object, as_text
from services.governance.domain.readers.report_json import MAX_LARGE_JSON_CHARS, read_json_value
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.vulnerabilities import Found, Scan, ids_of

_SEPARATORS = re.compile(r"[-_.]+")


def parse_pip_audit(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``scan.vulnerabilities`` signal, with the keys that `vulnerabilities.Scan.signal` gives. Raises BadReport."""
    source = Source(content, "pip-audit")
    body = read_json_value(source, MAX_LARGE_JSON_CHARS)
    # Version 1 wrote the list alone.
    listed = body.get("dependencies") if isinstance(body, Mapping) else body
    if not isinstance(listed, list):
        raise BadReport("The pip-audit report has no dependencies: write it with pip-audit --format json.")
    scan = Scan("pip-audit")
    skipped = 0
    for index, item in enumerate(listed):
        where = f"dependencies[{index}]"
        package = as_object(item, where)
        name = as_text(package.get("name"), f"{where}.name")
        if not name:
            raise BadReport(f"{where} has no name.")
        skipped += "skip_reason" in package
        for number, one in enumerate(as_list(package.get("vulns"), f"{where}.vulns")):
            scan.add(_found(as_object(one, spot := f"{where}.vulns[{number}]"), spot, name, package))
    if not listed:
        scan.finished = False
        scan.remarks.note("No packages were looked at.")
    if skipped:
        scan.remarks.short("audited packages", len(listed), len(listed) - skipped)
        scan.remarks.note(f"Packages that pip-audit skipped: {skipped} of {len(listed)}.")
    return scan.signal(source)


def _found(one: Mapping[str, JSON], where: str, name: str, package: Mapping[str, JSON]) -> Found:
    ids = ids_of(one.get("id"), *as_list(one.get("aliases"), f"{where}.aliases"))
    if not ids:
        raise BadReport(f"{where} has no id.")
    fixed = [
        version for version in as_list(one.get("fix_versions"), f"{where}.fix_versions") if isinstance(version, str)
    ]
    purl = f"pkg:pypi/{_SEPARATORS.sub('-', name).lower()}"
    return Found(ids, purl, as_text(package.get("version"), "version"), (), None, ", ".join(fixed[:5]))
