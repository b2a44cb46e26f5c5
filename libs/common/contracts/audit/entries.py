"""Entries: every event, in one hash chain that an outsider can recompute."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from libs.common.contracts.audit.tree import Inclusion
from libs.common.contracts.base import GET, Csv, Model, Open, Page, Query, Site, Time
from libs.common.problems import Forbidden, NotFound

MAX_LISTED_PAYLOAD_BYTES = 1024 * 1024
Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
# Ids of entities may hold a name behind a gate's, so they are longer than names.
Entity = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]


class EntryFilter(Model):
    """``type`` is an event's type with or without ``headgate.`` and ``.v1``; ``after`` <= ``time`` < ``before``.

    Entries of all sites that you may see are listed, unless ``only_site`` names one.
    """

    type: Word | None = Field(None, description="Only events of this type")
    actor: Word | None = Field(None, description="Only what this user caused")
    subject: Entity | None = Field(
        None, description="The entity's id, such as a run's number or gate/subject of a board"
    )
    causationid: UUID | None = Field(None, description="Only what this message caused")
    correlationid: UUID | None = Field(None, description="Only what this request caused")
    after: Time | None = Field(None, description="Only from this time on (RFC 3339)")
    before: Time | None = Field(None, description="Only before this time (RFC 3339)")
    only_site: Site | None = Field(None, description="Entries of this one site; it must be in your scope")
    cursor: str | None = Field(None, pattern=r"^[1-9][0-9]{0,17}$", description="Where the page before ended")
    limit: int = Field(50, ge=1, le=500, description="At most so many; a page also ends at 2 MB of payload")


class Entry(Open):
    """A link of the chain: all that is needed to recompute it (docs/audit-log.md).

    ``payload`` is the text of the very bytes that were received, ``event`` the same parsed; both are null when the
    payload is larger than 1 MiB, and then ``payload_sha256`` stands in. Hashes are lower-case hex.
    """

    seq: int
    event_id: UUID
    type: str
    source: str
    site: str
    actor: str
    subject: str
    time: Time
    causationid: UUID | None
    correlationid: UUID | None
    recorded_at: Time
    prev_hash: str
    hash: str
    payload_bytes: int
    payload_sha256: str
    payload: str | None = None
    event: Any = None


class EntryKey(Model):
    seq: int = Field(ge=1, le=2**62, description="The entry's number")


class ProvenEntry(Open):
    """An entry, and the proof that it is in the tree of the last checkpoint; null until one covers it."""

    entry: Entry
    proof: Inclusion | None


get_entry = Query(
    "audit.entries.get",
    params=EntryKey,
    result=ProvenEntry,
    permission="audit:read",
    http=GET("/api/audit/entries/{seq}"),
    errors=(NotFound,),
    summary="An audit entry, with the proof that the signed log holds it",
    sited=False,
)
list_entries = Query(
    "audit.entries.list",
    params=EntryFilter,
    result=Page[Entry],
    permission="audit:read",
    http=GET(
        "/api/audit/entries",
        csv=Csv(
            "items",
            ("seq", "time", "type", "site", "actor", "subject", "event_id", "causationid", "prev_hash", "hash"),
            "audit-entries",
        ),
    ),
    errors=(Forbidden,),
    summary="List audit entries, newest first",
)
