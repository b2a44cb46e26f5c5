"""A subject that is released no more: its board closes, and opens again when somebody has it judged."""

from __future__ import annotations

from libs.common.contracts.governance.runs import GateDecided
from libs.common.contracts.tracker import retirement as contract
from libs.common.contracts.tracker.board import BoardReopened, board_reopened
from libs.common.contracts.tracker.retirement import Retire, Retired, board_retired
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Table, Tx
from services.tracker.board import LOCK_BOARD, Head, to_head
from services.tracker.changes import write
from services.tracker.domain import item as domain
from services.tracker.domain.episodes import retire
from services.tracker.requests import SITE_GATE, RunRequest
from services.tracker.terms import terms_of

LOAD_ACTIVE = "SELECT * FROM item WHERE site = $1 AND gate = $2 AND subject = $3 AND is_active"
RETIRE_BOARD = """
WITH ended AS (
    UPDATE item_episode SET retired_at = $4, due_at = one.due_at
    FROM unnest($7::bigint[], $8::integer[], $9::timestamptz[]) AS one (item, episode, due_at)
    WHERE item_episode.item = one.item AND item_episode.episode = one.episode
)
UPDATE board SET retired_at = $4, retired_by = $5, retired_reason = $6
WHERE site = $1 AND gate = $2 AND subject = $3
"""
REVIVE_BOARD = """
UPDATE board SET retired_at = NULL, retired_by = NULL, retired_reason = NULL
WHERE site = $1 AND gate = $2 AND subject = $3
"""


async def retire_board(tx: Tx, body: Retire) -> Retired:
    """Close a board for good: none of its items is active any longer, all of them stay.

    Raises `NotFound`, `Conflict` if it is retired, and `Invalid` for the gate over the site itself.
    """
    if body.gate == SITE_GATE:
        raise Invalid(f"The gate {SITE_GATE} judges the site itself, which can't be retired.")
    key = (tx.site, body.gate, body.subject)
    row = await tx.connection.fetchrow(LOCK_BOARD, *key)
    if row is None:
        raise NotFound(f"The gate {body.gate} has no board of this subject at this site. List its items to see them.")
    head = to_head(row)
    if head.retired_at is not None:
        raise Conflict(f"{head.retired_by} retired this subject at {head.retired_at:%Y-%m-%d %H:%M} UTC.")
    items = [domain.to_item(dict(found)) for found in await tx.connection.fetch(LOAD_ACTIVE, *key)]
    terms = await terms_of(tx.connection, tx.site)
    changes = await write(tx, retire(items, terms, tx.actor, tx.now))
    ended = [[getattr(change.item, name) for change in changes] for name in ("id", "episode", "due_at")]
    await tx.connection.execute(RETIRE_BOARD, *key, tx.now, tx.actor, body.reason, *ended)
    retired = Retired(
        gate=body.gate,
        subject=body.subject,
        reason=body.reason,
        retired_by=tx.actor,
        retired_at=tx.now,
        retired_count=len(changes),
    )
    tx.emit(board_retired, retired, subject=head.name)
    return retired


def stays_retired(head: Head, run: GateDecided, request: RunRequest | None) -> bool:
    """Whether a run says nothing about a retired board.

    Only somebody who has the subject judged brings it back. A run of before, which comes late, does not, and neither
    does one that is made because a fact grew old: nobody reports facts about what is released no more. What was asked
    for here after the retirement counts even if governance's clock lags behind ours.
    """
    if head.retired_at is None:
        return False
    if request is not None and request.requested_at > head.retired_at:
        return False
    return run.decided_at <= head.retired_at or run.trigger == "schedule"


async def revive(tx: Tx, head: Head, run: GateDecided) -> None:
    """Open a retired board again; another stays as it is."""
    if head.retired_at is None:
        return
    await tx.connection.execute(REVIVE_BOARD, head.site, head.gate, head.subject)
    reason = f"Run {run.run_id} judged {head.subject}, which {head.retired_by} had retired."
    tx.emit(board_reopened, BoardReopened(gate=head.gate, subject=head.subject, reason=reason), subject=head.name)


TABLE = Table(commands={contract.retire_board: retire_board})
