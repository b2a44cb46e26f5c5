"""Labels of versions: words such as ``hotfix`` that freeze calendars and halts may exempt."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Page, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.names import Subject, Version
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Forbidden, Invalid, NotFound

MAX_LABELS = 10  # of one version


class VersionLabel(Open):
    label_id: int
    site: str
    subject: str
    version: str
    label: str
    reason: str
    set_by: str
    set_at: Time
    removed_by: str | None = None
    removed_at: Time | None = None
    remove_reason: str | None = None


class LabelSet(Model):
    subject: Subject
    version: Version
    label: Token = Field(description="The word, such as hotfix")
    reason: Reason = Field(description="Why; it stays with the label")


class LabelKey(Model):
    label_id: int = Field(ge=1, le=2**63 - 1, description="The label's number")


class LabelRemove(LabelKey):
    reason: Reason = Field(description="Why; it stays with the label")


class LabelFilter(Model):
    subject: Subject | None = None
    version: Version | None = None
    in_force: bool | None = Field(None, description="Only those that stand, or only those that were removed")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class VersionLabelRemoved(VersionLabel, Changed):
    """A label that was removed."""


set_label = Command(
    "governance.label.set",
    about="{label_id}",
    body=LabelSet,
    result=VersionLabel,
    permission="exception:write",
    http=POST("/api/labels", status=201),
    errors=(Conflict, Forbidden, Invalid),
    summary="Label a version: what exempts the label lets it pass, and it needs one more approval than others",
)
remove_label = Command(
    "governance.label.remove",
    body=LabelRemove,
    result=VersionLabel,
    permission="exception:write",
    http=POST("/api/labels/{label_id}/remove"),
    errors=(NotFound, Conflict),
    summary="Remove a label; a GO that rests on it is judged again",
)
list_labels = Query(
    "governance.labels.list",
    params=LabelFilter,
    result=Page[VersionLabel],
    permission="gate:read",
    http=GET("/api/labels"),
    errors=(Invalid,),
    summary="List the labels of versions, newest first",
)
label_set = Event("governance.label.created", data=VersionLabel, summary="Somebody labelled a version")
label_removed = Event("governance.label.removed", data=VersionLabelRemoved, summary="Somebody removed a label")
