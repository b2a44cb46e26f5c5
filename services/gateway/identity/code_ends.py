"""Codes for choosing a password end with what their person has open: else one is the way back in.

Crash here means: nothing, it goes with the transaction.
"""

from __future__ import annotations

from libs.common.service import Tx

END_CODE = "DELETE FROM password_code WHERE username = $1"


async def end_code_of(tx: Tx, username: str) -> None:
    """Forget the code that is out for this person, who is locked. The password that there is stays."""
    await tx.connection.execute(END_CODE, username)
