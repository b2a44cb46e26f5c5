"""Verdicts: the newest of each gate, subject and line of a site, for who wants all of them at one glance."""

from __future__ import annotations

from pydantic import Field, computed_field

from libs.common.contracts.base import GET, Model, Open, Page, Query, Time, Token
from libs.common.contracts.governance.runs import Decision, RunStatus, VerdictWord, verdict_word
from libs.common.contracts.names import Subject
from libs.common.problems import Invalid

MAX_REASONS = 3
MAX_REASON_CHARS = 300
SCORE_RUNS = 20


class LatestVerdict(Open):
    """What a gate said last of a subject's line; the whole of it is the run of this number.

    ``reasons``: the first three, cut. ``scores``: weighted, in percent, of the line's last 20 runs, the oldest first.
    ``changed_at``: since when it is GO, or is not, and ``changed_from``: the verdict just before; both null where it
    never was otherwise. ``holds``: it is a GO, and neither the clock nor anything that came since has ended it; no run
    need have said so. ``valid_until``: until when it holds, as is known now. ``last_go_run_id``: the line's last GO,
    which is this run itself if it is one.
    """

    gate: str
    site: str
    subject: str
    line: str
    version: str
    artifact_digest: str
    run_id: int
    run_number: int
    decision: Decision
    status: RunStatus
    decided_at: Time
    holds: bool
    next_change_at: Time | None = None
    valid_until: Time | None = None
    score_percent: float
    reasons: list[str]
    scores: list[float]
    changed_at: Time | None = None
    changed_from: VerdictWord | None = None
    last_go_run_id: int | None = None

    @computed_field(description="GO, also with warnings, or not")  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> VerdictWord:
        """Decision and status in one word."""
        return verdict_word(self.decision, self.status)


class VerdictFilter(Model):
    gate: Token | None = Field(None, description="Of this gate only, such as release")
    subject: Subject | None = None
    decision: Decision | None = Field(None, description="Only what may go, or only what may not")
    cursor: str | None = Field(None, max_length=2_000, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


list_verdicts = Query(
    "governance.verdicts.list",
    params=VerdictFilter,
    result=Page[LatestVerdict],
    permission="gate:read",
    http=GET("/api/verdicts"),
    errors=(Invalid,),
    summary="List the newest verdict of each gate, subject and line of a site",
)
