"""NATS' own signed claims (JWTs of the kind ``ed25519-nkey``): read those of the server, write those of a user.

The server asks by *auth callout* who a stranger is, and lets in whom an account key of ours has signed for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# How NATS writes keys (github.com/nats-io/nkeys): base32 without padding of what it is, 32 bytes and a CRC-16 (XMODEM,
# the low byte first). The package that does it comes without a wheel, so that installing it would resolve its builder.
_ACCOUNT_SEED, _ACCOUNT = b"\x90\x00", b"\x00"  # SA… and A…
_HEADER = base64.urlsafe_b64encode(b'{"typ":"JWT","alg":"ed25519-nkey"}').rstrip(b"=")


class BadClaims(ValueError):
    """What came is no claim that its own issuer signed."""


def account_seed(secret: str) -> str:
    """The seed (``SA…``) of the account key of an installation, derived from its one secret."""
    raw = hmac.digest(secret.encode(), b"nats/account", "sha256")
    return _written(_ACCOUNT_SEED + raw)


def public_key(seed: str) -> str:
    """The public key (``A…``) of a seed. Raises `ValueError` if it is none."""
    return _written(_ACCOUNT + _key(seed).public_key().public_bytes_raw())


def sign(seed: str, claims: dict[str, Any]) -> str:
    """The claims as a JWT of this key; ``iss`` and ``jti`` are set here."""
    named = {**claims, "iss": public_key(seed)}
    named["jti"] = base64.b32encode(hashlib.sha256(orjson.dumps(named)).digest()).rstrip(b"=").decode()
    body = _HEADER + b"." + base64.urlsafe_b64encode(orjson.dumps(named)).rstrip(b"=")
    return (body + b"." + base64.urlsafe_b64encode(_key(seed).sign(body)).rstrip(b"=")).decode()


def read(token: bytes) -> dict[str, Any]:
    """The claims of a JWT whose signature is that of its own issuer. Raises `BadClaims`."""
    try:
        header, payload, signature = token.split(b".")
        if orjson.loads(_unpadded(header)).get("alg") != "ed25519-nkey":
            raise BadClaims("not signed with ed25519-nkey")
        claims: dict[str, Any] = orjson.loads(_unpadded(payload))
        # A key in base32: one byte for its kind, 32 of the key, two of a checksum. 56 characters, so without padding.
        raw = base64.b32decode(claims["iss"])[1:33]
        Ed25519PublicKey.from_public_bytes(raw).verify(_unpadded(signature), header + b"." + payload)
    except BadClaims:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, InvalidSignature) as error:
        raise BadClaims(f"can't be read: {error!r}") from error
    return claims


def _unpadded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def _written(what: bytes) -> str:
    return base64.b32encode(what + binascii.crc_hqx(what, 0).to_bytes(2, "little")).rstrip(b"=").decode()


def _key(seed: str) -> Ed25519PrivateKey:
    try:
        what = base64.b32decode(seed + "=" * (-len(seed) % 8))[:-2]
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not an account seed: {error}") from None
    if len(what) != len(_ACCOUNT_SEED) + 32 or not what.startswith(_ACCOUNT_SEED) or _written(what) != seed:
        raise ValueError("not an account seed")
    return Ed25519PrivateKey.from_private_bytes(what[len(_ACCOUNT_SEED) :])
