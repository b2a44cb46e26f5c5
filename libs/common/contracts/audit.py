"""Audit: every event, in one hash chain that an outsider can recompute."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import Field

from libs.common.contracts.base import GET, Contract, Csv, Model, Open, Page, Query, Time
from libs.common.contracts.common import (
    dead_letter_commands,
    dead_letter_events,
    dead_letter_queries,
    outcome_query,
)


class EntryFilter(Model):
    """``type`` is an event's type with or without ``headgate.`` and ``.v1``."""

    type: str | None = Field(None, max_length=120)
    actor: str | None = Field(None, max_length=120)
    subject: str | None = Field(None, max_length=200)
    causationid: UUID | None = None
    correlationid: UUID | None = None
    after: Time | None = None
    before: Time | None = None
    cursor: str | None = Field(None, max_length=40)
    limit: int = Field(50, ge=1, le=500)


class Entry(Open):
    """A link of the chain; ``event`` is the event as it was received."""

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
    event: Any = None


class VerifyRange(Model):
    from_seq: int = Field(1, ge=1, le=2**63 - 1)
    limit: int = Field(1_000_000, ge=1, le=1_000_000)


class Verification(Open):
    """``valid`` only if every link from ``from_seq`` to ``to_seq`` was recomputed and fits; else where it broke."""

    valid: bool
    checked_count: int
    from_seq: int
    to_seq: int
    head_seq: int
    head_hash: str
    first_bad_seq: int | None = None
    problem: str | None = None
    next_seq: int | None = None
    verified_at: Time


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
    summary="List audit entries, newest first",
)
verify_chain = Query(
    "audit.chain.verify",
    params=VerifyRange,
    result=Verification,
    permission="audit:read",
    http=GET("/api/audit/verify"),
    summary="Recompute the hash chain from the stored rows",
    sited=False,
)

CONTRACT = Contract(
    "audit",
    commands=dead_letter_commands("audit"),
    queries=(list_entries, verify_chain, outcome_query("audit"), *dead_letter_queries("audit")),
    events=dead_letter_events("audit"),
)
