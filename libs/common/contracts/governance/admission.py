"""Admission: may this version go now? For deployers and webhooks, in one round trip, without judging where it can."""

from __future__ import annotations

from libs.common.contracts.base import POST, Open, Query, Time
from libs.common.contracts.governance.runs import GateTarget, OverrideUsed, VerdictWord
from libs.common.problems import Invalid, NotFound


class Admission(Open):
    """Whether a GO of this version holds at ``checked_at``. ``reasons``: why it is not admitted, a sentence each.

    ``run_id`` and what follows are of the run whose GO holds, none where no GO does. ``override``: the emergency
    override that it is GO by. ``artifact_digest``: what that run judged, or what was asked about.
    """

    admitted: bool
    gate: str
    site: str
    subject: str
    version: str
    line: str = ""
    artifact_digest: str = ""
    checked_at: Time
    run_id: int | None = None
    verdict: VerdictWord | None = None
    decided_at: Time | None = None
    valid_until: Time | None = None
    capsule_sha256: str | None = None
    reasons: list[str] = []
    override: OverrideUsed | None = None


admit = Query(
    "governance.gate.admit",
    params=GateTarget,
    result=Admission,
    permission="gate:read",
    http=POST("/api/gates/{gate}/admit"),
    errors=(NotFound, Invalid),
    summary="Whether this version holds a valid GO now; nothing is stored",
)
