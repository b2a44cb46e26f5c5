"""The digest that stands for an entry of the audit log in the tree: over everything that is shown of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import orjson

LEFT_OUT = frozenset({"payload", "event", "erased_at", "client"})
"""The event itself, for which ``payload_bytes`` and ``payload_sha256`` stand, its removal, and what was unsealed."""


_PLAIN = {str, int}


def canonical(entry: Mapping[str, Any]) -> bytes:
    """An entry as ``GET /api/audit/entries`` lists it, in the canonical JSON of RFC 8785, without what is null.

    What is null is left out, so that a field which a later version adds changes no digest of before. Its values are
    texts and whole numbers only, for which Python's JSON is the canonical one.
    """
    kept = {name: value for name, value in entry.items() if value is not None and name not in LEFT_OUT}
    if set(map(type, kept.values())) <= _PLAIN:  # then the faster one writes the same bytes, or refuses
        try:
            return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
        except (orjson.JSONEncodeError, TypeError):
            pass  # beyond 64 bits, or no Unicode
    return json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def entry_digest(entry: Mapping[str, Any]) -> bytes:
    """SHA-256 of the canonical form. Raises UnicodeEncodeError for texts that are no Unicode."""
    return hashlib.sha256(canonical(entry)).digest()


def unhashed_problem(entry: Mapping[str, Any]) -> str | None:
    """What is wrong with what is shown of an entry and stands in no digest, as a sentence; None: nothing.

    ``event`` must be what ``payload`` says, which the digest stands for by its hash; ``erased_at`` is of a body that is
    gone.
    """
    payload, event = entry.get("payload"), entry.get("event")
    if event is not None and (not isinstance(payload, str) or not _says(payload, event)):
        return f"entry {entry.get('seq')} was changed: its event is not what its payload says"
    if payload is not None and entry.get("erased_at") is not None:
        return f"entry {entry.get('seq')} has its body, though it is shown as removed"
    return None


def _says(payload: str, event: Any) -> bool:
    """Whether a text is this JSON, told apart also where Python calls it equal (1, 1.0 and true)."""
    try:
        if orjson.dumps(event) == payload.encode():  # as our own services spell it
            return True
        if _spelled(orjson.loads(payload)) == _spelled(event):
            return True
    except (orjson.JSONDecodeError, TypeError, UnicodeEncodeError):
        pass  # whole numbers beyond 64 bits: slower
    try:
        return json.dumps(json.loads(payload), sort_keys=True) == json.dumps(event, sort_keys=True)
    except (ValueError, TypeError, RecursionError):
        return False


def _spelled(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
