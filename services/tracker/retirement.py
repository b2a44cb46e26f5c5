"""A subject that is released no more: its board closes, and opens again when somebody has it judged."""

from __future__ import annotations

from libs.common.contracts.governance.runs import GateDecided
from libs.common.contracts.tracker import retirement as contract
from libs.common.contracts.tracker.retirement import Retire, Retired, board_retired
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Table, Tx
from services.tracker.board import CALENDAR_LOCK, Head, tell_reopened, to_head
from services.tracker.changes import write
from services.tracker.domain import item as domain
from services.tracker.domain.deadlines import Terms
from services.tracker.domain.episodes import retire
from services.tracker.requests import SITE_GATE, RunRequest
from services.tracker.terms import terms_of

# In one order, as everybody who locks several boards does.
LOCK_LINES = f"""
SELECT board.*, pg_advisory_xact_lock_shared({CALENDAR_LOCK}) FROM board
WHERE site = $1 AND gate = $2 AND subject = $3 AND ($4::text IS NULL OR line = $4) ORDER BY line FOR UPDATE
"""  # noqa: S608 - a number of our own
LOAD_ACTIVE = "SELECT * FROM item WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $4 AND is_active"
RETIRE_BOARD = """
WITH ended AS (
    UPDATE item_episode SET retired_at = $5, due_at = one.due_at
    FROM unnest($8::bigint[], $9::integer[], $10::timestamptz[]) AS one (item, episode, due_at)
    WHERE item_episode.item = one.item AND item_episode.episode = one.episode
)
UPDATE board SET retired_at = $5, retired_by = $6, retired_reason = $7
WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $4
"""
REVIVE_BOARD = """
UPDATE board SET retired_at = NULL, retired_by = NULL, retired_reason = NULL
WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $4
"""


async def retire_board(tx: Tx, body: Retire) -> Retired:
    """Close a subject's boards for good, or that of one line: no item of theirs is active any longer, all of them stay.

    Raises `NotFound`, `Conflict` if nothing is left to retire, and `Invalid` for the gate over the site itself.
    """
    if body.gate == SITE_GATE:
        raise Invalid(f"The gate {SITE_GATE} judges the site itself, which can't be retired.")
    rows = await tx.connection.fetch(LOCK_LINES, tx.site, body.gate, body.subject, body.line)
    if not rows:
        what = "subject" if body.line is None else "subject's line"
        raise NotFound(f"The gate {body.gate} has no board of this {what} at this site. List its items to see them.")
    heads = [to_head(row) for row in rows]
    open_ = [head for head in heads if head.retired_at is None]
    if not open_:
        last = max(heads, key=lambda head: head.retired_at or tx.now)
        raise Conflict(f"{last.retired_by} retired this subject at {last.retired_at:%Y-%m-%d %H:%M} UTC.")
    terms = await terms_of(tx.connection, tx.site)
    counts = [await _retire(tx, head, body.reason, terms) for head in open_]
    return _retired(tx, body, sum(counts), [head.line for head in open_])


async def _retire(tx: Tx, head: Head, reason: str, terms: Terms) -> int:
    """Close one board, tell it, and return how many items are work no longer."""
    items = [domain.to_item(dict(found)) for found in await tx.connection.fetch(LOAD_ACTIVE, *head.key)]
    changes = await write(tx, retire(items, terms, tx.actor, tx.now))
    ended = [[getattr(change.item, name) for change in changes] for name in ("id", "episode", "due_at")]
    await tx.connection.execute(RETIRE_BOARD, *head.key, tx.now, tx.actor, reason, *ended)
    told = Retire(gate=head.gate, subject=head.subject, reason=reason)
    tx.emit(board_retired, _retired(tx, told, len(changes), [head.line]), subject=head.name)
    return len(changes)


def _retired(tx: Tx, body: Retire, count: int, lines: list[str]) -> Retired:
    return Retired(
        gate=body.gate,
        subject=body.subject,
        reason=body.reason,
        retired_by=tx.actor,
        retired_at=tx.now,
        retired_count=count,
        lines=lines,
    )


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
    await tx.connection.execute(REVIVE_BOARD, *head.key)
    tell_reopened(tx, head, f"Run {run.run_id} judged {head.subject}, which {head.retired_by} had retired.")


TABLE = Table(commands={contract.retire_board: retire_board})
