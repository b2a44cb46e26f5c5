"""What tests of backups start from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.backup.manifest import FORMAT, AuditHead, Manifest, Part, StreamContent, TableContent
from deploy.backup.store import Found

MOMENT = datetime(2026, 5, 1, 12, tzinfo=UTC)


def folder_of(found: Found) -> Path:
    """The folder in which a backup lies."""
    assert isinstance(found.folder, Path)
    return found.folder


def ignore(_: int) -> None:
    """Nobody wants to know how far it is."""


def a_manifest(backup_id: str = "20260501T120000Z-abcdef", **changed: Any) -> Manifest:
    """One that is right in itself."""
    part = Part(file="database.dump", size_bytes=1, plain_bytes=1, sha256="0" * 64)
    stream = StreamContent(
        part=part.model_copy(update={"file": "EVENTS.stream"}),
        messages=1, stored_bytes=1, first_seq=1, last_seq=1, consumers=0, config={"name": "EVENTS"},
    )  # fmt: skip
    values: dict[str, Any] = {
        "format": FORMAT,
        "backup_id": backup_id,
        "headgate_version": "1",
        "namespace": "headgate",
        "began_at": MOMENT,
        "recovery_point": MOMENT,
        "finished_at": MOMENT,
        "postgres_version": "18",
        "nats_version": "2",
        "migrations": {},
        "database": part,
        "tables": {"audit.entry": TableContent(rows=2, digest="0-0")},
        "streams": {"EVENTS": stream},
        "audit_head": AuditHead(seq=2, hash="0" * 64),
        "secrets_not_included": [],
        "secret_mark": "",
        **changed,
    }
    return Manifest(**values)
