"""Signatures and identity tokens beside reports: what they prove, and all that they don't."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

from libs.judge.attestation import (
    PREDICATE,
    BadSignature,
    Sent,
    SigningKey,
    TrustedKey,
    read_key,
    read_signing_key,
    sign,
    verify,
)
from libs.judge.dsse import PAYLOAD_TYPE, KeyProblem
from libs.judge.identity import Issuer, read_keys, verify_token
from tests.unit.governance.samples import NOW

SENT = Sent("berlin", "app", "1.0", "junit", "unit", "ab" * 32)
ED, EC = Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())


def pem_of(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, form).decode())


KEYS = [read_key(pem_of(ED), "key:berlin/ed"), read_key(pem_of(EC), "key:global/ec")]


def repacked(envelope: str, change: Callable[[dict[str, Any]], object]) -> str:
    held = json.loads(base64.b64decode(envelope))
    change(held)
    return base64.b64encode(json.dumps(held).encode()).decode()


@pytest.mark.parametrize(("key", "name"), [(ED, "key:berlin/ed"), (EC, "key:global/ec")])
def test_a_signature_says_who_and_when(key: SigningKey, name: str) -> None:
    signer, made_at = verify(sign(key, SENT, NOW, "unit.xml"), SENT, KEYS)
    assert (signer.name, made_at) == (name, NOW)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"site": "paris"}, "signed for the site 'berlin', and sent for 'paris'"),
        ({"subject": "other"}, "signed for the subject 'app'"),
        ({"version": "2.0"}, "signed for the version '1.0', and sent for '2.0'"),
        ({"format": "nunit"}, "signed for the format 'junit'"),
        ({"part": "e2e"}, "signed for the part 'unit', and sent for 'e2e'"),
        ({"sha256": "cd" * 32}, "another report"),
    ],
)
def test_a_signed_report_proves_nothing_as_another_one(change: dict[str, str], said: str) -> None:
    with pytest.raises(BadSignature, match=said):
        verify(sign(ED, SENT, NOW, "unit.xml"), replace(SENT, **change), KEYS)


def test_only_a_trusted_key_counts_and_no_byte_may_change() -> None:
    envelope = sign(ED, SENT, NOW, "unit.xml")
    with pytest.raises(BadSignature, match="none of the keys"):
        verify(envelope, SENT, KEYS[1:])
    with pytest.raises(BadSignature, match="none of the keys"):
        verify(envelope, SENT, [])

    def later(held: dict[str, Any]) -> None:
        statement = json.loads(base64.b64decode(held["payload"]))
        statement["predicate"]["made_at"] = "2027-01-01T00:00:00Z"
        held["payload"] = base64.b64encode(json.dumps(statement, sort_keys=True).encode()).decode()

    with pytest.raises(BadSignature, match="none of the keys"):
        verify(repacked(envelope, later), SENT, KEYS)
    with pytest.raises(BadSignature, match="of the type"):
        verify(repacked(envelope, lambda held: held.update(payloadType="text/plain")), SENT, KEYS)


@pytest.mark.parametrize(
    "envelope",
    ["", "!", "e30=", base64.b64encode(b"[1]").decode(), base64.b64encode(b"[" * 9_000).decode(), "A" * 17_000,
     base64.b64encode(b'{"dsseEnvelope": null}').decode(),
     base64.b64encode(b'{"payloadType":"%s","payload":"","signatures":{"a":1}}' % PAYLOAD_TYPE.encode()).decode()],
)  # fmt: skip
def test_what_is_no_envelope_is_refused_in_words(envelope: str) -> None:
    with pytest.raises(BadSignature, match="The signature"):
        verify(envelope, SENT, KEYS)


def statement(**changes: Any) -> dict[str, Any]:
    predicate = {"site": "berlin", "subject": "app", "version": "1.0", "format": "junit", "part": "unit"}
    return {
        "_type": "https://in-toto.io/Statement/v0.1",
        "subject": [{"name": "unit.xml", "digest": {"sha256": SENT.sha256}}],
        "predicateType": PREDICATE,
        "predicate": {**predicate, "made_at": "2026-03-01T11:00:00Z"},
        **changes,
    }


def by_others(content: Any) -> str:
    """An envelope that another library signed with an ECDSA key, in a bundle as cosign writes it."""
    payload = json.dumps(content).encode()
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(EC))
    bundle = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": envelope.to_dict()}
    return base64.b64encode(json.dumps(bundle).encode()).decode()


def test_an_envelope_of_another_librarys_is_read() -> None:
    signer, made_at = verify(by_others(statement()), SENT, KEYS)
    assert (signer.name, made_at) == ("key:global/ec", datetime(2026, 3, 1, 11, tzinfo=UTC))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (statement(_type="https://example.com"), "no in-toto statement with the predicate"),
        (statement(predicateType="https://slsa.dev/provenance/v1"), "no in-toto statement with the predicate"),
        (statement(subject=[]), "another report"),
        (statement(subject=[{"digest": {"sha512": SENT.sha256}}]), "another report"),
        (statement(subject=3), "no in-toto statement about a report"),
        (statement(predicate=None), "no in-toto statement about a report"),
        (statement(predicate={}), "signed for the site"),
        (statement(predicate={**statement()["predicate"], "made_at": "soon"}), "made_at"),
        (statement(predicate={**statement()["predicate"], "made_at": 3}), "made_at"),
        ([], "no in-toto statement about a report"),
    ],
)
def test_a_signed_statement_about_something_else_proves_nothing(content: Any, said: str) -> None:
    with pytest.raises(BadSignature, match=said):
        verify(by_others(content), SENT, KEYS)


def test_keys_of_other_kinds_are_refused() -> None:
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(KeyProblem, match="no Ed25519 or ECDSA P-256 key"):
            read_key(pem_of(key))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with pytest.raises(KeyProblem, match="no Ed25519 or ECDSA P-256 key"):
            read_signing_key(private)
    with pytest.raises(KeyProblem, match="no public key in PEM"):
        read_key("x")
    with pytest.raises(KeyProblem, match="no private key in PEM"):
        read_signing_key(b"x")


RSA = rsa.generate_private_key(65537, 2048)
JWKS = {"keys": [{**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "one", "alg": "RS256"}]}
GITHUB = Issuer(
    "oidc:global/github",
    "https://token.actions.githubusercontent.com",
    "headgate.example.com",
    ("repo:acme/shop:ref:refs/heads/main", "repo:acme/app:*"),
    JWKS,
)
SUB = "repo:acme/shop:ref:refs/heads/main"


def token(key: Any = RSA, algorithm: str = "RS256", **claims: Any) -> str:
    at = int(NOW.timestamp())
    told = {"iss": GITHUB.issuer, "aud": GITHUB.audience, "sub": SUB, "iat": at, "nbf": at - 300, "exp": at + 300}
    kept = {name: value for name, value in {**told, **claims}.items() if value is not ...}
    return jwt.encode(kept, key, algorithm=algorithm, headers={"kid": "one"})


def test_a_token_says_which_job_speaks() -> None:
    assert verify_token(token(), [GITHUB], NOW) == (GITHUB, SUB)
    assert verify_token(token(aud=["other", GITHUB.audience]), [GITHUB], NOW)[1] == SUB
    assert verify_token(token(nbf=...), [GITHUB], NOW + timedelta(seconds=299))[1] == SUB


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://evil.example.com"}, "is not trusted here"),
        ({"iss": ...}, "is not trusted here"),
        ({"aud": "other"}, "another audience"),
        ({"aud": ...}, "another audience"),
        ({"sub": "repo:evil/shop:ref:refs/heads/main"}, "none of those whose word counts"),
        ({"sub": "xrepo:acme/app:1"}, "none of those whose word counts"),
        ({"sub": ""}, "names no job"),
        ({"sub": "repo:acme/app:" + "x" * 300}, "names no job"),
        ({"sub": "repo:acme/app:a\nb"}, "names no job"),
        ({"exp": NOW.timestamp()}, "is over"),
        ({"exp": ...}, "at most 24 hours"),
        ({"iat": ...}, "at most 24 hours"),
        ({"exp": NOW.timestamp() + 90_000}, "at most 24 hours"),
        ({"exp": math.nan}, "at most 24 hours"),
        ({"exp": 10**400}, "at most 24 hours"),
        ({"exp": "tomorrow"}, "at most 24 hours"),
        ({"nbf": NOW.timestamp() + 100}, "not valid yet"),
        ({"iat": NOW.timestamp() + 100}, "not valid yet"),
    ],
)
def test_a_token_that_proves_nothing_is_refused(claims: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSignature, match=said):
        verify_token(token(**claims), [GITHUB], NOW)


def test_a_token_of_another_key_or_none_is_refused() -> None:
    public = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head, claims, _ = token().split(".")
    bare = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').decode().rstrip("=")
    # Signed with the public key as a secret, which is what a careless verifier takes.
    secret = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').decode().rstrip("=")
    forged = [
        token(rsa.generate_private_key(65537, 2048)),
        token(ec.generate_private_key(ec.SECP256R1()), "ES256"),
        f"{bare}.{claims}.",
        f"{secret}.{claims}.{_hmac(f'{secret}.{claims}', public)}",
        f"{head}.{claims}.",
    ]
    for one in forged:
        with pytest.raises(BadSignature, match="no key of its issuer"):
            verify_token(one, [GITHUB], NOW)
    for one in ("", "a.b.c", "a" * 9_000, "....", "é"):
        with pytest.raises(BadSignature, match="identity token"):
            verify_token(one, [GITHUB], NOW)
    with pytest.raises(BadSignature, match="is not trusted here"):
        verify_token(token(), [], NOW)


def _hmac(text: str, secret: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.digest(secret, text.encode(), hashlib.sha256)).decode().rstrip("=")


@pytest.mark.parametrize(
    ("jwks", "said"),
    [
        (None, "no set of 1 to 20 public keys"),
        ({"keys": []}, "no set of 1 to 20 public keys"),
        ({"keys": [3]}, "public keys only"),
        ({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}, "public keys only"),
        ({"keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA))]}, "public keys only"),
        ({"keys": [{"kty": "RSA"}]}, "can't be read"),
        ({"keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key()))]},
         "at least 2048 bits"),
    ],
)  # fmt: skip
def test_a_set_of_keys_that_can_not_be_trusted_is_refused(jwks: Any, said: str) -> None:
    with pytest.raises(KeyProblem, match=said):
        read_keys(jwks)


def test_trusted_keys_are_told_apart_by_what_they_are() -> None:
    assert isinstance(KEYS[0], TrustedKey)
    assert read_key(pem_of(ED), "a").key_id == KEYS[0].key_id != KEYS[1].key_id
    assert GITHUB.ref == replace(GITHUB, name="x", subjects=(), jwks={}).ref != replace(GITHUB, audience="y").ref
