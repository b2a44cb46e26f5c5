"""Times as a person types them: a moment with its zone, or how far it is from now."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from libs.client.errors import UsageProblem
from libs.common.cloudevents import format_time

HINT: Final = "Such as 2026-03-01T09:00:00Z, or +7d, +12h, +30m from now."
_AHEAD = re.compile(r"\+(\d{1,5})([dhm])")
_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}
_SPAN = re.compile(r"(\d{1,5})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_of(text: str) -> int | None:
    """Seconds of ``30s``, ``15m``, ``2h`` or ``7d``; None for what is no span of time, or none at all."""
    found = _SPAN.fullmatch(text)
    return int(found[1]) * _SECONDS[found[2]] or None if found else None


def moment(text: str, now: datetime) -> str:
    """The time in RFC 3339; ``+7d``, ``+12h`` and ``+30m`` count from ``now``.

    Raises `UsageProblem` for what is no time, or a time without a zone.
    """
    if ahead := _AHEAD.fullmatch(text):
        return format_time((now + timedelta(**{_UNITS[ahead[2]]: int(ahead[1])})).replace(microsecond=0))
    try:
        zoned = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        zoned = False
    if not zoned:
        raise UsageProblem(
            f"{text[:100]!r} is no time with a zone; write one such as 2026-03-01T09:00:00Z, or +7d, +12h or +30m."
        )
    return text
