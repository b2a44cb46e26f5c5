"""Erasures: bodies of entries that go when their time is over; what they were is still proven."""

from __future__ import annotations

from libs.common.contracts.base import Event, Open, Time

JOB = "erase_audit_bodies"
DEFAULT_CLASS = "default"
LEAST_DAYS, MOST_DAYS = 90, 36_500


class BodiesErased(Open):
    """The bodies of ``erased_count`` entries of a class were removed, all of them between two entries (inclusive) and
    taken in before ``recorded_before``. ``archive_sha256``: the archive that holds them.
    """

    retention_class: str
    first_seq: int
    last_seq: int
    erased_count: int
    recorded_before: Time
    archive_month: str
    archive_sha256: str


bodies_erased = Event(
    "audit.bodies.erased", data=BodiesErased, summary="Bodies of old audit entries were removed; their hashes stay"
)
