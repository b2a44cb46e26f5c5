"""Reads one report in a process of its own, so that its peak memory can be told: ``read_report FORMAT FILE [floor]``.

``floor``: only the bare parser that Headgate's reader is built on, with handlers that do nothing. Prints one line of
JSON: ``cpu_s`` and ``peak_mib``, which is what the process grew by.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path
from xml.parsers import expat  # the file is made by the bench

import ijson  # type: ignore[import-untyped]

from services.governance.domain.readers.reports import parse_report


def _bare(report_format: str, path: Path) -> None:
    with path.open("rb") as file:
        if report_format == "sarif":
            for _ in ijson.basic_parse(file, buf_size=256 * 1024):
                pass
            return
        parser = expat.ParserCreate()
        parser.StartElementHandler = lambda _name, _attributes: None
        parser.EndElementHandler = lambda _name: None
        parser.ParseFile(file)


def _peak_mib() -> float:
    # Linux hands ru_maxrss on from the parent; the high-water mark of its own memory does not.
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text(encoding="ascii"))[1]) / 1024  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Read, and say what it took."""
    report_format, path = sys.argv[1], Path(sys.argv[2])
    before = _peak_mib()
    started = time.process_time()
    if sys.argv[3:] == ["floor"]:
        _bare(report_format, path)
    else:
        with path.open("rb") as file:
            parse_report(report_format, file)
    took = time.process_time() - started
    print(json.dumps({"cpu_s": took, "peak_mib": _peak_mib() - before}))


if __name__ == "__main__":
    main()
