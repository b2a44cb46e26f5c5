"""The file of keys that encrypt secrets: read, followed while it changes, and changed itself in one step.

One key a line in base64 (32 bytes each), the one in use first; ``#`` begins a remark. Crash here means: the file is as
it was before, or as it is after.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import overload

from libs.common.telemetry import log

KEY_BYTES = 32
MAX_KEYS = 20
_PREPARED = "prepared"


class VaultError(Exception):
    """A secret can't be kept or opened; the message says what to do and holds no secret."""


def id_of_key(key: bytes) -> str:
    """The beginning of the SHA-256 of a key, which tells nothing of it."""
    return sha256(b"headgate vault key\n" + key).hexdigest()[:16]


def keys_in(path: Path) -> tuple[bytes, ...]:
    """The keys of a file, the one in use first. Raises `VaultError`."""
    return _keys(_lines(path), path)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VaultError(f"The key file {path.name} can't be read: {error}.") from None


def _keys(lines: Sequence[str], path: Path) -> tuple[bytes, ...]:
    keys = []
    for number, line in enumerate(lines, start=1):
        if not (text := line.partition("#")[0].strip()):
            continue
        try:
            key = base64.b64decode(text, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise VaultError(f"Line {number} of the key file {path.name} is no key: 32 bytes in base64 are wanted.")
        keys.append(key)
    if not 0 < len(keys) <= MAX_KEYS:
        raise VaultError(f"The key file {path.name} must hold 1 to {MAX_KEYS} keys.")
    return tuple(keys)


class FollowedKeys(Sequence[bytes]):
    """The keys of a file as it is now, then ``more``: it is read again when it was changed.

    While it can't be read, or holds what is no key, the keys of before go on: nothing stops working because somebody
    mistyped. Raises `VaultError` when it is made of such a file.
    """

    def __init__(self, path: Path, more: Sequence[bytes] = ()) -> None:
        self._path, self._more = path, tuple(more)
        self._seen = _stamp(path)
        self._keys = (*keys_in(path), *self._more)

    def now(self) -> tuple[bytes, ...]:
        """The keys of this moment, at least one."""
        stamp = _stamp(self._path)
        if stamp != self._seen:
            self._seen = stamp  # taken before the file is read: what changes meanwhile is seen the next time
            try:
                self._keys = (*keys_in(self._path), *self._more)
            except VaultError as error:
                log.warning("the keys of before go on", error=str(error))
            else:
                log.info("keys read again", key_ids=[id_of_key(key) for key in self._keys])
        return self._keys

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.now())

    def __len__(self) -> int:
        return len(self.now())

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        return self.now()[index]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What differs when a file was changed or replaced; None: it can't be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def prepare(path: Path, now: datetime) -> str:
    """Add a new key that only opens, so that every copy of the file can have it before it is used; its id.

    Raises `VaultError` if there is one that was prepared already.
    """
    lines = _lines(path)
    keys = _keys(lines, path)
    if _prepared(lines) is not None:
        raise VaultError(f"The key file {path.name} has a key that is prepared already; rotate to it.")
    _require_room(keys, path)
    key = secrets.token_bytes(KEY_BYTES)
    _write(path, [*lines, f"{_text(key)}  # {_PREPARED} {now:%Y-%m-%d}"])
    return id_of_key(key)


def rotate(path: Path, now: datetime) -> str:
    """Put a key on top, so that it is in use from now on: the prepared one, else a new one; its id.

    The keys before stay, since they open what they have encrypted. Where there is no file it is made. Raises
    `VaultError`.
    """
    lines = _lines(path) if path.exists() else []
    at = _prepared(lines)
    if at is None:
        _require_room(_keys(lines, path) if lines else (), path)
        key = secrets.token_bytes(KEY_BYTES)
    else:
        key = _keys([lines.pop(at)], path)[0]
    _write(path, [f"{_text(key)}  # in use since {now:%Y-%m-%d}", *lines])
    return id_of_key(key)


def remove(path: Path, key_id: str) -> None:
    """Take a key out. Raises `VaultError` for the one in use, and for one that is not there."""
    lines = _lines(path)
    keys = _keys(lines, path)
    if id_of_key(keys[0]) == key_id:
        raise VaultError(f"The key {key_id} is in use; rotate first.")
    kept = [
        line for line in lines if not (line.partition("#")[0].strip() and id_of_key(_keys([line], path)[0]) == key_id)
    ]
    if len(kept) == len(lines):
        raise VaultError(f"The key file {path.name} has no key {key_id}.")
    _write(path, kept)


def _prepared(lines: Sequence[str]) -> int | None:
    marked = (number for number, line in enumerate(lines) if line.partition("#")[2].strip().startswith(_PREPARED))
    return next(marked, None)


def _require_room(keys: Sequence[bytes], path: Path) -> None:
    if len(keys) >= MAX_KEYS:
        raise VaultError(f"The key file {path.name} holds {MAX_KEYS} keys, as many as it may; remove old ones first.")


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _write(path: Path, lines: Sequence[str]) -> None:
    """Replace the file in one step, for the owner it had; a new one is for its owner alone."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        before = path.stat() if path.exists() else None
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            if before is not None:
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), before.st_mode & 0o777)
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise VaultError(f"The key file {path.name} can't be written: {error.strerror}.") from None
