"""Signed reports: a DSSE envelope around an in-toto statement that says of which report, for what and when.

A signature over a report's bytes alone proves too little: whoever may send at all could send an old report again for
another version. So the statement's predicate names site, subject, version, format, part and time, and all must be what
the report is sent as. ``cosign attest-blob`` writes such envelopes, ``headgate report send --sign-with`` does, too.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from libs.judge.checks import parse_time
from libs.judge.dsse import PAYLOAD_TYPE, KeyProblem, pre_authentication

PREDICATE = "https://headgate.dev/report/v1"
STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
MAX_ENVELOPE_CHARS = 16_384
MAX_SIGNATURES = 10
_CURVE = "secp256r1"
VerifyingKey = Ed25519PublicKey | ec.EllipticCurvePublicKey
SigningKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


class BadSignature(ValueError):
    """What came beside a report proves nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Sent:
    """As what a report is sent: what the statement about it must say. ``sha256`` is in hex."""

    site: str
    subject: str
    version: str
    format: str
    part: str
    sha256: str


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key under the name that verdicts show. ``key_id`` is the SHA-256 (hex) of its SubjectPublicKeyInfo in DER."""

    name: str
    key_id: str
    key: VerifyingKey


def read_key(pem: str, name: str = "") -> TrustedKey:
    """The public key in a PEM text. Raises `KeyProblem` for what is no Ed25519 or ECDSA P-256 key."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyProblem("this is no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey) and not (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == _CURVE
    ):
        raise KeyProblem("this is no Ed25519 or ECDSA P-256 key")
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return TrustedKey(name, sha256(der).hexdigest(), key)


def read_signing_key(pem: bytes) -> SigningKey:
    """The private key in an unencrypted PEM text. Raises `KeyProblem`."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyProblem("this is no private key in PEM without a password") from error
    if isinstance(key, Ed25519PrivateKey) or (isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == _CURVE):
        return key
    raise KeyProblem("this is no Ed25519 or ECDSA P-256 key; make one with: openssl genpkey -algorithm ed25519")


def sign(key: SigningKey, sent: Sent, made_at: datetime, name: str) -> str:
    """The envelope about a report that is sent so, as base64: what goes beside it. ``name`` is the file's."""
    predicate = {
        "site": sent.site,
        "subject": sent.subject,
        "version": sent.version,
        "format": sent.format,
        "part": sent.part,
        "made_at": made_at.astimezone(UTC).isoformat(),
    }
    subject = [{"name": name, "digest": {"sha256": sent.sha256}}]
    statement = {"_type": STATEMENTS[0], "subject": subject, "predicateType": PREDICATE, "predicate": predicate}
    payload = json.dumps(statement, sort_keys=True).encode()
    signed = pre_authentication(payload)
    signature = key.sign(signed) if isinstance(key, Ed25519PrivateKey) else key.sign(signed, ec.ECDSA(hashes.SHA256()))
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}],
    }
    return base64.b64encode(json.dumps(envelope).encode()).decode()


def verify(envelope: str, sent: Sent, keys: Sequence[TrustedKey]) -> tuple[TrustedKey, datetime]:
    """Which key signed that this report is sent so, and when it was made by that statement. Raises `BadSignature`.

    ``envelope``: base64 of a DSSE envelope, or of a Sigstore bundle that holds one.
    """
    payload, signatures = _opened(envelope)
    signer = next((key for key in keys for one in signatures if _has_signed(key, payload, one)), None)
    if signer is None:
        raise BadSignature("The signature is of none of the keys that are trusted here")
    return signer, _said(payload, sent)


def _opened(envelope: str) -> tuple[bytes, list[bytes]]:
    if len(envelope) > MAX_ENVELOPE_CHARS:
        raise BadSignature(f"The signature has more than {MAX_ENVELOPE_CHARS} letters")
    try:
        held = json.loads(base64.b64decode(envelope, validate=True))
        held = held.get("dsseEnvelope", held)
        if held["payloadType"] != PAYLOAD_TYPE or not 0 < len(held["signatures"]) <= MAX_SIGNATURES:
            raise BadSignature(f"The signature must be of a payload of the type {PAYLOAD_TYPE}")
        payload = base64.b64decode(held["payload"], validate=True)
        return payload, [base64.b64decode(one["sig"], validate=True) for one in held["signatures"]]
    except BadSignature:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise BadSignature("The signature is no DSSE envelope in base64") from None


def _has_signed(key: TrustedKey, payload: bytes, signature: bytes) -> bool:
    signed = pre_authentication(payload)
    try:
        if isinstance(key.key, Ed25519PublicKey):
            key.key.verify(signature, signed)
        else:
            key.key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _said(payload: bytes, sent: Sent) -> datetime:
    """When the report was made. Raises `BadSignature` if the statement is about another report or use of it."""
    try:
        statement = json.loads(payload)
        if statement["_type"] not in STATEMENTS or statement["predicateType"] != PREDICATE:
            raise BadSignature(f"What is signed is no in-toto statement with the predicate {PREDICATE}")
        digests = [one["digest"].get("sha256") for one in statement["subject"]]
        predicate: Mapping[str, Any] = statement["predicate"]
        told = {name: predicate.get(name) for name in ("site", "subject", "version", "format", "part")}
        made_at = parse_time(predicate.get("made_at"))
    except BadSignature:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadSignature("What is signed is no in-toto statement about a report") from None
    if sent.sha256 not in digests:
        raise BadSignature("What is signed is another report: its SHA-256 differs")
    for name, value in told.items():
        if value != getattr(sent, name):
            wanted = getattr(sent, name)
            raise BadSignature(f"It is signed for the {name} {str(value)[:80]!r}, and sent for {wanted[:80]!r}")
    if made_at is None:
        raise BadSignature("What is signed does not say when the report was made (made_at)")
    return made_at
