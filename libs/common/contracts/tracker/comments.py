"""Comments on items: added, listed, and withdrawn by their author or by who may complete boards."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from libs.common.contracts.base import DELETE, GET, POST, Command, Event, Open, Page, Query, Time
from libs.common.contracts.changes import Changed
from libs.common.contracts.tracker.items import BASE, ItemKey, printable_lines
from libs.common.problems import Conflict, Forbidden, NotFound

MAX_COMMENTS = 1000  # of an item
CommentText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=4000),
    AfterValidator(printable_lines),
]


class Comment(Open):
    """``text`` is null once the comment was withdrawn: its place stays."""

    id: int
    item_id: int
    author: str
    at: Time
    text: str | None
    withdrawn_by: str | None = None
    withdrawn_at: Time | None = None


class CommentAdd(ItemKey):
    text: CommentText = Field(description="What to say; may have several lines")


class CommentKey(ItemKey):
    comment_id: int = Field(ge=1, le=2**63 - 1, description="The comment's number")


class CommentWithdraw(CommentKey):
    """What travels on the bus: the edge adds whether the caller may withdraw what others said."""

    for_others: bool


class CommentFilter(ItemKey):
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class CommentTold(Open):
    """A comment without its text: events are kept for ever, and a text can be withdrawn."""

    comment_id: int
    item_id: int
    gate: str
    subject: str
    author: str
    at: Time
    withdrawn_by: str | None = None
    withdrawn_at: Time | None = None


class CommentWithdrawn(CommentTold, Changed):
    """A comment that was withdrawn."""


add_comment = Command(
    "tracker.comment.add",
    body=CommentAdd,
    result=Comment,
    permission="remediation:write",
    http=POST(f"{BASE}/items/{{item_id}}/comments", status=201),
    errors=(NotFound, Conflict),
    summary="Comment on an item",
)
withdraw_comment = Command(
    "tracker.comment.withdraw",
    about="{item_id}",
    body=CommentWithdraw,
    result=Comment,
    permission="remediation:write",
    http=DELETE(f"{BASE}/items/{{item_id}}/comments/{{comment_id}}", seal="for_others"),
    errors=(NotFound, Conflict, Forbidden),
    summary="Withdraw a comment: one's own, or anybody's for those who may complete boards",
)
list_comments = Query(
    "tracker.comments.list",
    params=CommentFilter,
    result=Page[Comment],
    permission="remediation:read",
    http=GET(f"{BASE}/items/{{item_id}}/comments"),
    errors=(NotFound,),
    summary="List the comments on an item, newest first",
)
comment_added = Event("tracker.comment.added", data=CommentTold, summary="Somebody commented on an item")
comment_withdrawn = Event("tracker.comment.withdrawn", data=CommentWithdrawn, summary="A comment was withdrawn")
