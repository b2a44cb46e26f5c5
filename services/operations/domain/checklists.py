"""The signature of a checklist and its version: `YYYY.MM.vN`, counted anew each month."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

SIGNATURE_DIGITS = 12
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def signature_of(policy: Any, steps: Any) -> str:
    """The first 12 hex digits of the SHA-256 of both as JSON with sorted keys, without spaces."""
    canonical = json.dumps({"policy": policy, "steps": steps}, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:SIGNATURE_DIGITS]


def month_prefix(at: datetime) -> str:
    """How versions of the month (UTC) begin, such as ``2026.03.v``."""
    return f"{at.astimezone(UTC):%Y.%m}.v"


def version_of(at: datetime, signature: str, recorded: Iterable[tuple[str, str]]) -> tuple[str, bool]:
    """The version, and whether it was recorded already. ``recorded``: (version, signature) pairs.

    It is the one of this month with the same signature (the highest, if there are several), else the month's maximum
    and one more.
    """
    prefix = month_prefix(at)
    numbers = [(number, of) for version, of in recorded if (number := _number(version, prefix))]
    same = [number for number, of in numbers if of == signature]
    if same:
        return f"{prefix}{max(same)}", True
    return f"{prefix}{max((number for number, _ in numbers), default=0) + 1}", False


def _number(version: str, prefix: str) -> int:
    """0 for what is no version of the month."""
    rest = version.removeprefix(prefix)
    return int(rest) if version.startswith(prefix) and _NUMBER.fullmatch(rest) else 0
