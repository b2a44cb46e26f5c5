"""Accepted baselines shrink: what is mended is not accepted any longer."""

from __future__ import annotations

from libs.common.service import Tx
from libs.judge.accepted import narrowed
from libs.judge.plain import plain
from services.governance.gate import Looked

NARROW_BASELINE = "UPDATE accepted_baselines SET parts = $2 WHERE accepted_id = $1"


async def narrow(tx: Tx, looked: Looked) -> None:
    """After a GO: what whole reports do not show any more is not accepted any longer."""
    for one in looked.standing.baselines_of(looked.facts.line, tx.now):
        left = narrowed(one, looked.facts)
        if left.parts != one.parts:
            await tx.connection.execute(NARROW_BASELINE, one.accepted_id, plain(left.parts))
