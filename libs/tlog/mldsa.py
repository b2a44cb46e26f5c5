"""Timestamped ML-DSA-44 signatures of a checkpoint (C2SP tlog-cosignature), which quantum computers can't forge."""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

ML_DSA_44 = b"\x06"
PUBLIC_BYTES, SIGNATURE_BYTES, TIME_BYTES = 1312, 2420, 8
MAX_NAME_BYTES = 255
MAX_TIME_S = 2**63 - 1
_LABEL = b"subtree/v1\n\0"


class Tree(Protocol):
    """What is signed of a checkpoint: its lines below the third are not."""

    @property
    def origin(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def root(self) -> bytes: ...


def fits(name: str) -> bool:
    """Whether a log or a signer of this name can be signed, or sign: its length is told in one byte."""
    return 1 <= len(name.encode()) <= MAX_NAME_BYTES


def signed_message(name: str, time_s: int, tree: Tree) -> bytes:
    """What is signed: label, the signer's name, the time, the log's name, 0, size and root; numbers are big-endian.

    Raises ValueError for a name that does not fit.
    """
    numbers = bytes(8) + tree.size.to_bytes(8, "big")
    return _LABEL + _counted(name) + time_s.to_bytes(8, "big") + _counted(tree.origin) + numbers + tree.root


def _counted(text: str) -> bytes:
    if not fits(text):
        raise ValueError(f"a name has 1 to {MAX_NAME_BYTES} bytes here")
    packed = text.encode()
    return bytes([len(packed)]) + packed


def sign(key: MLDSA44PrivateKey, name: str, time_s: int, tree: Tree) -> bytes:
    """Time and signature, another one each time. Raises ValueError for a name that does not fit."""
    return time_s.to_bytes(TIME_BYTES, "big") + key.sign(signed_message(name, time_s, tree))


def time_of(signature: bytes, public_key: bytes, name: str, tree: Tree) -> int | None:
    """When this key signed the tree, in seconds since 1970 (0: it does not say); None: it did not."""
    time_s = int.from_bytes(signature[:TIME_BYTES], "big")
    if len(signature) != TIME_BYTES + SIGNATURE_BYTES or time_s > MAX_TIME_S:
        return None
    try:
        key = MLDSA44PublicKey.from_public_bytes(public_key)
        key.verify(signature[TIME_BYTES:], signed_message(name, time_s, tree))
    except (InvalidSignature, ValueError):
        return None
    return time_s
