"""Stored evidence, hashed anew: what a service answers when the operations service asks for a sample."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from libs.common.contracts.base import Model, Open, Query

Problem = Literal["missing_blob", "missing_sha256", "sha256_mismatch", "read_error"]


class SampleWanted(Model):
    """Half of a sample are the newest, half begin at ``place`` (0 to 1) of all that is kept, so that old ones are read,
    too.
    """

    sample_per_table: int = Field(20, ge=1, le=200)
    max_issues: int = Field(50, ge=1, le=500, description="How many issues of a table are named")
    place: float = Field(0.0, ge=0.0, le=1.0)
    max_bytes: int = Field(64 * 1024 * 1024, ge=1, description="How much content is read of a table, beside its first")


class IntegrityIssue(Open):
    """What is wrong with one stored thing; ``id`` is what its service calls it."""

    table: str
    id: str
    problem: Problem
    detail: str


class TableIntegrity(Open):
    """What was found in one kind of evidence. ``skipped_count``: in the sample, and left out for their size."""

    table: str
    checked_count: int
    missing_blob_count: int = 0
    missing_hash_count: int = 0
    digest_mismatch_count: int = 0
    read_error_count: int = 0
    skipped_count: int = 0
    issues: list[IntegrityIssue] = []


def integrity_query(service: str) -> Query:
    """Has a replica of the service read and hash a sample of what it keeps, now. For the operations service."""
    return Query(
        f"{service}.integrity.sample",
        params=SampleWanted,
        result=list[TableIntegrity],
        summary="Read and hash a sample of what this service keeps",
        sited=False,
    )
