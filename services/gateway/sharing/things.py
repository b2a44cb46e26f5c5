"""What a share can show: which question reads it, and with which permission."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from libs.common.contracts.base import Query
from libs.common.contracts.gateway.shares import Kind
from libs.common.contracts.governance.capsules import get_capsule
from libs.common.contracts.governance.plans import GatePlanOptions, get_plan
from libs.common.contracts.governance.runs import RunKey, get_run
from libs.common.contracts.tracker.board import Board, get_overview
from libs.common.contracts.tracker.item_lists import ItemFilter, list_items

BOARD_ITEMS = 500  # the most active ones come first
ITSELF = "share:write"  # what it takes to share, beside reading


@dataclass(frozen=True, slots=True)
class Thing:
    """What is shared, as its row says."""

    kind: Kind
    gate: str
    run_id: int | None
    subject: str | None
    version: str | None
    line: str | None

    @classmethod
    def of(cls, row: Any) -> Thing:
        """Of a row, or of a model's fields."""
        return cls(row["kind"], row["gate"], row["run_id"], row["subject"], row["version"], row["line"])

    def questions(self) -> list[tuple[Query, BaseModel]]:
        """What is asked to show it; the first one's answer of 404 says that it is not there."""
        if self.run_id is not None:
            key = RunKey(gate=self.gate, run_id=self.run_id)
            return [(get_run, key), (get_capsule, key)] if self.kind == "capsule" else [(get_run, key)]
        given = _given({"gate": self.gate, "subject": self.subject, "line": self.line, "version": self.version})
        if self.kind == "plan":
            return [(get_plan, GatePlanOptions(**given))]
        return [(get_overview, Board(**given)), (list_items, ItemFilter(**given, limit=BOARD_ITEMS))]

    @property
    def permissions(self) -> frozenset[str]:
        """What it takes to read it."""
        return frozenset(query.permission for query, _ in self.questions())


def _given(fields: Mapping[str, str | None]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
