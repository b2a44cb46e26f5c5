"""CycloneDX (JSON and XML, 1.2 to 1.7) in the three things that it may be, as the sender says which he made.

``cyclonedx`` is the list of components. ``cyclonedx-scan`` is what a scanner found: the list of vulnerabilities must
be there, also if it is empty. (Trivy writes an empty one into every SBOM, whether it scanned or not, so its empty list
proves nothing.) ``cyclonedx-vex`` says of vulnerabilities whether they matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO
from urllib.parse import unquote

from libs.judge.report_base import JSON, BadReport, ParsedSignal, as_list, as_object, as_text, clean_text
from services.governance.domain.readers.components import Component, Components
from services.governance.domain.readers.cyclonedx_xml import read_bom_xml
from services.governance.domain.readers.report_json import MAX_LARGE_JSON_CHARS, read_json
from services.governance.domain.readers.report_text import Source
from services.governance.domain.readers.severity import (
    as_fraction,
    as_score,
    score_severity,
    vector_score,
    word_severity,
)
from services.governance.domain.readers.vex import Statement, Statements
from services.governance.domain.readers.vulnerabilities import Found, Scan, ids_of

MAX_NESTED = 32
_EXCUSED = ("not_affected", "false_positive")
_STATES = {"resolved": "fixed", "resolved_with_pedigree": "fixed", "in_triage": "under_investigation"}


def parse_cyclonedx(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``sbom.components`` signal, with the keys that `components.Components.signal` gives. Raises BadReport."""
    source, body = _read(content, "CycloneDX")
    found = Components("CycloneDX")
    for component in _components(body):
        if component.get("type") != "file":
            found.add(_component(component))
    if as_list(body.get("vulnerabilities"), "vulnerabilities"):
        found.remarks.note("It lists vulnerabilities, too: send it as cyclonedx-scan to have these judged.")
    if not isinstance(body.get("components"), list):
        found.remarks.note("It has no list of components.")
    return found.signal(source)


def parse_cyclonedx_scan(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``scan.vulnerabilities`` signal, with the keys that `vulnerabilities.Scan.signal` gives. Raises BadReport."""
    source, body = _read(content, "CycloneDX scan")
    tools = _tools(body)
    listed = body.get("vulnerabilities")
    if not isinstance(listed, list):
        raise BadReport("The CycloneDX file has no list of vulnerabilities: it is an SBOM without a scan.")
    if not listed and any("trivy" in tool.lower() for tool in tools):
        raise BadReport(
            "The list of vulnerabilities is empty, as Trivy writes it into an SBOM that it did not scan: send its own "
            "report (--format json) as trivy."
        )
    about = as_object(as_object(body.get("metadata"), "metadata").get("component"), "metadata.component")
    artifacts = [as_text(about.get(key), f"metadata.component.{key}") for key in ("bom-ref", "purl", "name")]
    scan = Scan(", ".join(tools) or "CycloneDX", artifacts=artifacts)
    places = _places(body)
    for index, item in enumerate(listed):
        where = f"vulnerabilities[{index}]"
        vulnerability = as_object(item, where)
        analysis = as_object(vulnerability.get("analysis"), f"{where}.analysis")
        if analysis.get("state") in _EXCUSED and _justification(analysis):
            scan.suppressed += 1
            continue
        for found in _found(vulnerability, where, places):
            scan.add(found)
    return scan.signal(source)


def parse_cyclonedx_vex(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``vex.statements`` signal, with the keys that `vex.Statements.signal` gives. Raises BadReport."""
    source, body = _read(content, "CycloneDX VEX")
    listed = as_list(body.get("vulnerabilities"), "vulnerabilities")
    if not listed:
        raise BadReport("The CycloneDX VEX lists no vulnerabilities, so it states nothing.")
    metadata = as_object(body.get("metadata"), "metadata")
    written = as_text(metadata.get("timestamp"), "metadata.timestamp", 64)
    about = as_object(metadata.get("component"), "metadata.component")
    own_names = [as_text(about.get(key), f"metadata.component.{key}") for key in ("purl", "name")]
    places = _places(body)
    found = Statements()
    for index, item in enumerate(listed):
        where = f"vulnerabilities[{index}]"
        vulnerability = as_object(item, where)
        analysis = as_object(vulnerability.get("analysis"), f"{where}.analysis")
        state = as_text(analysis.get("state"), f"{where}.analysis.state")
        if not state:
            continue
        status = "not_affected" if state in _EXCUSED else _STATES.get(state, "affected")
        names = [_package(ref, places) for ref in _refs(vulnerability, where)]
        time = as_text(analysis.get("lastUpdated"), f"{where}.analysis.lastUpdated", 64) or written
        # A reference into the file itself is a package; what can't be found there names the product as a whole.
        packages = tuple(name for name, known in names if known)
        products = tuple(name for name, known in names if not known)
        if about.get("bom-ref") in products:
            products = (*products, *filter(None, own_names))
        found.add(Statement(_ids(vulnerability, where), status, _justification(analysis), products, packages, time))
    return found.signal(source)


def _read(content: bytes | BinaryIO, what: str) -> tuple[Source, Mapping[str, JSON]]:
    source = Source(content, what)
    if next(source.text(), "").startswith("<"):
        return source, read_bom_xml(source)
    body = read_json(source, MAX_LARGE_JSON_CHARS)
    if body.get("bomFormat") != "CycloneDX":
        raise BadReport('The file has no "bomFormat": "CycloneDX".')
    return source, body


def _components(body: Mapping[str, JSON]) -> Iterator[Mapping[str, JSON]]:
    """All components, those inside of others, too."""
    about = as_object(as_object(body.get("metadata"), "metadata").get("component"), "metadata.component")
    waiting = [(one, 0) for one in (*as_list(body.get("components"), "components"), *_inner(about))]
    while waiting:
        item, depth = waiting.pop()
        component = as_object(item, "components")
        yield component
        if depth < MAX_NESTED:
            waiting += [(one, depth + 1) for one in _inner(component)]


def _places(body: Mapping[str, JSON]) -> dict[str, Mapping[str, JSON]]:
    """The components by what references call them."""
    return {ref: one for one in _components(body) if (ref := as_text(one.get("bom-ref"), "bom-ref", 2_000))}


def _inner(component: Mapping[str, JSON]) -> list[JSON]:
    return list(as_list(component.get("components"), "components.components"))


def _component(component: Mapping[str, JSON]) -> Component:
    group, name = (as_text(component.get(key), f"component.{key}") for key in ("group", "name"))
    licences = []
    for item in as_list(component.get("licenses"), "component.licenses"):
        choice = as_object(item, "component.licenses")
        licence = as_object(choice.get("license"), "component.licenses.license")
        licences.append(choice.get("expression") or licence.get("id") or licence.get("name"))
    return Component(
        f"{group}/{name}" if group else name,
        as_text(component.get("version"), "component.version"),
        as_text(component.get("purl"), "component.purl"),
        tuple(clean_text(one, 200) for one in licences if isinstance(one, str) and one),
    )


def _tools(body: Mapping[str, JSON]) -> list[str]:
    tools = as_object(body.get("metadata"), "metadata").get("tools")
    listed = as_list(tools.get("components"), "metadata.tools.components") if isinstance(tools, Mapping) else tools
    found = [as_object(one, "metadata.tools") for one in as_list(listed, "metadata.tools")]
    return [clean_text(name, 100) for one in found if isinstance(name := one.get("name"), str)][:5]


def _ids(vulnerability: Mapping[str, JSON], where: str) -> tuple[str, ...]:
    references = [
        as_object(one, f"{where}.references") for one in as_list(vulnerability.get("references"), f"{where}.references")
    ]
    ids = ids_of(vulnerability.get("id"), *(one.get("id") for one in references))
    if not ids:
        raise BadReport(f"{where} has no id.")
    return ids


def _refs(vulnerability: Mapping[str, JSON], where: str) -> list[str]:
    affects = [as_object(one, f"{where}.affects") for one in as_list(vulnerability.get("affects"), f"{where}.affects")]
    return [as_text(one.get("ref"), f"{where}.affects.ref", 2_000) for one in affects]


def _package(ref: str, places: Mapping[str, Mapping[str, JSON]]) -> tuple[str, bool]:
    """What a reference names, and whether that is a package: by its component, also through a BOM-Link, or a purl."""
    own = ref if ref in places else unquote(ref.partition("#")[2])
    component = places.get(own)
    if component is not None:
        purl = as_text(component.get("purl"), "component.purl")
        return (purl or as_text(component.get("name"), "component.name") or own), True
    known = ref if ref.startswith("pkg:") else own
    return (known, True) if known.startswith("pkg:") and not known.startswith("pkg:oci/") else (ref, False)


def _found(vulnerability: Mapping[str, JSON], where: str, places: Mapping[str, Mapping[str, JSON]]) -> Iterator[Found]:
    severities: list[str | None] = []
    scores: list[float] = []
    likely: list[float] = []
    for item in as_list(vulnerability.get("ratings"), f"{where}.ratings"):
        rating = as_object(item, f"{where}.ratings")
        if _is_epss(rating, where):
            epss = as_fraction(rating.get("score"))
            likely += [] if epss is None else [epss]
            continue
        method = as_text(rating.get("method"), f"{where}.ratings.method").lower()
        score = as_score(rating.get("score")) if method in ("", "cvssv2", "cvssv3", "cvssv31", "cvssv4") else None
        score = vector_score(rating.get("vector")) if score is None else score
        scores += [] if score is None else [score]
        severities.append(word_severity(rating.get("severity")) or (None if score is None else score_severity(score)))
    ids = _ids(vulnerability, where)
    for ref in _refs(vulnerability, where) or [""]:
        package = _package(ref, places)[0] or "unknown package"
        version = as_text(places.get(ref, {}).get("version"), "component.version")
        yield Found(ids, package, version, tuple(severities), max(scores, default=None), epss=max(likely, default=None))


def _is_epss(rating: Mapping[str, JSON], where: str) -> bool:
    """Whether a rating is a probability of being exploited: CycloneDX has no method for it, so its source tells."""
    source = as_object(rating.get("source"), f"{where}.ratings.source")
    said = (source.get("name"), source.get("url"), rating.get("method"), rating.get("vector"))
    return any(isinstance(one, str) and "epss" in one.lower() for one in said)


def _justification(analysis: Mapping[str, JSON]) -> str:
    return as_text(analysis.get("justification"), "analysis.justification") or as_text(
        analysis.get("detail"), "analysis.detail"
    )
