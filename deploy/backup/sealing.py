"""Encryption of a backup's files: AES-256-GCM in chunks, in order, with an end that can't be cut off.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015), as age uses it: each chunk's nonce is its number
(11 bytes) and a last byte that is 1 only for the last chunk. Each file has a key of its own, derived (HKDF with
SHA-256) from the installation's key, a random salt, and the names of the backup and the file: chunks that are moved,
left out, repeated, or come from another file don't open.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.common.key_file import KEY_BYTES, id_of_key

MAGIC = b"headgate-backup-1\n"
CHUNK_BYTES = 1024 * 1024
SALT_BYTES, TAG_BYTES = 16, 16
_NUMBER_BYTES = 11


class SealError(Exception):
    """A sealed file can't be opened; the message says why."""


@dataclass(frozen=True, slots=True)
class Keys:
    """``all``: the first seals, each opens. Empty: backups are not encrypted."""

    all: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def current_id(self) -> str | None:
        """The id of the key in use."""
        return id_of_key(self.all[0]) if self.all else None

    def find(self, wanted: str) -> bytes:
        """The key of this id. Raises `SealError`."""
        for key in self.all:
            if id_of_key(key) == wanted:
                return key
        raise SealError(f"its key {wanted} is not at hand: name the file that holds it in HEADGATE_BACKUP_KEY_FILE")


def mac_key(keys: Keys, wanted: str, backup_id: str) -> bytes:
    """The key of a manifest's mac."""
    return _derive(keys.find(wanted), b"", f"manifest\n{backup_id}")


def _derive(key: bytes, salt: bytes, info: str) -> bytes:
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=salt or None, info=b"headgate backup v1\n" + info.encode()).derive(key)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_NUMBER_BYTES, "big") + bytes([last])


class Sealer:
    """Seals one file: `begin`, then `add` as often as there is content, then `end`; each returns what is to be written.

    ``place`` names the backup and the file.
    """

    def __init__(self, key: bytes, place: str) -> None:
        self._salt = os.urandom(SALT_BYTES)
        self._cipher = AESGCM(_derive(key, self._salt, place))
        self._held = bytearray()
        self._number = 0

    def begin(self) -> bytes:
        """The head of the file."""
        return MAGIC + self._salt

    def add(self, data: bytes) -> bytes:
        """A chunk is sealed once more than it is there, since only then is it known not to be the last."""
        self._held += data
        sealed = bytearray()
        while len(self._held) > CHUNK_BYTES:
            sealed += self._seal(bytes(self._held[:CHUNK_BYTES]), last=False)
            del self._held[:CHUNK_BYTES]
        return bytes(sealed)

    def end(self) -> bytes:
        """The last chunk, which may be empty."""
        return self._seal(bytes(self._held), last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> bytes:
        sealed = self._cipher.encrypt(_nonce(self._number, last=last), chunk, None)
        self._number += 1
        return sealed


def opened(pieces: Iterator[bytes], key: bytes, place: str) -> Iterator[bytes]:
    """The content of a sealed file, chunk by chunk: each is authentic when it is given, all only at the end.

    Raises `SealError` at the first chunk that was altered, moved or cut off.
    """
    held, head = bytearray(), len(MAGIC) + SALT_BYTES
    while len(held) < head and (piece := next(pieces, b"")):
        held += piece
    if not held.startswith(MAGIC) or len(held) < head:
        raise SealError("it does not begin like a sealed file")
    cipher = AESGCM(_derive(key, bytes(held[len(MAGIC) : head]), place))
    del held[:head]
    number, whole = 0, CHUNK_BYTES + TAG_BYTES
    for piece in pieces:
        held += piece
        while len(held) > whole:
            yield _open(cipher, number, bytes(held[:whole]), last=False)
            del held[:whole]
            number += 1
    yield _open(cipher, number, bytes(held), last=True)


def _open(cipher: AESGCM, number: int, chunk: bytes, *, last: bool) -> bytes:
    try:
        return cipher.decrypt(_nonce(number, last=last), chunk, None)
    except InvalidTag:
        what = "its end is missing, or the last chunk was altered" if last else "the chunk was altered or moved"
        raise SealError(f"chunk {number} of {CHUNK_BYTES} bytes does not open: {what}") from None
