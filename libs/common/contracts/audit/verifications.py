"""Verifications: the whole log recomputed by the audit service, in pieces, while everything else goes on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, POST, Command, Event, Model, Open, Page, Query, Time
from libs.common.problems import Conflict, NotFound

JOB = "verify_audit_log"
Mode = Literal["whole", "incremental"]


class VerificationStart(Model):
    mode: Mode = Field(
        "whole", description="whole: from entry 1 on; incremental: behind what the newest valid verification covered"
    )


class VerificationNumber(Model):
    number: int = Field(ge=1, le=2**62, description="The verification's number")


class VerificationFilter(Model):
    cursor: int | None = Field(None, ge=1, le=2**62, description="Where the page before ended")
    limit: int = Field(20, ge=1, le=200, description="At most so many")


class VerificationRun(Open):
    """How far a verification is, and what came of it.

    ``status``: running, valid (all of it fits), or broken (``problem`` says what does not; ``first_bad_seq`` is the
    first entry that does not, null where no entry is to blame, such as an altered tile). It looks at the entries
    ``from_seq`` to ``to_seq``; ``verified_seq`` is the last one that fits so far. ``checkpoint_count``: how many signed
    checkpoints it has compared; 0 means that nothing was signed of these entries.
    """

    number: int
    mode: Mode
    status: Literal["running", "valid", "broken"]
    from_seq: int
    to_seq: int
    total_count: int
    checked_count: int
    verified_seq: int
    checkpoint_count: int
    first_bad_seq: int | None
    problem: str | None
    started_by: str
    started_at: Time
    updated_at: Time
    finished_at: Time | None


start_verification = Command(
    "audit.verification.start",
    about="{number}",
    body=VerificationStart,
    result=VerificationRun,
    permission="audit:verify",
    http=POST("/api/audit/verifications", status=201),
    errors=(Conflict,),
    summary="Begin to verify the audit log: chain, tree, tiles and signed checkpoints; one runs at a time",
    sited=False,
)
list_verifications = Query(
    "audit.verifications.list",
    params=VerificationFilter,
    result=Page[VerificationRun],
    permission="audit:read",
    http=GET("/api/audit/verifications"),
    summary="List verifications of the audit log, newest first",
    sited=False,
)
get_verification = Query(
    "audit.verifications.get",
    params=VerificationNumber,
    result=VerificationRun,
    permission="audit:read",
    http=GET("/api/audit/verifications/{number}"),
    errors=(NotFound,),
    summary="How far a verification of the audit log is, and what came of it",
    sited=False,
)
verification_finished = Event(
    "audit.verification.finished", data=VerificationRun, summary="A verification of the audit log has ended"
)
