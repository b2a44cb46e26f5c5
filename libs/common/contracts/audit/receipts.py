"""Receipts: files that prove to anybody, without asking us, that an event stands in the signed log."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from libs.common.contracts.audit.entries import EntryKey
from libs.common.contracts.base import GET, Model, Query
from libs.common.contracts.blobs import Blob
from libs.common.problems import NotFound


class EventKey(Model):
    event_id: UUID = Field(description="The event's id")


get_receipt = Query(
    "audit.receipts.get",
    params=EntryKey,
    result=Blob,
    permission="audit:read",
    http=GET("/api/audit/entries/{seq}/receipt", file="text/plain; charset=utf-8"),
    errors=(NotFound,),
    logged=True,
    summary="An entry's receipt (C2SP tlog-proof), for `headgate audit receipt verify`",
    sited=False,
)
find_receipt = Query(
    "audit.receipts.find",
    params=EventKey,
    result=Blob,
    permission="audit:read",
    http=GET("/api/audit/events/{event_id}/receipt", file="text/plain; charset=utf-8"),
    errors=(NotFound,),
    logged=True,
    summary="The receipt of the entry that holds an event (C2SP tlog-proof)",
    sited=False,
)
