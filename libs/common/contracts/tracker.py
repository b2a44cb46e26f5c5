"""Tracker: the board of remediation items, one episode per (gate, site, subject, rule)."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from libs.common.contracts.base import (
    GET,
    PATCH,
    POST,
    Command,
    Contract,
    Event,
    Json,
    Model,
    Open,
    Query,
    Time,
    Token,
)
from libs.common.contracts.common import (
    dead_letter_commands,
    dead_letter_events,
    dead_letter_queries,
    outcome_query,
)
from libs.common.contracts.governance_models import Decision, RuleStatus, Version
from libs.common.problems import Conflict, Invalid, NotFound, TimedOut

BASE = "/api/ops/governance/gate/remediation/tracker"
ItemStatus = Literal["pending", "in_progress", "done", "blocked"]
CompletionStatus = Literal["active", "completed", "completed_with_exceptions"]


def _printable(value: str) -> str:
    if any(unicodedata.category(sign) == "Cc" for sign in value):
        raise ValueError("control characters, line breaks too, are not allowed here")
    return value


def _lines(value: str) -> str:
    if any(unicodedata.category(sign) == "Cc" and sign not in "\n\r\t" for sign in value):
        raise ValueError("control characters are not allowed here, except line breaks and tabs")
    return value


Assignee = Annotated[str, StringConstraints(strip_whitespace=True, max_length=120), AfterValidator(_printable)]
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000), AfterValidator(_lines)]


class Item(Open):
    """A remediation item. ``due_at`` is set once per episode; done is a claim until a later run passes the rule."""

    id: int
    item_id: str
    gate: str
    site: str
    subject: str
    version: str
    rule_id: str
    rule_status: RuleStatus
    required: bool
    priority: int
    owner_role: str
    sla_hours: int
    due_at: Time
    action: str
    reason: str
    detail: Json
    assignee: str | None
    status: ItemStatus
    completion_checked: bool
    completion_note: str
    completed_at: Time | None
    verified_at: Time | None = None
    is_active: bool
    episode: int
    opened_at: Time
    gate_generated_at: Time
    gate_run_id: int
    created_by: str
    updated_by: str
    created_at: Time
    updated_at: Time


class Board(Model):
    """Which board: by default the operations gate's."""

    gate: Token = "operations"
    subject: Token = "site"


class ItemFilter(Model):
    gate: Token = "operations"
    subject: Token | None = None
    include_inactive: bool = False
    status: ItemStatus | None = None
    limit: int = Field(200, ge=1, le=500)


class ItemKey(Model):
    item_id: int = Field(ge=1, le=2**63 - 1)


class ItemPatch(ItemKey):
    """Missing fields keep their value. An empty assignee, or null, means nobody; no other field may be null."""

    assignee: Assignee | None = None
    status: ItemStatus | None = None
    completion_checked: bool | None = None
    completion_note: Note | None = None


class SyncBody(Board):
    """A gate over software needs ``subject`` and ``version`` to be judged afresh."""

    version: Version | None = None
    include_warnings: bool = True
    max_items: int = Field(30, ge=1, le=200)


class SyncResult(Open):
    generated_at: Time
    gate_generated_at: Time
    decision: Decision
    include_warnings: bool
    max_items: int
    synced_count: int
    created_count: int
    reopened_count: int
    resolved_count: int
    active_count: int
    items: list[Item]


class Overview(Open):
    generated_at: Time
    total_items: int
    active_count: int
    closed_count: int
    pending_count: int
    in_progress_count: int
    done_count: int
    blocked_count: int
    completion_rate_percent: int
    missing_assignee_count: int
    critical_open_count: int
    overdue_count: int


class Readiness(Overview):
    """``blockers`` holds one sentence for each thing that stands between the board and completion."""

    missing_completion_checked_count: int
    unverified_done_count: int
    readiness_score_percent: int
    ready: bool
    blockers: list[str]


class CompleteBody(Board):
    version: Version | None = None
    completion_note: Note = ""
    force: bool = False


class Completion(Open):
    status: CompletionStatus
    completion_note: str
    completed_by: str | None
    completed_at: Time | None
    force_used: bool
    last_checked_at: Time | None
    readiness: Readiness


class ItemChanged(Open):
    """An item after a change; ``changed`` names the fields."""

    item: Item
    changed: list[str] = []


class BoardSynced(Open):
    gate: str
    subject: str
    gate_run_id: int
    created_count: int
    reopened_count: int
    resolved_count: int
    active_count: int


class BoardCompleted(Open):
    gate: str
    subject: str
    status: CompletionStatus
    force_used: bool
    readiness_score_percent: int


class BoardReopened(Open):
    gate: str
    subject: str
    reason: str


sync_board = Command(
    "tracker.board.sync",
    body=SyncBody,
    result=SyncResult,
    permission="remediation:write",
    http=POST(f"{BASE}/sync"),
    errors=(Invalid, TimedOut),
    summary="Run the gate afresh and bring the board in line with it",
)
complete_board = Command(
    "tracker.board.complete",
    body=CompleteBody,
    result=Completion,
    permission="remediation:complete",
    http=POST(f"{BASE}/complete"),
    errors=(Conflict, Invalid, TimedOut),
    summary="Close the board, if a fresh gate run agrees; `force` closes it with exceptions",
)
patch_item = Command(
    "tracker.item.patch",
    body=ItemPatch,
    result=Item,
    permission="remediation:write",
    http=PATCH(f"{BASE}/items/{{item_id}}"),
    errors=(NotFound, Conflict),
    summary="Assign an item, move it, note on it, or claim it done",
)
list_items = Query(
    "tracker.items.list",
    params=ItemFilter,
    result=list[Item],
    permission="remediation:read",
    http=GET(f"{BASE}/items"),
    summary="List items: active first, then by priority and due time",
)
get_item = Query(
    "tracker.items.get",
    params=ItemKey,
    result=Item,
    permission="remediation:read",
    http=GET(f"{BASE}/items/{{item_id}}"),
    errors=(NotFound,),
    summary="Show an item",
)
get_overview = Query(
    "tracker.overview.get",
    params=Board,
    result=Overview,
    permission="remediation:read",
    http=GET(f"{BASE}/overview"),
    summary="Counts of the board",
)
get_readiness = Query(
    "tracker.readiness.get",
    params=Board,
    result=Readiness,
    permission="remediation:read",
    http=GET(f"{BASE}/readiness"),
    summary="May the board be completed, and what stands in the way",
)
get_completion = Query(
    "tracker.completion.get",
    params=Board,
    result=Completion,
    permission="remediation:read",
    http=GET(f"{BASE}/completion"),
    summary="Whether the board is completed, by whom and how",
)
item_opened = Event("tracker.item.opened", data=ItemChanged, summary="A rule began to fail: an episode opened")
item_updated = Event("tracker.item.updated", data=ItemChanged, summary="An item changed, by a person or by a run")
item_reopened = Event("tracker.item.reopened", data=ItemChanged, summary="A resolved or claimed item fails again")
item_resolved = Event("tracker.item.resolved", data=ItemChanged, summary="A run passed the item's rule")
board_synced = Event("tracker.board.synced", data=BoardSynced, summary="A board was brought in line with a fresh run")
board_completed = Event("tracker.board.completed", data=BoardCompleted, summary="A board was completed")
board_reopened = Event("tracker.board.reopened", data=BoardReopened, summary="A completed board became active again")

CONTRACT = Contract(
    "tracker",
    commands=(sync_board, complete_board, patch_item, *dead_letter_commands("tracker")),
    queries=(
        list_items,
        get_item,
        get_overview,
        get_readiness,
        get_completion,
        outcome_query("tracker"),
        *dead_letter_queries("tracker"),
    ),
    events=(
        item_opened,
        item_updated,
        item_reopened,
        item_resolved,
        board_synced,
        board_completed,
        board_reopened,
        *dead_letter_events("tracker"),
    ),
)
