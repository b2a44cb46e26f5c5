"""Verifications of stored archives in the background, for those that take longer than an answer may."""

from __future__ import annotations

from typing import Literal

from libs.common.contracts.audit.archives import ArchiveMonth
from libs.common.contracts.audit.verifications import VerificationFilter, VerificationNumber
from libs.common.contracts.base import GET, POST, Command, Event, Open, Page, Query, Time
from libs.common.problems import Conflict, NotFound

Stage = Literal["reading", "files", "tree", "entries"]


class ArchiveVerification(Open):
    """How far the verification of a stored archive is, and what came of it.

    ``status``: running, valid (all of it holds), broken (``problem`` says what does not), or unable (``problem`` says
    what kept it from being checked, such as a full disk: that says nothing of the archive). ``stage``: reading (out of
    the store, in bytes), files (their hashes, in bytes), tree and entries (in entries); ``stage_done`` of
    ``stage_total`` of it are done. ``sha256`` is of the file that is looked at; ``file_count`` and ``entry_count`` are
    what was found in it. One that is cut off begins anew.
    """

    number: int
    month: str
    sha256: str
    status: Literal["running", "valid", "broken", "unable"]
    stage: Stage
    stage_done: int
    stage_total: int
    file_count: int
    entry_count: int
    problem: str | None
    started_by: str
    started_at: Time
    updated_at: Time
    finished_at: Time | None


start_archive_verification = Command(
    "audit.archive_verification.start",
    about="{number}",
    body=ArchiveMonth,
    result=ArchiveVerification,
    permission="audit:verify",
    http=POST("/api/audit/archive-verifications", status=201),
    errors=(Conflict, NotFound),
    summary="Begin to verify a stored archive of any size in the background; one runs at a time",
    sited=False,
)
list_archive_verifications = Query(
    "audit.archive_verifications.list",
    params=VerificationFilter,
    result=Page[ArchiveVerification],
    permission="audit:read",
    http=GET("/api/audit/archive-verifications"),
    summary="List verifications of stored archives, newest first",
    sited=False,
)
get_archive_verification = Query(
    "audit.archive_verifications.get",
    params=VerificationNumber,
    result=ArchiveVerification,
    permission="audit:read",
    http=GET("/api/audit/archive-verifications/{number}"),
    errors=(NotFound,),
    summary="How far the verification of a stored archive is, and what came of it",
    sited=False,
)
archive_verified = Event(
    "audit.archive_verification.finished",
    data=ArchiveVerification,
    summary="A verification of a stored archive has ended",
)
