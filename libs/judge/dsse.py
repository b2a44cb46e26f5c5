"""Signatures over statements: DSSE v1 envelopes (https://github.com/secure-systems-lab/dsse) with Ed25519."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_PURPOSE = b"headgate capsule key 1\n"


class KeyProblem(ValueError):
    """A key that can't be used; the message says why."""


def pre_authentication(payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding of the payload and its type."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies. ``key_id`` is the SHA-256 (hex) of its SubjectPublicKeyInfo in DER."""

    key_id: str
    pem: str
    key: Ed25519PublicKey

    @classmethod
    def of(cls, key: Ed25519PublicKey) -> PublicKey:
        """The key with its id."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        pem = key.public_bytes(serialization.Encoding.PEM, form).decode()
        return cls(sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest(), pem, key)

    @classmethod
    def read(cls, pem: bytes) -> PublicKey:
        """The key in a PEM text. Raises `KeyProblem`."""
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyProblem("this is no public key in PEM") from error
        if not isinstance(key, Ed25519PublicKey):
            raise KeyProblem("this is no Ed25519 key")
        return cls.of(key)

    def has_signed(self, payload: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over this payload."""
        try:
            self.key.verify(signature, pre_authentication(payload))
        except InvalidSignature:
            return False
        return True


class Signer:
    """Holds a private key; nothing gives it out."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey.of(key.public_key())

    @classmethod
    def fresh(cls) -> Signer:
        """A key that is made now and kept nowhere: what it signed stays verifiable by its public key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_secret(cls, secret: str) -> Signer:
        """The key that belongs to a secret of an installation, the same each time."""
        return cls(Ed25519PrivateKey.from_private_bytes(sha256(_PURPOSE + secret.encode()).digest()))

    @classmethod
    def read(cls, pem: bytes) -> Signer:
        """The private key in an unencrypted PEM text (PKCS 8). Raises `KeyProblem`."""
        try:
            key = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyProblem("this is no private key in PEM without a password") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyProblem("this is no Ed25519 key; make one with: openssl genpkey -algorithm ed25519")
        return cls(key)

    def sign(self, payload: bytes) -> bytes:
        """The signature (64 bytes) over a payload."""
        return self._key.sign(pre_authentication(payload))


def public_keys(*keys: PublicKey) -> Mapping[str, PublicKey]:
    """Keys by their ids."""
    return {key.key_id: key for key in keys}


def is_envelope(value: Any) -> bool:
    """Whether this is an envelope with one signature, and nothing beside it."""
    if not isinstance(value, dict) or sorted(value) != ["payload", "payloadType", "signatures"]:
        return False
    signatures = value["signatures"]
    return (
        value["payloadType"] == PAYLOAD_TYPE
        and isinstance(value["payload"], str)
        and isinstance(signatures, list)
        and len(signatures) == 1
        and isinstance(signatures[0], dict)
        and sorted(signatures[0]) == ["keyid", "sig"]
        and all(isinstance(held, str) for held in signatures[0].values())
    )
