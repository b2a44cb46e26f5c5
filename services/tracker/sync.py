"""Bring a board in line with a fresh gate run, and answer when that is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.governance.runs import GateDecided
from libs.common.contracts.tracker import board as contract
from libs.common.contracts.tracker.board import BoardSynced, SyncBody, SyncResult, board_synced
from libs.common.contracts.tracker.items import Item
from libs.common.service import Deferred, Table, Tx
from services.tracker.board import lock_board
from services.tracker.requests import find_request, request_run

MAX_ITEMS = 500  # a board has an item per rule, so this is far away

ACTIVE_OF_BOARD = """
SELECT * FROM item WHERE site = $1 AND gate = $2 AND subject = $3 AND line = $4 AND is_active
ORDER BY priority, due_order, id LIMIT $5
"""


async def sync_board(tx: Tx, body: SyncBody) -> Deferred:
    """Ask for a fresh run; the answer comes when the board has been brought in line with it. Raises `Invalid`."""
    return await request_run(tx, body)


async def resume_sync(
    tx: Tx, command: CloudEvent, body: SyncBody, state: Mapping[str, Any], data: GateDecided
) -> SyncResult:
    """Answer with the board as it is now. If a newer run overtook the sync's own, the answer shows that newer one."""
    head = await lock_board(tx, data.gate, data.subject, data.line)
    request = await find_request(tx, state["request_id"])
    created, reopened, resolved = (
        (request.created_count, request.reopened_count, request.resolved_count) if request is not None else (0, 0, 0)
    )
    rows = await tx.connection.fetch(ACTIVE_OF_BOARD, *head.key, MAX_ITEMS)
    synced = BoardSynced(
        gate=head.gate,
        subject=head.subject,
        line=head.line,
        gate_run_id=head.run_id or data.run_id,
        created_count=created,
        reopened_count=reopened,
        resolved_count=resolved,
        active_count=len(rows),
    )
    tx.emit(board_synced, synced, subject=head.name)
    return SyncResult(
        generated_at=tx.now,
        line=head.line,
        gate_generated_at=head.decided_at or data.decided_at,
        decision=head.decision or data.decision,
        include_warnings=body.include_warnings,
        max_items=body.max_items,
        synced_count=len(rows),
        created_count=created,
        reopened_count=reopened,
        resolved_count=resolved,
        active_count=len(rows),
        items=[Item.model_validate(dict(row)) for row in rows],
    )


TABLE = Table(commands={contract.sync_board: sync_board}, resumes={contract.sync_board: resume_sync})
