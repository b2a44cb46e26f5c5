"""Names as people and tools have them: of a subject, of a version, of a part.

A name is 1 to 200 printable Unicode characters (code points) without a space at its ends. It is compared exactly, code
point by code point: case counts, and nothing is normalised. Names are data. They never become a subject token of the
bus, a metric's label, a file's name or a piece of SQL; for these there is `libs.common.ids.token`.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_NAME_CHARS = 200
MAX_LINE_CHARS = 100

# For readers of the OpenAPI document: what of the rule a regular expression of JSON Schema can say (ECMA 262, without
# characters beyond the BMP). It never forbids what `printable_name` takes.
_NOT_PRINTABLE = (
    r"\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u2064\u2066-\u206f\u3000"
    r"\ue000-\uf8ff\ufeff"
)
PATTERN = f"^[^ {_NOT_PRINTABLE}]([^{_NOT_PRINTABLE}]*[^ {_NOT_PRINTABLE}])?$"


def printable_name(text: str) -> str:
    """Return ``text`` if each of its characters is printable and none at its ends is a space.

    Printable are letters, marks, digits, punctuation and symbols of all scripts, and the plain space U+0020. That is
    Python's `str.isprintable`, and code points that Unicode has not given to a character yet, so that a newer emoji is
    no news to an older Python. Not printable are controls, line and paragraph separators, invisible format characters
    (direction marks, zero-width spaces and joiners, soft hyphens), spaces that only look like the plain one, private
    use, surrogates and noncharacters. Raises `PydanticCustomError` naming the first that is not.
    """
    if not text.isprintable():
        for place, sign in enumerate(text, 1):
            if not sign.isprintable() and not _unassigned(sign):
                name = unicodedata.name(sign, "a control character" if sign < "\u00a0" else "no character")
                raise PydanticCustomError(
                    "not_printable",
                    "a name holds printable characters only, and its character {place} is U+{code} ({name})",
                    {"place": place, "code": f"{ord(sign):04X}", "name": name},
                )
    if text[:1] == " " or text[-1:] == " ":
        raise PydanticCustomError("space_at_end", "a name may not begin or end with a space")
    return text


def _unassigned(sign: str) -> bool:
    code = ord(sign)
    never = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF  # noncharacters: Unicode 15.0, 23.7
    return unicodedata.category(sign) == "Cn" and not never


def _schema(what: str) -> WithJsonSchema:
    limits = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS, "pattern": PATTERN}
    return WithJsonSchema({**limits, "description": what} if what else limits)


Name = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS), AfterValidator(printable_name), _schema("")
]
Subject = Annotated[Name, _schema("What is judged, such as acme/payments-api")]
Version = Annotated[Name, _schema("Which version of it, such as 1.4.0 or sha256:…")]
Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_LINE_CHARS),
    AfterValidator(printable_name),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_LINE_CHARS,
            "pattern": PATTERN,
            "description": "Which line of its versions, such as 1.4; none where the policy derives it or there is one",
        }
    ),
]
ArtifactDigest = Annotated[
    str,
    StringConstraints(pattern=r"^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}|blake3:[0-9a-f]{64})$"),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^(sha256|sha384|sha512|blake3):[0-9a-f]{64,128}$",
            "description": "The digest of the artifact, as registries name it: sha256: and 64 digits of 0-9a-f",
        }
    ),
]
LineFilter = Annotated[
    str,
    StringConstraints(max_length=MAX_LINE_CHARS),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": MAX_LINE_CHARS,
            "description": "Of which line; empty: of the one without a name",
        }
    ),
]
Part = Annotated[Name, _schema("Which of several signals of one kind this is, such as unit")]
