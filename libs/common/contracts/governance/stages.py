"""Stages: where each version of a subject stands at each gate."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, Model, Open, Query, Time, Token
from libs.common.contracts.governance.runs import VerdictWord
from libs.common.contracts.names import LineFilter, Subject
from libs.common.problems import Invalid, NotFound

MAX_VERSIONS = 50


class StageFilter(Model):
    subject: Subject = Field(description="Whose versions these are")
    gate: Token | None = Field(None, description="Only this gate")
    line: LineFilter | None = None
    limit: int = Field(
        20, ge=1, le=MAX_VERSIONS, description="How many versions at the most, those first heard of last"
    )


class Stage(Open):
    """A version at a gate, in a line: its newest verdict, and whether a GO of it ``holds`` since ``since``.

    ``valid_until``: until when it holds at the most. It is as the last look has left it, which is made each minute;
    `admit` asks at the very moment.
    """

    gate: str
    line: str
    run_id: int
    verdict: VerdictWord
    decided_at: Time
    artifact_digest: str
    holds: bool
    since: Time | None
    valid_until: Time | None


class StagedVersion(Open):
    """A version, when it was first heard of, and which artifact it is by the newest signal that names one."""

    version: str
    first_at: Time
    artifact_digest: str
    stages: list[Stage]


class Stages(Open):
    """The versions that were first heard of last; ``has_more``: there are older ones."""

    subject: str
    site: str
    versions: list[StagedVersion]
    has_more: bool


list_stages = Query(
    "governance.stages.list",
    params=StageFilter,
    result=Stages,
    permission="gate:read",
    http=GET("/api/stages"),
    errors=(NotFound, Invalid),
    summary="Where each version of a subject stands at each gate",
)
