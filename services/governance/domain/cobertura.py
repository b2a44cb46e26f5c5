"""Cobertura XML as coverage.py, gcovr, coverlet, PHPUnit and gocover-cobertura write it.

Coverage is computed from the ``<line hits>`` elements; the attributes of the root are compared with them.
A line that stands in several classes of one file (inner classes, templates) is one line, covered if any copy is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from services.governance.domain.report_base import (
    DEFAULT_PART,
    MAX_COUNT,
    BadReport,
    ParsedSignal,
    child_elements,
    local_name,
    read_xml,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def parse_cobertura(content: bytes) -> list[ParsedSignal]:
    """One ``coverage.cobertura`` signal.

    Data: ``line_rate_percent`` (0..100, two places), ``lines_valid``, ``lines_covered``, ``files``, ``from_lines``
    (false when the report has no line elements and only its attributes could be used). Raises BadReport.
    """
    root = read_xml(content, "Cobertura")
    name = local_name(root.tag)
    if name != "coverage":
        raise BadReport(f"The root element is <{name[:40]}>; Cobertura XML begins with <coverage>.")
    hits: dict[tuple[str, int], int] = {}
    files: set[str] = set()
    raw_valid = raw_covered = 0
    for element in root.iter():
        if local_name(element.tag) != "class":
            continue
        file = element.get("filename") or element.get("name") or ""
        files.add(file)
        for line in _lines_of(element):
            number = _count(line, "number", file)
            count = _count(line, "hits", file)
            raw_valid += 1
            raw_covered += count > 0
            hits[(file, number)] = max(count, hits.get((file, number), 0))
    valid = len(hits)
    covered = sum(count > 0 for count in hits.values())
    said_valid, said_covered = _said(root, "lines-valid"), _said(root, "lines-covered")
    from_lines = valid > 0
    if from_lines:
        _compare(root, [(valid, covered), (raw_valid, raw_covered)])
    elif said_valid is not None and said_covered is not None:
        if said_covered > said_valid:
            raise BadReport(f"The report says lines-covered={said_covered} of lines-valid={said_valid}.")
        valid, covered = said_valid, said_covered
        _compare(root, [(valid, covered)])
    elif _rate(root) not in (None, 0.0, 1.0):
        raise BadReport("The report gives a line-rate but neither <line> elements nor lines-valid to prove it.")
    return [
        ParsedSignal(
            "coverage.cobertura",
            DEFAULT_PART,
            {
                # Floored, so that 79.999 % never reads as 80 %.
                "line_rate_percent": covered * 10_000 // valid / 100 if valid else 0.0,
                "lines_valid": valid,
                "lines_covered": covered,
                "files": len(files),
                "from_lines": from_lines,
            },
        )
    ]


def _lines_of(element: Element) -> Iterator[Element]:
    """A class's own lines; where a tool gives only those of its methods, these."""
    own = [line for lines in child_elements(element, "lines") for line in child_elements(lines, "line")]
    if own:
        yield from own
        return
    for methods in child_elements(element, "methods"):
        for method in child_elements(methods, "method"):
            for lines in child_elements(method, "lines"):
                yield from child_elements(lines, "line")


def _count(line: Element, attribute: str, file: str) -> int:
    text = line.get(attribute, "")
    # Some tools write hits as 1.0, and counters of hot loops beyond 2^53: those are only "many".
    whole = text.strip().removesuffix(".0")
    if not whole.isascii() or not whole.isdigit():
        raise BadReport(f"File {file[:120]!r}: a <line> has {attribute}={text[:40]!r}, which is not a whole number.")
    return min(int(whole[:20]), MAX_COUNT)


def _said(root: Element, attribute: str) -> int | None:
    text = root.get(attribute)
    if text is None:
        return None
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise BadReport(f"<coverage> has {attribute}={text[:40]!r}, which is not a whole number.")
    return int(text)


def _rate(root: Element) -> float | None:
    text = root.get("line-rate")
    if text is None or not text.strip():
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0.0 <= rate <= 1.0:
        raise BadReport(f"<coverage> has line-rate={text[:40]!r}; it must lie between 0 and 1.")
    return rate


def _compare(root: Element, sums: list[tuple[int, int]]) -> None:
    """Raise BadReport unless the root's attributes fit one way of counting the lines."""
    for position, attribute in enumerate(("lines-valid", "lines-covered")):
        said = _said(root, attribute)
        if said is not None and all(said != counted[position] for counted in sums):
            raise BadReport(
                f"<coverage> says {attribute}={said}, but its lines give {sums[0][position]}: "
                "the report is incomplete, make it again and send the whole file."
            )
    rate = _rate(root)
    if rate is None:
        return
    decimals = len(root.get("line-rate", "").strip().partition(".")[2])
    # coverage.py writes four digits ("%.4g", so 0.99996 becomes 1), others two: allow the last digit written.
    tolerance = 0.01 if decimals < 3 else max(10.0**-decimals, 1e-9)
    if all(valid and abs(rate - covered / valid) > tolerance for valid, covered in sums):
        valid, covered = sums[0]
        raise BadReport(
            f"<coverage> says line-rate={rate}, but its lines give {covered / valid:.4f} ({covered} of {valid}): "
            "the report is incomplete, make it again and send the whole file."
        )
