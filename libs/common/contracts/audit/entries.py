"""Entries: every event, in one hash chain that an outsider can recompute."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from libs.common.contracts.audit.tree import Inclusion
from libs.common.contracts.base import GET, Csv, Json, Model, Open, Page, Query, Site, Time
from libs.common.contracts.clients import Client
from libs.common.problems import Forbidden, Invalid, NotFound

MAX_LISTED_PAYLOAD_BYTES = 1024 * 1024
Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
# Ids of entities may hold a name behind a gate's, so they are longer than names.
Kind = Annotated[str, StringConstraints(max_length=100, pattern=r"^[a-z]+\.[a-z_]+$")]
TraceId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Outcome = Literal["applied", "refused", "failed"]
Entity = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]


class EntryFilter(Model):
    """``type`` and ``action`` are an event's or a command's, with or without ``headgate.`` and ``.v1``; ``after`` <=
    ``time`` < ``before``.

    Entries of all sites that you may see are listed, unless ``only_site`` names one. With ``text`` 5,000 entries are
    searched for a page, so that one may be empty and yet have a ``next_cursor``.
    """

    type: Word | None = Field(None, description="Only events of this type")
    action: Word | None = Field(None, description="Only this action, such as tracker.item.patch")
    resource_type: Kind | None = Field(None, description="Only about things of this kind, such as tracker.item")
    resource_id: Entity | None = Field(None, description="Only about the thing with this id")
    outcome: Outcome | None = Field(None, description="Only what was applied, was refused, or failed")
    issue: Word | None = Field(None, description="Only what belongs to this issue, such as OPS-12, or item:7")
    trace_id: TraceId | None = Field(None, description="Only what belongs to this trace: 32 hex digits")
    text: Word | None = Field(None, description="Only what holds this text somewhere, in whatever case")
    actor: Word | None = Field(None, description="Only what this user caused")
    subject: Entity | None = Field(
        None, description="The entity's id, such as a run's number or gate/subject of a board"
    )
    causationid: UUID | None = Field(None, description="Only what this message caused")
    correlationid: UUID | None = Field(None, description="Only what this request caused")
    after: Time | None = Field(None, description="Only from this time on (RFC 3339)")
    before: Time | None = Field(None, description="Only before this time (RFC 3339)")
    only_site: Site | None = Field(None, description="Entries of this one site; it must be in your scope")
    clients: bool = Field(
        False, description="Also say in clear from where commands came, in client; takes personal:read"
    )
    cursor: str | None = Field(None, pattern=r"^[1-9][0-9]{0,17}$", description="Where the page before ended")
    limit: int = Field(50, ge=1, le=500, description="At most so many; a page also ends at 2 MB of payload")


class Entry(Open):
    """A link of the chain: all that is needed to recompute it (docs/audit-log.md).

    ``subject`` is the id of what it is about, ``resource_type`` what kind of thing that is. Where the outcome came from
    an HTTP request, ``correlationid`` is that request's id. ``client_address`` and ``client_agent`` stand in the
    records of commands only: an event's ``causationid`` is the ``event_id`` of its command's record. What follows
    ``version`` is null in entries of before (they have no version).

    ``payload`` is the text of the very bytes that were received, ``event`` the same parsed; both are null when the
    payload is larger than 1 MiB, or was removed (``erased_at``), and then ``payload_sha256`` stands in.
    Hashes are lower-case hex.

    ``client_address`` and ``client_agent`` are sealed (``p1.…``), here as in the payload, so that all that is listed
    can be verified by who may not read them; ``client`` is what they say, for who asks with ``clients``. Entries of
    before they were sealed have them in clear: who may not read them is shown such an entry ``masked``, without its
    payload.
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
    version: int | None = None
    action: str | None = None
    actor_kind: Literal["person", "account", "service", "webhook", "nobody"] | None = None
    resource_type: str | None = None
    outcome: str | None = None
    reason: str | None = None
    issue: str | None = None
    trace_id: str | None = None
    client_address: str | None = None
    client_agent: str | None = None
    payload: str | None = None
    event: Any = None
    erased_at: Time | None = None
    client: Client | None = None
    masked: bool | None = None


class EntryKey(Model):
    seq: int = Field(ge=1, le=2**62, description="The entry's number")


class ProvenEntry(Open):
    """An entry, and the proof that it is in the tree of the last checkpoint; null until one covers it.

    ``command``: the record of the command that caused it; null where there is none, or not in your sites. ``client``:
    the address and program that this one, or else the entry, was sent from; null where none was noted.
    """

    entry: Entry
    proof: Inclusion | None
    command: Entry | None = None
    client: Client | None = None


def _more_cells(entry: Json) -> Json:
    """What a line of CSV says besides: the thing's id, and what the event changed, as two objects by field."""
    event = entry.get("event")
    data = event.get("data") if isinstance(event, dict) else None
    changes = data.get("changes") if isinstance(data, dict) else None
    rows = [one for one in changes if isinstance(one, dict)] if isinstance(changes, list) else []
    sides = {
        side: {str(one.get("field")): "masked" if one.get("masked") is True else one.get(side) for one in rows} or None
        for side in ("before", "after")
    }
    client = {f"client_{name}": text for name, text in (entry.get("client") or {}).items()}
    return {"resource_id": entry.get("subject"), **sides, **client}


get_entry = Query(
    "audit.entries.get",
    params=EntryKey,
    result=ProvenEntry,
    permission="audit:read",
    logged=True,
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
    logged=True,
    http=GET(
        "/api/audit/entries",
        csv=Csv(
            "items",
            (
                "seq",
                "time",
                "type",
                "site",
                "actor",
                "subject",
                "outcome",
                "reason",
                "issue",
                "client_address",
                "client_agent",
                "event_id",
                "causationid",
                "correlationid",
                "trace_id",
                "prev_hash",
                "hash",
                "action",
                "actor_kind",
                "resource_type",
                "resource_id",
                "recorded_at",
                "payload_sha256",
                "before",
                "after",
            ),
            "audit-entries",
            _more_cells,
        ),
        whole="/api/audit/export",
    ),
    errors=(Forbidden, Invalid),
    summary="List audit entries, newest first",
)
