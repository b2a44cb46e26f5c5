"""The exceptions budget: what a site has spent in a quarter, and what its gates still allow."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, Event, Model, Open, Query, Time
from libs.common.problems import Invalid

SpendKind = Literal["waiver", "override", "forced_completion", "baseline"]


class Spend(Open):
    """An exception that was made. ``ref``: its number, or the message that told of it."""

    spend_id: int
    site: str
    kind: SpendKind
    ref: str
    gate: str
    subject: str
    what: str
    spent_by: str
    spent_at: Time


class GateBudget(Open):
    """``left`` is below zero where more was spent than the policy allows: the gate says NO-GO then."""

    gate: str
    limit: int
    left: int


class Budget(Open):
    """``spent``: how many of each kind. ``gates``: those whose policy has a budget. ``newest``: at most 100."""

    site: str
    quarter: str
    begins_at: Time
    ends_at: Time
    spent: dict[str, int]
    total: int
    gates: list[GateBudget]
    newest: list[Spend]


class BudgetOf(Model):
    quarter: str | None = Field(None, max_length=10, description="Such as 2026-Q4 (UTC); else the present one")


show_budget = Query(
    "governance.exceptions.budget",
    params=BudgetOf,
    result=Budget,
    permission="gate:read",
    http=GET("/api/exceptions/budget"),
    errors=(Invalid,),
    summary="What the site has spent of its exceptions budget in a quarter",
)
exception_spent = Event("governance.exception.spent", data=Spend, summary="A site has made an exception")
