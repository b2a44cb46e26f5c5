"""A folder of backups. One that is being made lies under another name, and gets its own only when it is complete."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, ClassVar, Literal, Protocol

import orjson

from deploy.backup.files import Moved, content
from deploy.backup.manifest import BACKUP_ID, FILE, BackupError, Busy, Manifest, check_mac, decode, encode
from deploy.backup.sealing import Keys, SealError

PARTIAL, REMOVING = ".partial-", ".removing-"
CHECKED = "checked.json"


class Files(Protocol):
    """A backup's files, or one of them: a folder, or what is read like one. Each raises OSError."""

    def __truediv__(self, name: str, /) -> Files: ...
    def stat(self) -> Any: ...
    def read_bytes(self) -> bytes: ...
    def open(self, mode: Literal["rb"], /) -> IO[bytes]: ...


@dataclass(frozen=True)
class Found:
    """A backup in a folder. ``problem`` is empty if all its files are there with their sizes and no check found damage;
    ``checked_at`` is when its content was last read and found good, None if never.
    """

    backup_id: str
    folder: Files
    manifest: Manifest | None
    problem: str = ""
    checked_at: datetime | None = None


@dataclass(frozen=True)
class Store:
    """The folder. Whoever writes in it holds its lock: one at a time; a second one waits so long."""

    root: Path
    wait_s: float = 0.0

    place: ClassVar[str] = "folder"

    @property
    def where(self) -> str:
        """For people."""
        return str(self.root)

    def free_bytes(self) -> int | None:
        """The room that is left; None where nobody can say."""
        try:
            return shutil.disk_usage(self.root).free
        except OSError:
            return None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder for writing, and sweep what dead writers left. Raises `BackupError` while another writes."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BackupError(f"{self.root} can't hold backups: {error.strerror}. Name another folder.") from error
        deadline = time.monotonic() + self.wait_s
        while not _locked(handle):
            if time.monotonic() >= deadline:
                os.close(handle)
                raise Busy(f"Another backup is being made in {self.root}; wait for it to end.")
            time.sleep(0.2)
        try:
            for prefix in (PARTIAL, REMOVING):
                for left in self.root.glob(f"{prefix}*"):
                    shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(handle)

    def begin(self, now: datetime) -> tuple[str, Path]:
        """A name for a new backup, and the folder to write its files into."""
        backup_id = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        folder = self.root / f"{PARTIAL}{backup_id}"
        folder.mkdir(mode=0o700)
        return backup_id, folder

    def finish(self, folder: Path, manifest: Manifest, keys: Keys) -> None:
        """Write the manifest and give the backup its name. A crash before the last step leaves no backup."""
        with os.fdopen(os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(encode(manifest, keys))
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(folder)
        named = self.root / manifest.backup_id
        folder.rename(named)
        _sync_folder(self.root)

    def discard(self, folder: Path) -> None:
        """Remove a backup that did not come to its end."""
        shutil.rmtree(folder, ignore_errors=True)

    def remove(self, backup_id: str) -> None:
        """Remove a backup; it is none from the first moment on."""
        away = self.root / f"{REMOVING}{backup_id}"
        (self.root / backup_id).rename(away)
        _sync_folder(self.root)
        shutil.rmtree(away)

    def all(self) -> list[Found]:
        """All backups, oldest first, also damaged ones. What was never finished is none."""
        if not self.root.is_dir():
            return []
        names = sorted(entry.name for entry in self.root.iterdir() if BACKUP_ID.fullmatch(entry.name))
        return [self.look(name) for name in names]

    def look(self, backup_id: str) -> Found:
        """One backup by its id, without reading its parts. Raises `BackupError` if there is none of this name."""
        if not BACKUP_ID.fullmatch(backup_id) or not self._is_there(backup_id):
            raise BackupError(f"There is no backup {backup_id!r} in {self.where}; see: headgate backup list")
        folder = self._folder(backup_id)
        try:
            manifest = decode((folder / FILE).read_bytes())
        except FileNotFoundError:
            return Found(backup_id, folder, None, "it has no manifest")
        except (OSError, BackupError) as error:
            return Found(backup_id, folder, None, str(error))
        problem = _shallow(folder, backup_id, manifest)
        checked_at, damage = _last_check(folder)
        return Found(backup_id, folder, manifest, problem or damage, checked_at)

    def newest(self) -> Found:
        """The newest backup that is whole. Raises `BackupError` if there is none."""
        whole = [(one.manifest.began_at, one) for one in self.all() if one.manifest is not None and not one.problem]
        if not whole:
            raise BackupError(f"There is no whole backup in {self.where}; make one: headgate backup create")
        return max(whole, key=lambda pair: pair[0])[1]

    def check(self, found: Found, keys: Keys, now: datetime, moved: Moved) -> list[str]:
        """Read every byte of a backup; returns what is wrong with it, and notes the result beside it.

        Raises `BackupError` if its key is not at hand, which is no damage.
        """
        problems = [found.problem] if found.manifest is None else []
        if (manifest := found.manifest) is not None:
            need_key(manifest, keys)
            if shallow := _shallow(found.folder, found.backup_id, manifest):
                problems.append(shallow)
            try:
                check_mac(manifest, keys)
            except BackupError as error:
                problems.append(str(error))
            for part in manifest.parts:
                packed = part is not manifest.database
                try:
                    for _ in content(
                        found.folder, part, manifest.backup_id, keys, manifest.key_id, packed=packed, moved=moved
                    ):
                        pass
                except BackupError as error:
                    problems.append(str(error))
        with suppress(OSError):  # a folder that can't be written to is no damage: the answer says what was found
            noted = {"checked_at": now.isoformat(), "problems": problems}
            self._keep_check(found.backup_id, orjson.dumps(noted))
        return list(dict.fromkeys(problems))

    def _folder(self, backup_id: str) -> Files:
        return self.root / backup_id

    def _is_there(self, backup_id: str) -> bool:
        return (self.root / backup_id).is_dir()

    def _keep_check(self, backup_id: str, content: bytes) -> None:
        fresh = self.root / backup_id / f"{CHECKED}.new"
        fresh.write_bytes(content)
        fresh.replace(self.root / backup_id / CHECKED)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def need_key(manifest: Manifest, keys: Keys) -> None:
    """Raise `BackupError` if the backup is encrypted and its key is not at hand."""
    try:
        if manifest.key_id is not None:
            keys.find(manifest.key_id)
    except SealError as error:
        raise BackupError(f"The backup {manifest.backup_id} is encrypted, and {error}.") from None


def _shallow(folder: Files, backup_id: str, manifest: Manifest) -> str:
    if manifest.backup_id != backup_id:
        return f"its manifest is that of {manifest.backup_id}"
    for part in manifest.parts:
        try:
            size = (folder / part.file).stat().st_size
        except OSError:
            return f"{part.file} is missing"
        if size != part.size_bytes:
            return f"{part.file} has {size} bytes instead of {part.size_bytes}"
    return ""


def _last_check(folder: Files) -> tuple[datetime | None, str]:
    try:
        noted = orjson.loads((folder / CHECKED).read_bytes())
        problems = [str(one) for one in noted["problems"]]
        return (None, problems[0]) if problems else (datetime.fromisoformat(noted["checked_at"]), "")
    except (OSError, ValueError, KeyError, TypeError):
        return None, ""


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
