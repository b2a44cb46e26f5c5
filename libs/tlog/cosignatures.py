"""Cosignatures of witnesses (C2SP tlog-cosignature): that somebody else saw a log only grow, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from libs.tlog import mldsa
from libs.tlog.mldsa import MAX_TIME_S, ML_DSA_44, TIME_BYTES
from libs.tlog.notes import (
    Checkpoint,
    Note,
    NoteProblem,
    check_name,
    key_id,
    key_text,
    read_key,
    read_private_key,
    read_second_key,
    signature_line,
)

COSIGNATURE = b"\x04"
SIGNATURE_BYTES = TIME_BYTES + 64  # the time, then Ed25519


def cosigned_text(text: str, time_s: int) -> bytes:
    """What a witness signs with Ed25519: a line of its own, the time in seconds since 1970, the whole checkpoint."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness's public key under its name: for cosignatures with Ed25519 (kind 4), or with ML-DSA-44 (kind 6)."""

    name: str
    public_key: bytes
    kind: bytes = COSIGNATURE

    @classmethod
    def read(cls, text: str) -> WitnessKey:
        """The key in ``<name>+<id in hex>+<base64>``. Raises `NoteProblem`."""
        form = "a witness's key reads <name>+<8 hex digits>+<base64>, of an Ed25519 or ML-DSA-44 cosigner (kind 4 or 6)"
        return cls(*read_key(text, (COSIGNATURE, ML_DSA_44), form))

    @property
    def key_id(self) -> bytes:
        """Four bytes that find a cosignature's key."""
        return key_id(self.name, self.public_key, self.kind)

    @property
    def text(self) -> str:
        """The key as people hand it on."""
        return key_text(self.name, self.public_key, self.kind)

    def time_of(self, note: Note) -> int | None:
        """When this witness cosigned a note, in seconds since 1970; None: it did not.

        Raises `NoteProblem` for a cosignature under its name that does not fit.
        """
        found = self._of(note)
        return None if found is None else found[0]

    def line_of(self, note: Note) -> str | None:
        """This witness's line of a note, verified; None: there is none. Raises `NoteProblem`, as `time_of`."""
        found = self._of(note)
        return None if found is None else signature_line(self.name, self.key_id + found[1])

    def _of(self, note: Note) -> tuple[int, bytes] | None:
        for name, signed_id, signature in note.signatures:
            if (name, signed_id) != (self.name, self.key_id):
                continue
            size = TIME_BYTES + mldsa.SIGNATURE_BYTES if self.kind == ML_DSA_44 else SIGNATURE_BYTES
            time_s = int.from_bytes(signature[:TIME_BYTES], "big")
            if len(signature) != size or not 0 < time_s <= MAX_TIME_S:
                raise NoteProblem(
                    f"the cosignature of {self.name} has no time: a time and {size - TIME_BYTES} bytes are wanted"
                )
            if not self._has_signed(note.text, time_s, signature):
                raise NoteProblem(f"the cosignature of {self.name} does not fit the checkpoint: it was altered")
            return time_s, signature
        return None

    def _has_signed(self, text: str, time_s: int, signature: bytes) -> bool:
        if self.kind == ML_DSA_44:
            return mldsa.time_of(signature, self.public_key, self.name, Checkpoint.read(text)) == time_s
        try:
            key = Ed25519PublicKey.from_public_bytes(self.public_key)
            key.verify(signature[TIME_BYTES:], cosigned_text(text, time_s))
        except InvalidSignature:
            return False
        return True


def witnessed_by(note: Note, keys: Sequence[WitnessKey]) -> dict[WitnessKey, int]:
    """Those of the witnesses that cosigned a note, and when. Raises `NoteProblem` for one that does not fit."""
    times = ((key, key.time_of(note)) for key in keys)
    return {key: time_s for key, time_s in times if time_s is not None}


class Cosigner:
    """Holds a witness's private keys; nothing gives them out. ``keys``: Ed25519, then ML-DSA-44 if there is one."""

    def __init__(self, name: str, key: Ed25519PrivateKey, second: MLDSA44PrivateKey | None = None) -> None:
        self._key, self._second = key, second
        form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        self.key = WitnessKey(check_name(name), key.public_key().public_bytes(*form))
        self.second = WitnessKey(name, second.public_key().public_bytes_raw(), ML_DSA_44) if second else None
        if second and not mldsa.fits(name):
            raise NoteProblem(f"with ML-DSA-44 a witness's name has at most {mldsa.MAX_NAME_BYTES} bytes")
        self.keys = [self.key, *([self.second] if self.second else [])]

    @classmethod
    def from_seed(cls, name: str, seed: bytes, second: bytes | None = None) -> Cosigner:
        """The keys of 32 secret bytes each."""
        key = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(name, key, MLDSA44PrivateKey.from_seed_bytes(second) if second else None)

    @classmethod
    def read(cls, name: str, pem: bytes, second: bytes | None = None) -> Cosigner:
        """The private keys in unencrypted PEM texts (PKCS 8). Raises `NoteProblem`."""
        return cls(name, read_private_key(pem), read_second_key(second) if second else None)

    def cosign(self, text: str, time_s: int) -> str:
        """The lines, one of each key, that say that this witness saw a checkpoint at this time.

        That of Ed25519 is the same for the same time. Raises `NoteProblem` for what is no checkpoint, and ValueError
        for one of a log whose name is too long for ML-DSA-44.
        """
        signature = time_s.to_bytes(TIME_BYTES, "big") + self._key.sign(cosigned_text(text, time_s))
        line = signature_line(self.key.name, self.key.key_id + signature)
        if self._second is None or self.second is None:
            return line
        signature = mldsa.sign(self._second, self.second.name, time_s, Checkpoint.read(text))
        return line + signature_line(self.second.name, self.second.key_id + signature)
