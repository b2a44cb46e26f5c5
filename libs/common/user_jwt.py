"""NATS' own signed claims (JWTs of the kind ``ed25519-nkey``): read those of the server, write those of a user.

The server asks by *auth callout* who a stranger is, and lets in whom an account key of ours has signed for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import nkeys  # type: ignore[import-untyped]
import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_HEADER = base64.urlsafe_b64encode(b'{"typ":"JWT","alg":"ed25519-nkey"}').rstrip(b"=")


class BadClaims(ValueError):
    """What came is no claim that its own issuer signed."""


def account_seed(secret: str) -> str:
    """The seed (``SA…``) of the account key of an installation, derived from its one secret."""
    raw = hmac.digest(secret.encode(), b"nats/account", "sha256")
    return str(nkeys.encode_seed(raw, nkeys.PREFIX_BYTE_ACCOUNT).decode())


def public_key(seed: str) -> str:
    """The public key (``A…``) of a seed. Raises `ValueError` if it is none."""
    return str(_pair(seed).public_key.decode())


def sign(seed: str, claims: dict[str, Any]) -> str:
    """The claims as a JWT of this key; ``iss`` and ``jti`` are set here."""
    pair = _pair(seed)
    named = {**claims, "iss": pair.public_key.decode()}
    named["jti"] = base64.b32encode(hashlib.sha256(orjson.dumps(named)).digest()).rstrip(b"=").decode()
    body = _HEADER + b"." + base64.urlsafe_b64encode(orjson.dumps(named)).rstrip(b"=")
    return (body + b"." + base64.urlsafe_b64encode(pair.sign(body)).rstrip(b"=")).decode()


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


def _pair(seed: str) -> Any:
    try:
        return nkeys.from_seed(seed.encode())
    except nkeys.NkeysError as error:
        raise ValueError(f"not an account seed: {error!r}") from error
