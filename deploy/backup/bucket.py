"""Backups in a bucket: ``s3://NAME/PREFIX``. A backup is written into a folder of this machine first, then brought
there, its manifest last: without that there is no backup.

Nothing of a bucket can be locked, and nothing needs to be: each backup has a name of its own. What was broken off lies
there without a manifest and is swept when it is a day old. Who we are is said by the environment (``AWS_…``) alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore, from_url

from deploy.backup.manifest import BACKUP_ID, FILE, BackupError, Manifest, encode
from deploy.backup.sealing import Keys
from deploy.backup.store import CHECKED, Found, Store

SCHEMES = ("s3://",)
BROKEN_OFF = timedelta(hours=24)  # no backup takes as long; another machine may be at it until then
FAILURES = (BaseError, OSError)


def is_bucket(place: str) -> bool:
    """Whether this is the address of a bucket and not a folder."""
    return place.startswith(SCHEMES)


def open_bucket(address: str) -> ObjectStore:
    """The bucket at an address, as the environment's credentials reach it. Raises `BackupError`."""
    try:
        return from_url(address, client_options={"allow_http": _plain_http()})
    except (BaseError, ValueError) as error:
        raise BackupError(f"{address} is no bucket that can be used: {_first_line(error)}.") from None


def _plain_http() -> bool:
    """Only where the endpoint that was given says so."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
    return endpoint.startswith("http://")


def _first_line(error: Exception) -> str:
    """Without what a library adds for its makers, in which requests may stand."""
    return str(error).strip().partition("\n")[0].rstrip(".")


@dataclass(frozen=True)
class BucketFolder:
    """A backup's files in a bucket, read as those of a folder are. Raises OSError like it."""

    bucket: ObjectStore
    address: str
    path: str

    def __truediv__(self, name: str) -> BucketFolder:
        return BucketFolder(self.bucket, self.address, f"{self.path}/{name}")

    def __str__(self) -> str:
        return f"{self.address.rstrip('/')}/{self.path}"

    def stat(self) -> Any:
        """Its size as ``st_size``."""
        return SimpleNamespace(st_size=self._ask(obstore.head)["size"])

    def read_bytes(self) -> bytes:
        """A small file."""
        return bytes(self._ask(obstore.get).bytes())

    def open(self, _mode: str = "rb") -> IO[bytes]:
        """A file of any size, read piece by piece."""
        return cast(IO[bytes], _Reading(self._ask(obstore.open_reader)))

    def _ask(self, question: Any) -> Any:
        try:
            return question(self.bucket, self.path)
        except BaseError as error:
            raise OSError(0, _first_line(error)) from None


class _Reading:
    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def read(self, count: int) -> bytes:
        try:
            return bytes(self._reader.read(count))
        except BaseError as error:
            raise OSError(0, _first_line(error)) from None


@dataclass(frozen=True)
class BucketStore(Store):
    """A `Store` whose backups lie in a bucket; ``root`` is where they are put together, and where rehearsals work."""

    bucket: ObjectStore | None = None
    address: str = ""

    place = "s3"

    @property
    def where(self) -> str:
        """For people."""
        return self.address

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One at a time on this machine; sweeps what was broken off here, and a day ago in the bucket."""
        with super().writing():
            with _told(self.address):
                self._sweep(datetime.now(UTC) - BROKEN_OFF)
            yield

    def finish(self, folder: Path, manifest: Manifest, keys: Keys) -> None:
        """Bring the parts there, then the manifest. A crash before the last step leaves no backup."""
        with _told(self.address):
            for part in manifest.parts:
                obstore.put(self._there, f"{manifest.backup_id}/{part.file}", folder / part.file)
            try:
                obstore.put(self._there, f"{manifest.backup_id}/{FILE}", encode(manifest, keys), mode="create")
            except AlreadyExistsError:
                raise BackupError(f"There is a backup {manifest.backup_id} already; make another one.") from None
        shutil.rmtree(folder, ignore_errors=True)

    def remove(self, backup_id: str) -> None:
        """Remove a backup; it is none from the first moment on."""
        with _told(self.address):
            obstore.delete(self._there, f"{backup_id}/{FILE}")
            self._remove_all(backup_id)

    def all(self) -> list[Found]:
        """All backups that were brought there whole, oldest first."""
        with _told(self.address):
            return [self.look(name) for name, files in sorted(self._lying().items()) if FILE in files]

    def _folder(self, backup_id: str) -> BucketFolder:
        return BucketFolder(self._there, self.address, backup_id)

    def _is_there(self, backup_id: str) -> bool:
        with _told(self.address):
            try:
                obstore.head(self._there, f"{backup_id}/{FILE}")
            except FileNotFoundError:
                return False
            return True

    def _keep_check(self, backup_id: str, content: bytes) -> None:
        try:
            obstore.put(self._there, f"{backup_id}/{CHECKED}", content)
        except BaseError as error:
            raise OSError(0, _first_line(error)) from None

    def free_bytes(self) -> int | None:
        """Nobody can say."""
        return None

    @property
    def _there(self) -> ObjectStore:
        assert self.bucket is not None  # noqa: S101  a store of a bucket is made with one
        return self.bucket

    def _lying(self) -> dict[str, dict[str, datetime]]:
        """What lies there, by the name of the backup: each file with when it was written."""
        found: dict[str, dict[str, datetime]] = {}
        for batch in obstore.list(self._there):
            for one in batch:
                name, _, file = one["path"].partition("/")
                if BACKUP_ID.fullmatch(name) and file:
                    found.setdefault(name, {})[file] = one["last_modified"]
        return found

    def _sweep(self, before: datetime) -> None:
        for name, files in self._lying().items():
            if FILE not in files and max(files.values()) < before:
                self._remove_all(name)

    def _remove_all(self, backup_id: str) -> None:
        paths = [one["path"] for batch in obstore.list(self._there, prefix=backup_id) for one in batch]
        for path in paths:
            obstore.delete(self._there, path)


@contextmanager
def _told(address: str) -> Iterator[None]:
    """What the bucket refuses as a sentence."""
    try:
        yield
    except FAILURES as error:
        raise BackupError(
            f"{address} does not do its part ({_first_line(error)}): look at the address, AWS_ENDPOINT_URL and "
            "the credentials in the environment."
        ) from None
