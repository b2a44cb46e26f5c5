"""Archives: a month of the log in one signed file, verified without us and never replaced once the month is over."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.common.buckets import AUDIT_ARCHIVES
from libs.common.contracts.base import GET, POST, Command, Event, Model, Nothing, Open, Query, Time
from libs.common.contracts.blobs import Blob
from libs.common.problems import Conflict, Forbidden, NotFound, TooLarge, TooMany, Unavailable

Month = Annotated[str, StringConstraints(pattern=r"^(19[7-9][0-9]|[2-8][0-9]{3})-(0[1-9]|1[0-2])$")]
JOB = "archive_audit_log"
STAMP_JOB = "stamp_audit_archives"


class ArchiveMonth(Model):
    month: Month = Field(description="A month by UTC, such as 2026-10")


class ArchiveCsvWanted(Model):
    month: Month = Field(description="A month by UTC, such as 2026-10")
    format_version: Literal["v1", "v2"] = Field(
        "v1", description="v1: names and entries; v2: what the archive says of itself before, and more columns"
    )


class Archive(Open):
    """What lies in the store of a month.

    ``state``: frozen (the month is over: this file is never replaced) or open (up to now; the next one replaces it).
    It holds the entries ``first_seq`` to ``last_seq`` whole, and the signed tree over all up to ``last_seq``.
    ``initial_prev_hash`` is the hash of the entry before. ``sha256`` is of the file, ``manifest_sha256`` of what is
    signed in it. ``capsules_left_out``: decisions whose capsule could not be had; the manifest says why.
    """

    month: str
    state: Literal["open", "frozen"]
    filename: str
    sha256: str
    size_bytes: int
    manifest_sha256: str
    origin: str
    verifier: str
    checkpoint: str
    first_seq: int
    last_seq: int
    entry_count: int
    root_hash: str
    initial_prev_hash: str
    last_entry_hash: str
    capsule_count: int
    capsules_left_out: int
    dr_rehearsal_included: bool
    made_at: Time
    made_by: str


class Archiving(Open):
    """How archiving stands: ``verifier`` is the key that signs (None: there is none, so nothing is archived),
    ``frozen_month`` the newest month that is archived for good, ``waiting_month`` the oldest that is over and is not,
    which might have been since ``waiting_since``.
    """

    verifier: str | None
    frozen_month: str | None
    waiting_month: str | None
    waiting_since: Time | None


class ArchiveVerified(Open):
    """What came of reading the stored file again. ``problem``: the first thing that does not hold."""

    month: str
    state: Literal["open", "frozen"]
    valid: bool
    problem: str | None
    sha256: str
    file_count: int
    entry_count: int
    verified_at: Time


make_archive = Command(
    "audit.archive.make",
    about="{month}",
    body=ArchiveMonth,
    result=Archive,
    permission="audit:write",
    http=POST("/api/audit/archives", status=201),
    errors=(Conflict, NotFound, Unavailable),
    summary="Archive a month of the audit log; one that is over is then frozen",
    sited=False,
)
list_archives = Query(
    "audit.archives.list",
    params=Nothing,
    result=list[Archive],
    permission="audit:read",
    http=GET("/api/audit/archives"),
    summary="List the archives of the audit log, newest month first",
    sited=False,
)
get_archive = Query(
    "audit.archives.get",
    params=ArchiveMonth,
    result=Archive,
    permission="audit:read",
    http=GET("/api/audit/archives/{month}"),
    errors=(NotFound,),
    summary="What lies in the store of a month of the audit log",
    sited=False,
)
get_archive_content = Query(
    "audit.archives.content",
    params=ArchiveMonth,
    result=Blob,
    permission="audit:read",
    http=GET("/api/audit/archives/{month}/content", file="application/zip", bucket=AUDIT_ARCHIVES.name),
    errors=(NotFound, Forbidden),
    summary="The archive of a month, for `headgate audit archive verify`",
    sited=False,
    logged=True,
)
get_archive_csv = Query(
    "audit.archives.csv",
    params=ArchiveCsvWanted,
    result=Blob,
    permission="audit:read",
    http=GET("/api/audit/archives/{month}/csv", file="text/csv", bucket=AUDIT_ARCHIVES.name),
    errors=(NotFound, Forbidden),
    summary="The entries of an archived month as CSV, with its signature in the headers X-Audit-Archive-*",
    sited=False,
    logged=True,
)
verify_archive = Query(
    "audit.archives.verify",
    params=ArchiveMonth,
    result=ArchiveVerified,
    permission="audit:read",
    http=GET("/api/audit/archives/{month}/verify"),
    errors=(NotFound, TooLarge, TooMany, Unavailable),
    summary="Read the stored archive of a month again and verify all of it",
    sited=False,
)
get_archive_stamp = Query(
    "audit.archives.stamp",
    params=ArchiveMonth,
    result=Blob,
    permission="audit:read",
    http=GET("/api/audit/archives/{month}/timestamp", file="application/timestamp-reply"),
    errors=(NotFound,),
    summary="The time stamp of a frozen archive (RFC 3161), for `headgate audit archive verify` or `openssl ts`",
    sited=False,
)
get_archiving = Query("audit.archiving.get", params=Nothing, result=Archiving, sited=False)
archive_made = Event("audit.archive.made", data=Archive, summary="A month of the audit log was archived")
