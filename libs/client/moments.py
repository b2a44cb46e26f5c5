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
