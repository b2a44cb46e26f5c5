"""Reads a JSON object whole: for bodies that are small. SARIF logs are read as a stream (``sarif_log``)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from libs.judge.report_base import JSON, MAX_DEPTH, BadReport
from services.governance.domain.readers.report_text import Source

MAX_JSON_CHARS = 8 * 1024 * 1024
MAX_LARGE_JSON_CHARS = 24 * 1024 * 1024  # of scanners, which write whole advisories into each finding
MAX_JSON_NODES = 2_000_000


def read_json(source: Source, max_chars: int = MAX_JSON_CHARS) -> Mapping[str, JSON]:
    """The JSON object in ``source``. Raises BadReport for broken, too deep or too large JSON, and for NaN."""
    value = read_json_value(source, max_chars)
    if not isinstance(value, dict):
        raise BadReport(f"The {source.what} report is not a JSON object.")
    return value


def read_json_value(source: Source, max_chars: int = MAX_JSON_CHARS) -> JSON:
    """The same for any JSON, such as a list."""
    what = source.what
    pieces: list[str] = []
    chars = 0
    for piece in source.text():
        pieces.append(piece)
        chars += len(piece)
        if chars > max_chars:
            raise BadReport(f"The {what} report has more than {max_chars} letters: send it in parts.")
    try:
        value: JSON = json.loads("".join(pieces), parse_constant=_refuse_constant)
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
