"""Reads XML as a stream of elements, and nothing that XML can do to its reader.

A DOCTYPE is normal (Cobertura, Istanbul, gcovr write one) and read past; its address is never fetched. An internal
subset that declares anything (entities, elements, attributes) is refused, so that no entity is ever expanded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from xml.parsers import expat  # its events are bounded here; ElementTree would hold the whole tree

from libs.judge.report_base import MAX_DEPTH, BadReport
from services.governance.domain.readers.report_text import Source

MAX_XML_ELEMENTS = 4_000_000

Start = Callable[[str, Mapping[str, str]], None]
End = Callable[[str], None]


def read_xml(source: Source, start: Start, end: End, text: Callable[[str], None] | None = None) -> None:
    """Call ``start(name, attributes)`` and ``end(name)`` for each element, names without their prefix.

    ``text`` gets the letters between them, in pieces.

    Raises BadReport for anything that isn't plain, whole, bounded XML, and what ``start`` and ``end`` raise.
    """
    depth = elements = 0

    def begin(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth += 1
        elements += 1
        if depth > MAX_DEPTH:
            raise BadReport(f"The XML is nested more than {MAX_DEPTH} elements deep, at <{tag[:40]}>.")
        if elements > MAX_XML_ELEMENTS:
            raise BadReport(f"The XML has more than {MAX_XML_ELEMENTS} elements: split the report into parts.")
        start(tag.rpartition(":")[2], attributes)

    def finish(tag: str) -> None:
        nonlocal depth
        depth -= 1
        end(tag.rpartition(":")[2])

    def refuse(*_: object) -> None:
        raise BadReport(
            f"The {source.what} report's DOCTYPE declares entities or elements of its own, which are never read: "
            "delete what stands between its brackets [ ] and send it again."
        )

    parser = expat.ParserCreate("utf-8")
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartElementHandler = begin
    parser.EndElementHandler = finish
    if text is not None:
        parser.CharacterDataHandler = text
    for handler in ("EntityDecl", "ElementDecl", "AttlistDecl", "NotationDecl", "UnparsedEntityDecl"):
        setattr(parser, f"{handler}Handler", refuse)
    try:
        for piece in source.xml_text():
            parser.Parse(piece, False)
        parser.Parse("", True)
    except expat.ExpatError as error:
        raise BadReport(
            f"The {source.what} report is not well-formed XML: {error}. It may have been cut off."
        ) from None
