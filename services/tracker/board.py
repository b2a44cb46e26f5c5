"""The head of a board: what judged it last, whether it is completed. Its row lock orders every change to the board."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

import asyncpg

from libs.common.contracts.governance.runs import Decision
from libs.common.contracts.tracker.board import BoardReopened, board_reopened
from libs.common.contracts.tracker.completion import CompletionStatus
from libs.common.service import Connection, Tx

# Whoever may open episodes holds this lock (shared) until they are committed. A new calendar takes it for itself, so
# that no item opens by the old one behind its back.
CALENDAR_LOCK = 0x5EA5
LOCK_BOARD = f"""
SELECT board.*, pg_advisory_xact_lock_shared({CALENDAR_LOCK}) FROM board
WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $4 FOR UPDATE
"""  # noqa: S608 - a number of our own
CREATE_BOARD = """
INSERT INTO board (site, gate, subject, line, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""
REOPEN_BOARD = """
UPDATE board SET completion_status = 'active', completion_note = '', completed_by = NULL, completed_at = NULL,
    force_used = false
WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $4
"""
# Of a WITH RECURSIVE: the sites that have boards, one step in the index for each; the last step finds NULL.
SITES = """
sites AS (
    (SELECT site FROM board ORDER BY site LIMIT 1)
    UNION ALL
    SELECT (SELECT board.site FROM board WHERE board.site > sites.site ORDER BY board.site LIMIT 1)
    FROM sites WHERE sites.site IS NOT NULL
)
"""
SELECT_SITES = f"WITH RECURSIVE {SITES} SELECT site FROM sites WHERE site IS NOT NULL"  # noqa: S608 - our own text


@dataclass(frozen=True, slots=True)
class Head:
    """A board's row; without a ``decision`` its gate has never been judged."""

    gate: str
    site: str
    subject: str
    line: str
    run_number: int
    run_id: int | None
    version: str | None
    decision: Decision | None
    decided_at: datetime | None
    completion_status: CompletionStatus
    completion_note: str
    completed_by: str | None
    completed_at: datetime | None
    force_used: bool
    last_checked_at: datetime | None
    retired_at: datetime | None
    retired_by: str | None
    retired_reason: str | None
    created_at: datetime

    @property
    def name(self) -> str:
        """How events name the board."""
        return f"{self.gate}/{self.subject}" + (f"#{self.line}" if self.line else "")

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is found by: site, gate, subject, line."""
        return self.site, self.gate, self.subject, self.line


_COLUMNS = tuple(one.name for one in fields(Head))


def to_head(row: asyncpg.Record) -> Head:
    """A row of the table board."""
    return Head(**{name: row[name] for name in _COLUMNS})


async def lock_board(tx: Tx, gate: str, subject: str, line: str) -> Head:
    """The board's head, made if there is none, locked until the transaction ends."""
    key = (tx.site, gate, subject, line)
    row = await tx.connection.fetchrow(LOCK_BOARD, *key)
    if row is None:
        await tx.connection.execute(CREATE_BOARD, *key, tx.now)
        row = await tx.connection.fetchrow(LOCK_BOARD, *key)
    assert row is not None  # noqa: S101 - nobody may delete boards
    return to_head(row)


async def reopen_board(tx: Tx, head: Head, reason: str) -> None:
    """Make a completed board active again and say why; an active one stays as it is."""
    if head.completion_status == "active":
        return
    await tx.connection.execute(REOPEN_BOARD, *head.key)
    tell_reopened(tx, head, reason)


def tell_reopened(tx: Tx, head: Head, reason: str) -> None:
    """Tell that a board became active again."""
    told = BoardReopened(gate=head.gate, subject=head.subject, line=head.line, reason=reason)
    tx.emit(board_reopened, told, subject=head.name)


async def sites(connection: Connection) -> list[str]:
    """The sites that have boards, sorted: where what is done for every site by the clock is done."""
    return [row["site"] for row in await connection.fetch(SELECT_SITES)]
