"""Vitals: how a service is getting on with its messages, when the operations service asks."""

from __future__ import annotations

from libs.common.contracts.base import Nothing, Open, Query, Time


class DurableState(Open):
    """A durable: messages that wait for it, and those that it has and did not acknowledge."""

    stream: str
    durable: str
    pending_count: int
    unacked_count: int


class StreamState(Open):
    """A stream that the service uses. ``refuses_when_full``: else the oldest messages give way."""

    stream: str
    byte_count: int
    max_bytes: int
    refuses_when_full: bool


class Vitals(Open):
    """``outbox_oldest_at`` of messages that are not sent yet, ``inbox_oldest_at`` of ids that are still kept."""

    service: str
    outbox_count: int
    outbox_oldest_at: Time | None
    inbox_oldest_at: Time | None
    dead_letter_count: int
    dead_letter_oldest_at: Time | None
    durables: list[DurableState]
    streams: list[StreamState]


def vitals_query(service: str) -> Query:
    """Has a replica of the service look, now. For the operations service."""
    return Query(f"{service}.vitals.get", params=Nothing, result=Vitals, sited=False)
