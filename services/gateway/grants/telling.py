"""That somebody holds other roles than before: who remembers what the user may looks again."""

from __future__ import annotations

from collections.abc import Iterable

from libs.common.contracts.changes import FieldChange
from libs.common.contracts.gateway.users import UserChanged, user_changed
from libs.common.service import Tx
from services.gateway.identity.users import COLUMNS

# In one order, so that two changes never wait for each other.
COUNT_CHANGE = f"""
UPDATE users SET revision = revision + 1
WHERE username IN (SELECT username FROM users WHERE username = ANY ($1::text[]) ORDER BY username FOR UPDATE)
RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in


async def tell_users(tx: Tx, usernames: Iterable[str], change: FieldChange) -> None:
    """Count and tell a change of each of these users: to gateways, and to governance for delegations."""
    rows = await tx.connection.fetch(COUNT_CHANGE, sorted(set(usernames)))
    for row in sorted(rows, key=lambda one: str(one["username"])):
        tx.emit(user_changed, UserChanged(**row, changes=[change]), subject=row["username"])
