"""What every report format shares: the parsed signal, the refusal, and the safe reading of XML, JSON and text.

A report comes from outside, so its size, depth and number of nodes are bounded before anything looks at its meaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeAlias
from xml.etree.ElementTree import ParseError, TreeBuilder

from defusedxml.common import DTDForbidden, EntitiesForbidden, ExternalReferenceForbidden
from defusedxml.ElementTree import DefusedXMLParser

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element  # only the type; parsing is defusedxml's

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

MAX_REPORT_BYTES = 6 * 1024 * 1024
MAX_DEPTH = 64
MAX_XML_ELEMENTS = 400_000
MAX_JSON_NODES = 2_000_000
MAX_ID_CHARS = 500
MAX_PART_CHARS = 80
MAX_NAME_CHARS = 200  # of subjects, versions and parts as they are sent
MAX_COUNT = 2**53  # the largest whole number that JSON readers agree on
DEFAULT_PART = "default"

# NUL and lone surrogates are legal in Python and in JSON escapes, but no Postgres text can hold them.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_PLAIN_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_PART_CHARS = re.compile(r"[^A-Za-z0-9._:-]+")


class BadReport(ValueError):
    """A report that can't be judged. The message is a sentence that says what is wrong and where."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class ParsedSignal:
    """One fact read from a report: ``kind`` such as ``test.junit``, ``part`` such as a scanner's name, and its data."""

    kind: str
    part: str
    data: dict[str, JSON]


def clean_text(text: str, max_chars: int = MAX_ID_CHARS) -> str:
    """``text`` without what a database can't store, at most ``max_chars`` long.

    A cut text ends in a hash of the whole, so that two long ids with one beginning stay two.
    """
    text = _UNSTORABLE.sub("\ufffd", text)
    if len(text) <= max_chars:
        return text
    digest = sha256(text.encode()).hexdigest()[:12]
    return f"{text[: max_chars - 15]}...{digest}"


def part_name(text: str) -> str:
    """A part's name from a tool's: in the letters ``[A-Za-z0-9._:-]``, first a letter or digit, at most 80."""
    name = _PART_CHARS.sub("-", text).strip("-._:")
    return (
        clean_text(name, MAX_PART_CHARS)
        if name
        else "unnamed-" + sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    )


def joined_part(asked: str, own: str) -> str:
    """A sender's part before the one that a report names itself, such as ``unit tests:semgrep``.

    In the letters of `part_name` and at most 80 long if ``asked`` is in these, as it always was; else as it was asked.
    """
    if len(asked) <= MAX_PART_CHARS and _PLAIN_PART.fullmatch(asked):
        return part_name(f"{asked}:{own}")
    return clean_text(f"{asked}:{own}", MAX_NAME_CHARS)


def file_part(name: str) -> str:
    """The part that a file's name gives: without its folders and its last extension (``out/unit.xml`` gives unit)."""
    return part_name(PurePosixPath(name.replace("\\", "/")).stem)


def check_size(content: bytes, what: str) -> None:
    """Raise BadReport for an empty report or one over ``MAX_REPORT_BYTES``."""
    if not content.strip():
        raise BadReport(f"The {what} report is empty: send the file that the tool wrote.")
    if len(content) > MAX_REPORT_BYTES:
        raise BadReport(
            f"The {what} report has {len(content)} bytes, and at most {MAX_REPORT_BYTES} are read: "
            "split it into parts (part=unit, part=integration)."
        )


class _CappedBuilder(TreeBuilder):
    """Builds the tree, and gives up as soon as it grows too deep or too large."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0
        self.elements = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self.depth += 1
        self.elements += 1
        if self.depth > MAX_DEPTH:
            raise BadReport(f"The XML is nested more than {MAX_DEPTH} elements deep, at <{tag[:40]}>.")
        if self.elements > MAX_XML_ELEMENTS:
            raise BadReport(f"The XML has more than {MAX_XML_ELEMENTS} elements: split the report into parts.")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self.depth -= 1
        return super().end(tag)


def read_xml(content: bytes, what: str) -> Element:
    """The root element of ``content``. No DTD, no entity and no external reference is ever processed.

    Raises BadReport for anything that isn't plain, whole, bounded XML.
    """
    check_size(content, what)
    parser = DefusedXMLParser(target=_CappedBuilder(), forbid_dtd=True, forbid_entities=True, forbid_external=True)
    try:
        parser.feed(content)
        root: Element = parser.close()
    except DTDForbidden:
        raise BadReport(
            f"The {what} report has a DOCTYPE, which is never read: delete its <!DOCTYPE ...> line and send it again."
        ) from None
    except (EntitiesForbidden, ExternalReferenceForbidden):
        raise BadReport(f"The {what} report declares XML entities, which are never read.") from None
    except ParseError as error:
        raise BadReport(f"The {what} report is not well-formed XML: {error}. It may have been cut off.") from None
    except (ValueError, LookupError) as error:
        if isinstance(error, BadReport):
            raise
        raise BadReport(f"The {what} report can't be decoded: {error}. Send it as UTF-8.") from None
    return root


def local_name(tag: object) -> str:
    """An element's name without its namespace (comments have no text name and give "")."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def child_elements(element: Element, *names: str) -> Iterator[Element]:
    """Direct children with one of these names, whatever their namespace."""
    return (child for child in element if local_name(child.tag) in names)


def read_json(content: bytes, what: str) -> Mapping[str, JSON]:
    """The JSON object in ``content``. Raises BadReport for broken, too deep or too large JSON, and for NaN."""
    check_size(content, what)
    try:
        value = json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise BadReport(f"The {what} report is not UTF-8: byte {error.start} can't be decoded.") from None
    except json.JSONDecodeError as error:
        raise BadReport(
            f"The {what} report is not valid JSON: {error.msg}, line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise BadReport(f"The {what} report is nested more than {MAX_DEPTH} levels deep.") from None
    except ValueError as error:
        if isinstance(error, BadReport):
            raise
        raise BadReport(f"The {what} report holds a number that can't be read: {error}.") from None
    _check_json_bounds(value, what)
    if not isinstance(value, dict):
        raise BadReport(f"The {what} report is not a JSON object.")
    return value


def _refuse_constant(name: str) -> float:
    raise BadReport(f"The report holds {name}, which is not JSON.")


def _check_json_bounds(value: JSON, what: str) -> None:
    level: list[JSON] = [value]
    nodes = depth = 0
    while level:
        nodes += len(level)
        if depth > MAX_DEPTH:
            raise BadReport(f"The {what} report is nested more than {MAX_DEPTH} levels deep.")
        if nodes > MAX_JSON_NODES:
            raise BadReport(f"The {what} report holds more than {MAX_JSON_NODES} values.")
        below: list[JSON] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below
        depth += 1


def as_object(value: JSON, where: str) -> Mapping[str, JSON]:
    """``value`` as an object, an absent one as empty. Raises BadReport that names ``where``."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadReport(f"{where} is not an object.")
    return value


def as_list(value: JSON, where: str) -> Sequence[JSON]:
    """``value`` as a list, an absent one as empty. Raises BadReport that names ``where``."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadReport(f"{where} is not a list.")
    return value


def as_text(value: JSON, where: str, max_chars: int = MAX_ID_CHARS) -> str:
    """``value`` as cleaned text, an absent one as "". Raises BadReport that names ``where``."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadReport(f"{where} is not text.")
    return clean_text(value, max_chars)
