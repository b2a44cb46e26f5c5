"""Backtests: what a policy's text would have said of the decisions that are stored, before it is published.

Each decision is judged again as it was then: its facts, what people had decided, and its own clock. Only the text
differs. A text of a site comes beside what is in force everywhere, as it would if it were published.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Page, Query, Time, Token
from libs.common.contracts.governance.policies import BASE, BacktestCounts, Text
from libs.common.problems import Invalid, NotFound

MAX_LAST = 10_000
MAX_FLIPS_KEPT = 500
BacktestState = Literal["queued", "running", "done", "failed"]


class BacktestOrder(Model):
    gate: Token = Field(description="The gate's name; the text must say the same")
    content: Text | None = Field(None, description="The policy as YAML text; without it the site's draft is taken")
    last_count: int = Field(1_000, ge=1, le=MAX_LAST, description="How many of the newest decisions are judged again")


class BacktestKey(Model):
    gate: Token = Field(description="The gate's name, such as release")
    backtest_id: int = Field(ge=1, le=2**63 - 1, description="The backtest's number")
    limit: int = Field(200, ge=1, le=MAX_FLIPS_KEPT, description="How many flips are shown at the most")


class BacktestFilter(Model):
    gate: Token = Field(description="The gate's name, such as release")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class Backtest(BacktestCounts):
    """A backtest and how far it is: ``done_count`` of ``total_count``, of which ``judged_count`` were judged.

    ``reason``: why it failed.
    """

    gate: str
    site: str
    digest: str
    state: BacktestState
    last_count: int
    done_count: int
    asked_by: str
    asked_at: Time
    finished_at: Time | None
    reason: str


class FlipRule(Open):
    """A rule that made a verdict differ. ``before`` and ``after``: its status, None where the text has no such rule."""

    id: str
    before: str | None
    after: str | None
    message: str


class Flip(Open):
    """A decision that the text would have judged otherwise; ``rules`` did it, else ``reasons`` (such as the score).

    ``unread_kinds``: kinds that the text reads and that the policy of then did not, so that nothing of them was kept.
    """

    run_id: int
    subject: str
    version: str
    decided_at: Time
    before: str
    after: str
    rules: list[FlipRule]
    reasons: list[str]
    unread_kinds: list[str]


class BacktestShown(Backtest):
    """``flips`` are the newest ones; ``left_out_count`` more are only counted."""

    flips: list[Flip]
    left_out_count: int


begin_backtest = Command(
    "governance.policies.backtest",
    about="{backtest_id}",
    body=BacktestOrder,
    result=Backtest,
    permission="policy:write",
    http=POST(f"{BASE}/{{gate}}/backtests", status=201),
    errors=(NotFound, Invalid),
    summary="Judge stored decisions again by a text that is not published",
)
show_backtest = Query(
    "governance.policies.show_backtest",
    params=BacktestKey,
    result=BacktestShown,
    permission="policy:read",
    http=GET(f"{BASE}/{{gate}}/backtests/{{backtest_id}}"),
    errors=(NotFound,),
    summary="Show how far a backtest is, and each verdict that it flips",
)
list_backtests = Query(
    "governance.policies.backtests",
    params=BacktestFilter,
    result=Page[Backtest],
    permission="policy:read",
    http=GET(f"{BASE}/{{gate}}/backtests"),
    errors=(Invalid,),
    summary="List a site's backtests of a policy, newest first",
)
backtest_begun = Event("governance.policies.backtest_begun", data=Backtest, summary="A backtest of a policy was begun")
backtested = Event("governance.policies.backtested", data=Backtest, summary="A backtest of a policy has ended")
