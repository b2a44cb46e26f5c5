"""Secrets at rest: encrypted with keys that lie outside the database, each bound to the place that it belongs to.

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits. A text is ``v1.<key id>.<base64url of nonce and
ciphertext>``; the key's id is the beginning of its SHA-256, so that a key that was replaced is still found. The place
is authenticated, not stored: a row that is copied elsewhere does not open.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.common.key_file import KEY_BYTES, FollowedKeys, VaultError, id_of_key, keys_in
from libs.common.settings import Settings

__all__ = ["Vault", "VaultError", "id_of_key", "key_of", "vault_of"]

NONCE_BYTES = 12
VERSION = "v1"


@dataclass(frozen=True, slots=True)
class Vault:
    """``keys``: the first encrypts, all of them open. Without one nothing is kept: there is no plain text to fall back
    to.
    """

    keys: Sequence[bytes] = field(default=(), repr=False)

    @classmethod
    def read(cls, path: Path) -> Vault:
        """The keys of a file. Raises `VaultError`."""
        return cls(keys_in(path))

    @classmethod
    def from_secret(cls, secret: str) -> Vault:
        """One key, derived (HKDF with SHA-256) from a secret of the installation."""
        derived = HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=b"headgate vault v1").derive(secret.encode())
        return cls((derived,))

    def seal(self, secret: str, place: str) -> str:
        """Encrypt a secret for one place, such as ``subscription/7/url``. Raises `VaultError` without a key."""
        key = next(iter(self.keys), None)
        if key is None:
            raise VaultError("No secret is kept here without a key: set HEADGATE_VAULT_KEY_FILE, then restart.")
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, secret.encode(), place.encode())
        return f"{VERSION}.{id_of_key(key)}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

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

    @property
    def key_ids(self) -> list[str]:
        """The ids of its keys, the one in use first."""
        return [id_of_key(key) for key in self.keys]


def key_of(sealed: str) -> str:
    """The id of the key that has encrypted it; empty for what the vault did not make."""
    version, _, rest = sealed.partition(".")
    return rest.partition(".")[0] if version == VERSION else ""


def vault_of(settings: Settings) -> Vault:
    """The vault of an installation: the keys of its file, followed while it changes, then the one that is derived.

    Raises `VaultError`, also if the file is named and not there: then nothing starts, rather than that another key
    encrypts.
    """
    secret = settings.vault_secret
    derived = Vault.from_secret(secret.get_secret_value()).keys if secret else ()
    return Vault(FollowedKeys(settings.vault_key_file, derived) if settings.vault_key_file else derived)
