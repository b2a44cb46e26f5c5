"""The tracker's table of contents."""

from __future__ import annotations

from libs.common.contracts import tracker as contract
from libs.common.contracts.governance import gate_decided, run_gate
from libs.common.service import Service
from services.tracker import completion, gauges, items, runs, sync

SERVICE = Service(
    contract=contract.CONTRACT,
    commands={
        contract.patch_item: items.patch_item,
        contract.sync_board: sync.sync_board,
        contract.complete_board: completion.complete_board,
    },
    queries={
        contract.list_items: items.list_items,
        contract.get_item: items.get_item,
        contract.get_overview: completion.get_overview,
        contract.get_readiness: completion.get_readiness,
        contract.get_completion: completion.get_completion,
    },
    events={gate_decided: runs.on_gate_decided},
    resumes={
        contract.sync_board: sync.resume_sync,
        contract.complete_board: completion.resume_complete,
    },
    sends=(run_gate,),
    gauges=gauges.refresh,
)
