"""Witnesses: other parties' programs that cosign the log's checkpoints if it only grew, and what they saw."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import GET, Event, Model, Open, Page, Query, Time

WitnessState = Literal["waiting", "cosigned", "refused", "unreachable", "forked"]


class WitnessView(Open):
    """A witness that this installation asks.

    ``state``: waiting (not asked yet), cosigned, refused (it does not know the log or its key, or answered nonsense),
    unreachable, or forked: it saw another history of this log than we show. ``size`` is the largest tree that it
    cosigned for us, ``cosigned_at`` when it last did; ``since`` is how long the state lasts.
    """

    witness: str
    verifier: str
    state: WitnessState
    problem: str | None
    size: int
    cosigned_at: Time | None
    asked_at: Time | None
    since: Time | None


class Cosignature(Open):
    """That a witness saw a checkpoint, and when it said so."""

    witness: str
    cosigned_at: Time


class SeenCheckpoint(Open):
    """A checkpoint with the cosignatures that were gathered for it, as one note.

    ``witness_count``: how many witnesses cosigned it, or a later one of this log, which covers it.
    """

    origin: str
    size: int
    root_hash: str
    signed_at: Time
    checkpoint: str
    cosigned_by: list[Cosignature]
    witness_count: int


class CheckpointFilter(Model):
    cursor: str | None = Field(None, pattern=r"^[0-9]{1,18}\.[0-9]{1,19}$", description="Where the page before ended")
    limit: int = Field(50, ge=1, le=500, description="At most so many")


class Witnessed(Open):
    """A witness began to cosign, or does so again."""

    witness: str
    size: int
    root_hash: str
    checkpoint: str
    cosigned_at: Time


class ForkSeen(Open):
    """A witness saw another history of this log: somebody was shown something else than is in the database now.

    ``checkpoint`` is ours, ``seen_checkpoint`` the witness's, if it showed one that a key of this log has signed:
    both together are proof. ``seen_size``: how many entries it saw.
    """

    witness: str
    problem: str
    size: int
    checkpoint: str
    seen_size: int | None
    seen_checkpoint: str | None


list_witnesses = Query(
    "audit.witnesses.list",
    result=list[WitnessView],
    permission="audit:read",
    http=GET("/api/audit/witnesses"),
    summary="The witnesses that are asked to cosign the log, and how each answered",
    sited=False,
)
list_checkpoints = Query(
    "audit.checkpoints.list",
    params=CheckpointFilter,
    result=Page[SeenCheckpoint],
    permission="audit:read",
    http=GET("/api/audit/checkpoints"),
    summary="List signed checkpoints, newest first, and how many witnesses saw each",
    sited=False,
)
checkpoint_witnessed = Event(
    "audit.checkpoint.witnessed", data=Witnessed, summary="A witness cosigns the log, for the first time or again"
)
fork_seen = Event("audit.fork.seen", data=ForkSeen, summary="A witness saw another history of the audit log")
