"""The tracker's table of contents."""

from __future__ import annotations

from libs.common.contracts.governance.runs import gate_decided, run_gate
from libs.common.contracts.tracker import CONTRACT
from libs.common.contracts.tracker.board import get_overview, sync_board
from libs.common.contracts.tracker.completion import complete_board, get_completion, get_readiness
from libs.common.contracts.tracker.items import get_item, list_items, patch_item
from libs.common.service import Service
from services.tracker import completion, gauges, items, runs, sync

SERVICE = Service(
    contract=CONTRACT,
    commands={
        patch_item: items.patch_item,
        sync_board: sync.sync_board,
        complete_board: completion.complete_board,
    },
    queries={
        list_items: items.list_items,
        get_item: items.get_item,
        get_overview: completion.get_overview,
        get_readiness: completion.get_readiness,
        get_completion: completion.get_completion,
    },
    events={gate_decided: runs.on_gate_decided},
    resumes={
        sync_board: sync.resume_sync,
        complete_board: completion.resume_complete,
    },
    sends=(run_gate,),
    gauges=gauges.refresh,
)
