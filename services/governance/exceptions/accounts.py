"""Hears who answers for service accounts: for approvals they and their owner are one person (`voters.people_of`)."""

from __future__ import annotations

from libs.common.contracts.gateway.accounts import AccountTold, account_changed, account_created
from libs.common.service import Table, Tx

# Accounts are told in any order: the highest revision is what is so.
NOTE_OWNER = """
INSERT INTO account_owners (actor, owner, revision) VALUES ($1, $2, $3)
ON CONFLICT (actor) DO UPDATE SET owner = excluded.owner, revision = excluded.revision
WHERE account_owners.revision < excluded.revision
"""


async def on_account(tx: Tx, data: AccountTold) -> None:
    """Note the owner."""
    await tx.connection.execute(NOTE_OWNER, data.actor, data.owner, data.revision)


TABLE = Table(events={account_created: on_account, account_changed: on_account})
