"""Secrets at rest: encrypted with keys that lie outside the database, each bound to the place that it belongs to.

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits. A text is ``v1.<key id>.<base64url of nonce and
ciphertext>``; the key's id is the beginning of its SHA-256, so that a key that was replaced is still found. The place
is authenticated, not stored: a row that is copied elsewhere does not open.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.common.settings import Settings

KEY_BYTES, NONCE_BYTES = 32, 12
MAX_KEYS = 20
VERSION = "v1"


class VaultError(Exception):
    """A secret can't be kept or opened; the message says what to do and holds no secret."""


@dataclass(frozen=True, slots=True)
class Vault:
    """``keys``: the first encrypts, all of them open. Without one nothing is kept: there is no plain text to fall back
    to.
    """

    keys: Sequence[bytes] = field(default=(), repr=False)

    @classmethod
    def read(cls, path: Path) -> Vault:
        """Keys of a file, one a line in base64 (32 bytes each), the one in use first; ``#`` begins a remark.

        Raises `VaultError`.
        """
        try:
            lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise VaultError(f"The key file {path.name} can't be read: {error}.") from None
        keys = []
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            try:
                key = base64.b64decode(line, altchars=b"-_", validate=True)
            except (binascii.Error, ValueError):
                key = b""
            if len(key) != KEY_BYTES:
                raise VaultError(f"Line {number} of the key file {path.name} is no key: 32 bytes in base64 are wanted.")
            keys.append(key)
        if not 0 < len(keys) <= MAX_KEYS:
            raise VaultError(f"The key file {path.name} must hold 1 to {MAX_KEYS} keys.")
        return cls(tuple(keys))

    @classmethod
    def from_secret(cls, secret: str) -> Vault:
        """One key, derived (HKDF with SHA-256) from a secret of the installation."""
        derived = HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=b"headgate vault v1").derive(secret.encode())
        return cls((derived,))

    def seal(self, secret: str, place: str) -> str:
        """Encrypt a secret for one place, such as ``subscription/7/url``. Raises `VaultError` without a key."""
        if not self.keys:
            raise VaultError("No secret is kept here without a key: set HEADGATE_VAULT_KEY_FILE, then restart.")
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self.keys[0]).encrypt(nonce, secret.encode(), place.encode())
        return f"{VERSION}.{id_of_key(self.keys[0])}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, place: str) -> str:
        """The secret again. Raises `VaultError` if its key is gone, or it was altered or belongs elsewhere."""
        version, _, rest = sealed.partition(".")
        key_id, _, text = rest.partition(".")
        key = next((key for key in self.keys if id_of_key(key) == key_id), None)
        if version != VERSION or key is None:
            raise VaultError(f"The key {key_id[:16]} of this secret is not in the key file; add it again.")
        try:
            content = base64.b64decode(text, altchars=b"-_", validate=True)
            return AESGCM(key).decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, ValueError):
            raise VaultError("This secret was altered, or it belongs to something else; enter it again.") from None

    def is_current(self, sealed: str) -> bool:
        """Whether the key in use has encrypted it; else sealing it anew lets the older key go."""
        return bool(self.keys) and sealed.startswith(f"{VERSION}.{id_of_key(self.keys[0])}.")


def id_of_key(key: bytes) -> str:
    """The beginning of the SHA-256 of a key, which tells nothing of it."""
    return sha256(b"headgate vault key\n" + key).hexdigest()[:16]


def vault_of(settings: Settings) -> Vault:
    """The vault of an installation: the keys of its file, then the one that is derived. Raises `VaultError`."""
    filed = Vault.read(settings.vault_key_file).keys if settings.vault_key_file else ()
    secret = settings.vault_secret
    derived = Vault.from_secret(secret.get_secret_value()).keys if secret else ()
    return Vault((*filed, *derived))
