"""What people hold beside their role, as the database has it (the view ``held_power``).

It is read with the user, so that a caller takes one look; a power whose time is over is dropped by the reader's clock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from libs.common.contracts.roles import held_by
from libs.common.listing import Source
from services.gateway.domain.powers import live
from services.gateway.domain.rights import Power

# A column for whoever reads `users`: JSON, null where there is nothing. In one order, so that equal powers are equal.
POWERS = """(SELECT json_agg(held_power ORDER BY held_power.source) FROM held_power
    WHERE held_power.username = users.username) AS powers"""
SELECT_POWERS = f"SELECT {POWERS} FROM users WHERE username = $1"  # noqa: S608  only a constant of ours is put in


def powers_in(column: list[dict[str, Any]] | None) -> tuple[Power, ...]:
    """What the column holds."""
    return tuple(
        Power(
            role=row["role"],
            permissions=held_by(row["role"], row["permissions"]),
            sites=tuple(row["sites"]),
            source=row["source"],
            ends_at=None if row["ends_at"] is None else datetime.fromisoformat(row["ends_at"]),
        )
        for row in column or ()
    )


async def powers_of(source: Source, username: str, now: datetime) -> tuple[Power, ...]:
    """What a user holds beside their role now."""
    rows = await source.fetch(SELECT_POWERS, username)
    return live(powers_in(rows[0]["powers"] if rows else None), now)
