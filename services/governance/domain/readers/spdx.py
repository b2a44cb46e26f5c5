"""SPDX 2.2 and 2.3 as JSON (``spdx-json`` of Syft, Trivy, sbom-tool and GitHub)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from libs.judge.report_base import JSON, BadReport, ParsedSignal, as_list, as_object, as_text
from services.governance.domain.readers.components import Component, Components
from services.governance.domain.readers.report_json import MAX_LARGE_JSON_CHARS, read_json
from services.governance.domain.readers.report_text import Source

_NOTHING = ("", "NONE", "NOASSERTION")


def parse_spdx(content: bytes | BinaryIO) -> list[ParsedSignal]:
    """One ``sbom.components`` signal, with the keys that `components.Components.signal` gives. Raises BadReport.

    The packages that the document describes are the product itself, no components of it.
    """
    source = Source(content, "SPDX")
    body = read_json(source, MAX_LARGE_JSON_CHARS)
    inner = body.get("sbom")  # GitHub's API wraps it
    body = inner if isinstance(inner, Mapping) else body
    version = as_text(body.get("spdxVersion"), "spdxVersion", 40)
    if not version.startswith("SPDX-2"):
        raise BadReport(f"The file's spdxVersion is {version!r}; SPDX-2.2 and SPDX-2.3 as JSON are read.")
    products = {one for one in as_list(body.get("documentDescribes"), "documentDescribes") if isinstance(one, str)}
    for item in as_list(body.get("relationships"), "relationships"):
        relation = as_object(item, "relationships")
        if relation.get("relationshipType") == "DESCRIBES":
            products.add(as_text(relation.get("relatedSpdxElement"), "relationships.relatedSpdxElement"))
    found = Components("SPDX")
    for index, item in enumerate(as_list(body.get("packages"), "packages")):
        package = as_object(item, f"packages[{index}]")
        if package.get("SPDXID") not in products:
            found.add(_component(package, f"packages[{index}]"))
    return found.signal(source)


def _component(package: Mapping[str, JSON], where: str) -> Component:
    references = [
        as_object(one, f"{where}.externalRefs") for one in as_list(package.get("externalRefs"), f"{where}.externalRefs")
    ]
    purls = [
        as_text(one.get("referenceLocator"), where, 2_000) for one in references if one.get("referenceType") == "purl"
    ]
    licences = [as_text(package.get(key), f"{where}.{key}") for key in ("licenseConcluded", "licenseDeclared")]
    known = next((one for one in licences if one not in _NOTHING), "")
    return Component(
        as_text(package.get("name"), f"{where}.name"),
        as_text(package.get("versionInfo"), f"{where}.versionInfo"),
        purls[0] if purls else "",
        (known,) if known else (),
    )
