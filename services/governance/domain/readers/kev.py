"""CISA's catalogue of known exploited vulnerabilities (known_exploited_vulnerabilities.json).

It is a fact of its own, beside scans: a finding that it names counts as exploited, whichever scanner told of it.
"""

from __future__ import annotations

from typing import BinaryIO

from libs.judge.checks import parse_time
from libs.judge.report_base import (
    JSON,
    MAX_COUNT,
    BadReport,
    ParsedSignal,
    Remarks,
    as_list,
    as_object,
    as_text,
)
from libs.judge.vulnerabilities import EXPLOITED
from services.governance.domain.readers.report_json import read_json
from services.governance.domain.readers.report_text import Source

PART = "kev"
MAX_LISTED = 50_000
MAX_ID_CHARS = 100


def parse_kev(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``vuln.exploited`` signal of the part ``kev``. Raises BadReport, also for a catalogue that names nothing."""
    source = Source(content, "KEV")
    body = read_json(source)
    listed = as_list(body.get("vulnerabilities"), "vulnerabilities")
    remarks, ids = Remarks(), dict[str, None]()
    for index, item in enumerate(listed):
        name = as_text(as_object(item, f"vulnerabilities[{index}]").get("cveID"), f"vulnerabilities[{index}].cveID")
        if name.strip():
            ids[name.strip().upper()[:MAX_ID_CHARS]] = None
    if not ids:
        raise BadReport("The catalogue names no vulnerability (cveID): send known_exploited_vulnerabilities.json.")
    if len(ids) > MAX_LISTED:
        raise BadReport(f"The catalogue names more than {MAX_LISTED} vulnerabilities.")
    if len(listed) > len(ids):
        remarks.note(f"{len(listed) - len(ids)} of the entries name no vulnerability, or one again.")
    announced = body.get("count")
    if isinstance(announced, int) and not isinstance(announced, bool) and len(listed) < announced <= MAX_COUNT:
        remarks.short("vulnerabilities", announced, len(listed))
    version = as_text(body.get("catalogVersion"), "catalogVersion", 50)
    released = as_text(body.get("dateReleased"), "dateReleased", 64)
    data: dict[str, JSON] = {
        "source": f"CISA KEV {version}".strip(),
        "released_at": released if parse_time(released) else None,
        "ids": sorted(ids),
        **remarks.data(f"{len(ids)} known exploited vulnerabilities, catalogue {version or 'without a version'}"),
    }
    return [ParsedSignal(EXPLOITED, PART, data)]
