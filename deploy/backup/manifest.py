"""What a backup says of itself: one JSON file, written last. Without it there is no backup."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.backup.sealing import Keys, mac_key

FORMAT = 1
FILE = "manifest.json"
BACKUP_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}")
_PART_FILE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$"
SECRETS = (
    "the cluster secret (HEADGATE_CLUSTER_SECRET, or the file cluster-secret)",
    "the password of PostgreSQL's superuser (the file postgres-password)",
    "keys in files: HEADGATE_VAULT_KEY_FILE, HEADGATE_CAPSULE_KEY_FILE, HEADGATE_BACKUP_KEY_FILE",
)
"""What a restored installation needs besides, and no backup holds."""


class BackupError(RuntimeError):
    """A backup can't be made, read or restored; the message is a sentence that says what to do."""


class Busy(BackupError):
    """Somebody else is at it; whoever that is tells how it went."""


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Written):
    """One file of a backup. ``sha256`` is of the file as it lies there; ``plain_bytes`` is what was packed into it."""

    file: str = Field(pattern=_PART_FILE)
    size_bytes: int = Field(ge=0)
    plain_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class TableContent(_Written):
    """A table's rows, and a hash of their content that does not depend on their order."""

    rows: int = Field(ge=0)
    digest: str


class StreamContent(_Written):
    """A stream as its server saw it when the copy began. ``config`` is what the stream is made of again."""

    part: Part
    messages: int = Field(ge=0)
    stored_bytes: int = Field(ge=0)
    first_seq: int = Field(ge=0)
    last_seq: int = Field(ge=0)
    consumers: int = Field(ge=0)
    config: dict[str, Any]


class AuditHead(_Written):
    """Where the audit log ends; ``recorded_at`` is that of its last entry."""

    seq: int = Field(ge=0)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    recorded_at: datetime | None = None


class Manifest(_Written):
    """All that is to be known of a backup without opening it.

    ``recovery_point``: whatever the bus had acknowledged before this moment is in the backup, by the database's clock.
    ``migrations`` are the scripts that the schemas had run, ``tables`` is by ``schema.table``. ``secret_mark`` shows
    whether an installation has the same cluster secret, and tells nothing of it. ``mac`` stands in backups that are
    encrypted: HMAC-SHA-256 of all other fields, so that nobody without the key can write a manifest.
    """

    format: int
    backup_id: str = Field(pattern=f"^{BACKUP_ID.pattern}$")
    headgate_version: str
    namespace: str
    began_at: datetime
    recovery_point: datetime
    finished_at: datetime
    postgres_version: str
    nats_version: str
    migrations: dict[str, list[str]]
    database: Part
    tables: dict[str, TableContent]
    streams: dict[str, StreamContent]
    audit_head: AuditHead
    secrets_not_included: list[str]
    secret_mark: str
    key_id: str | None = None
    mac: str | None = None

    @property
    def parts(self) -> list[Part]:
        """Every file beside the manifest."""
        return [self.database, *(stream.part for stream in self.streams.values())]

    @property
    def size_bytes(self) -> int:
        """What the backup takes."""
        return sum(part.size_bytes for part in self.parts)

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables.values())


def encode(manifest: Manifest, keys: Keys) -> bytes:
    """The file's bytes, with the mac if there is a key in use."""
    if manifest.key_id is not None:
        manifest = manifest.model_copy(update={"mac": _mac(manifest, keys)})
    return orjson.dumps(manifest.model_dump(mode="json"), option=orjson.OPT_INDENT_2) + b"\n"


def decode(content: bytes) -> Manifest:
    """Read a manifest. Raises `BackupError` for one that is damaged, or written by a newer Headgate."""
    try:
        found = orjson.loads(content)
        number = found["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"The manifest can't be read ({error!r}): take another backup.") from None
    if number != FORMAT:
        raise BackupError(f"Its manifest has format {number}, this Headgate reads {FORMAT}: use the one that made it.")
    try:
        return Manifest.model_validate(found)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise BackupError(f"The manifest is damaged (at {where}): take another backup.") from None


def check_mac(manifest: Manifest, keys: Keys) -> None:
    """Raise `BackupError` if an encrypted backup's manifest is not what the holder of the key wrote."""
    if manifest.key_id is None:
        return
    if not hmac.compare_digest(manifest.mac or "", _mac(manifest, keys)):
        raise BackupError("The manifest was altered: its mac is not the one that your key makes. Take another backup.")


def _mac(manifest: Manifest, keys: Keys) -> str:
    content = orjson.dumps(manifest.model_dump(mode="json", exclude={"mac"}), option=orjson.OPT_SORT_KEYS)
    return hmac.new(mac_key(keys, manifest.key_id or "", manifest.backup_id), content, hashlib.sha256).hexdigest()
