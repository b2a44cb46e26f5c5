"""CSV as spreadsheets read it, without letting a cell become a formula.

Quoting rule: OWASP, "CSV Injection": a text that begins with one of ``= + - @ TAB CR LF``, or with a full-width form of
these, gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def cell(value: Any) -> str:
    """One cell: missing is empty, booleans are ``True``/``False``, lists and objects are compact JSON."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)  # a number is never quoted: -5 stays a number
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "'" + text if text.startswith(DANGEROUS) else text


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A header line and one line per row (RFC 4180: CRLF, quotes doubled)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(row.get(name)) for name in columns])
    return text.getvalue()
