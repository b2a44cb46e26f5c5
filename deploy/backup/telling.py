"""What backups and rehearsals tell the installation: over HTTP, as its keeper or whoever logged in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

from deploy.backup.manifest import BackupError
from deploy.backup.rehearse import Rehearsal
from deploy.backup.store import Found, Store
from libs.client.config import resolve
from libs.client.errors import ApiError, ClientError
from libs.client.http import Client, read_as
from libs.common.contracts.operations.backups import MAX_REMOVED, BackupRun, KeeperDuties
from libs.common.contracts.operations.rehearsals import MAX_PROBLEMS, RehearsalRun

_PROBLEM_CHARACTERS = 500


@dataclass
class Backup:
    """What is told of a backup; the fields are those of `BackupResult`."""

    started_at: datetime
    finished_at: datetime
    backup_id: str | None = None
    recovery_point: datetime | None = None
    problems: list[str] = field(default_factory=list)
    backup_s: float | None = None
    size_bytes: int = 0
    rows: int = 0
    messages: int = 0
    audit_seq: int = 0
    audit_hash: str = ""
    encrypted: bool = False
    place: str = "folder"
    kept_count: int = 0
    removed: list[str] = field(default_factory=list)
    free_bytes: int | None = None

    @classmethod
    def of(
        cls,
        found: Found,
        store: Store,
        problems: Sequence[str],
        started: datetime,
        finished: datetime,
        *,
        backup_s: float | None = None,
        removed: Sequence[str] = (),
    ) -> Backup:
        """Of one that lies in the store."""
        told = cls(started, finished, found.backup_id, problems=list(problems), backup_s=backup_s)
        if (manifest := found.manifest) is not None:
            told.recovery_point, told.size_bytes, told.rows = (
                manifest.recovery_point,
                manifest.size_bytes,
                manifest.rows,
            )
            told.messages = sum(stream.messages for stream in manifest.streams.values())
            told.audit_seq, told.audit_hash = manifest.audit_head.seq, manifest.audit_head.hash
            told.encrypted = manifest.key_id is not None
        told.removed = list(removed)[-MAX_REMOVED:]
        told._surroundings(store)
        return told

    @classmethod
    def failed(cls, store: Store | None, why: str, started: datetime, finished: datetime) -> Backup:
        """Of one that could not be made; without a store where the address of the bucket is none."""
        told = cls(started, finished, problems=[why], place="folder" if store else "s3")
        if store is not None:
            told._surroundings(store)
        return told

    def _surroundings(self, store: Store) -> None:
        self.place, self.free_bytes = store.place, store.free_bytes()
        with suppress(
            BackupError, OSError
        ):  # the bucket is away, or the folder can't be read: that is what the problem says
            self.kept_count = sum(not one.problem for one in store.all())

    def fields(self) -> dict[str, Any]:
        """As the command takes them."""
        moments = {name: getattr(self, name) for name in ("started_at", "finished_at", "recovery_point")}
        return {
            **asdict(self),
            **{name: at.isoformat() if at else None for name, at in moments.items()},
            "good": not self.problems,
            "problems": _bounded(self.problems),
        }

    def sentence(self) -> str:
        """For people."""
        if self.backup_id is None:
            return f"No backup: {self.problems[0]}"
        state = f"damaged: {self.problems[0]}" if self.problems else f"good, {self.size_bytes} bytes"
        gone = f"; {len(self.removed)} removed" if self.removed else ""
        return f"Backup {self.backup_id} is {state}{gone}; {self.kept_count} are kept."


class Gateway:
    """The edge of the installation. Asked once before the work: nobody rehearses for an hour and then can't say so.

    ``own_token`` is the keeper's: only the gateway of this installation knows it, so that no shell in which another
    one's address and token stand can make a laptop speak for production. ``as_person``: then tell it as whoever logged
    in, if somebody did. Raises `BackupError`.
    """

    def __init__(self, url: str | None, own_token: str, *, as_person: bool = False) -> None:
        try:
            target = resolve(url, os.environ)
        except ClientError as error:
            raise BackupError(f"The result could be told to nobody: {error}") from error
        self._client = _known(target.url, own_token)
        if as_person and target.token is not None:
            self._client.close()
            self._client = _known(target.url, target.token)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def report(self, done: Rehearsal) -> int:
        """Tell how it went; returns the number of the run. Raises `BackupError`."""
        fields = asdict(done) | {"problems": _bounded(done.problems)}
        fields |= {name: fields[name].isoformat() for name in ("started_at", "finished_at") if fields[name] is not None}
        try:
            return read_as(RehearsalRun, self._client.call("operations.rehearsal.report", **fields)).run_id
        except ClientError as error:
            raise BackupError(f"The rehearsal was done, and could not be reported: {error}") from error

    def report_backup(self, backup: Backup) -> int:
        """Tell of a backup; returns the number of the run. Raises `BackupError`."""
        try:
            return read_as(BackupRun, self._client.call("operations.backup_report.send", **backup.fields())).run_id
        except ClientError as error:
            raise BackupError(f"{backup.sentence()} It could not be reported: {error}") from error

    def duties(self) -> KeeperDuties:
        """What waits, and what was told last. Raises `BackupError`."""
        try:
            return read_as(KeeperDuties, self._client.call("operations.keeper.duties"))
        except ClientError as error:
            raise BackupError(str(error)) from error


def _known(url: str, token: str) -> Client:
    """Who is known there by this token. Raises `BackupError`."""
    client = None
    try:
        client = Client(url, token)
        client.me()
    except ClientError as error:
        if client is not None:
            client.close()
        why = str(error)
        if isinstance(error, ApiError) and error.status == HTTPStatus.UNAUTHORIZED:
            why = f"{url} does not know this installation, or lets its keeper in no more"
        raise BackupError(f"The result could be told to nobody ({why}): say --no-report to go without.") from error
    return client


def _bounded(problems: Sequence[str]) -> list[str]:
    shown = list(problems)
    if len(shown) > MAX_PROBLEMS:
        shown = [*shown[: MAX_PROBLEMS - 1], f"and {len(shown) - MAX_PROBLEMS + 1} more"]
    return [problem[:_PROBLEM_CHARACTERS] for problem in shown]
