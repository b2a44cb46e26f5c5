"""The digest that stands for an entry of the audit log in the tree: over everything that is shown of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

LEFT_OUT = frozenset({"payload", "event"})
"""The event itself, which ``payload_bytes`` and ``payload_sha256`` stand for."""


def canonical(entry: Mapping[str, Any]) -> bytes:
    """An entry as ``GET /api/audit/entries`` lists it, in the canonical JSON of RFC 8785, without what is null.

    What is null is left out, so that a field which a later version adds changes no digest of before. Its values are
    texts and whole numbers only, for which Python's JSON is the canonical one.
    """
    kept = {name: value for name, value in entry.items() if value is not None and name not in LEFT_OUT}
    return json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def entry_digest(entry: Mapping[str, Any]) -> bytes:
    """SHA-256 of the canonical form. Raises UnicodeEncodeError for texts that are no Unicode."""
    return hashlib.sha256(canonical(entry)).digest()
