"""What the beginning of a file looks like, so that one sent under the wrong name is told so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from services.governance.domain.readers.report_text import Source

HEAD_CHARS = 16_384
_ROOT = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)([^<>]*)")
_KEY = re.compile(r'"([\w.$@-]{1,60})"\s*:')


@dataclass(frozen=True, slots=True)
class Look:
    """``root``: the name of the first XML element, "" if it is no XML, and ``after``: its attributes and what follows.

    ``keys``: the names that stand in the beginning of a JSON text. ``text``: the beginning itself.
    """

    text: str
    root: str = ""
    after: str = ""
    keys: frozenset[str] = frozenset()


def look_at(source: Source) -> Look:
    """Look at the first letters of a report."""
    text = "".join(islice(source.text(), 1))[:HEAD_CHARS]
    if text.startswith("<"):
        for found in _ROOT.finditer(re.sub(r"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>]*>", "", text, flags=re.DOTALL)):
            return Look(text, found[1], found[0])
        return Look(text)
    return Look(text, keys=frozenset(_KEY.findall(text)) if text[:1] in ("{", "[") else frozenset())
