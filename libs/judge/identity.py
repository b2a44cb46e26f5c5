"""Tokens by which a CI system says which job speaks (OpenID Connect, as GitHub and GitLab give them to jobs).

Verified with the public keys that an installation has published; nothing is fetched. Such a token proves who sends and
not what, so it must be short-lived and made for this installation (its audience).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from libs.judge.attestation import BadSignature
from libs.judge.dsse import KeyProblem
from libs.judge.voices import fits

ALGORITHMS = ("RS256", "ES256", "EdDSA")
MAX_TOKEN_CHARS = 8_192
MAX_KEYS = 20
MAX_SUB_CHARS = 255
MAX_LIFETIME = timedelta(hours=24)
LEEWAY = timedelta(minutes=1)
MIN_RSA_BITS = 2048
_MAX_TIME = 1e11  # seconds since 1970, some thousand years
# Times are compared with our own clock.
_NO_TIMES: Any = dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat"), False)


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CI system that is trusted. ``subjects``: patterns of the jobs (``sub``) whose word counts.

    ``name`` is what verdicts show; ``jwks`` its public keys as it publishes them.
    """

    name: str
    issuer: str
    audience: str
    subjects: tuple[str, ...]
    jwks: Mapping[str, Any]

    @property
    def ref(self) -> str:
        """What it is whatever its name: SHA-256 (hex) of issuer and audience."""
        return sha256(f"{self.issuer}\n{self.audience}".encode()).hexdigest()


def read_keys(jwks: object) -> jwt.PyJWKSet:
    """The public keys in a JSON Web Key Set. Raises `KeyProblem`."""
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_KEYS:
        raise KeyProblem(f"this is no set of 1 to {MAX_KEYS} public keys (JWKS)")
    if any(not isinstance(one, Mapping) or "d" in one or one.get("kty") == "oct" for one in listed):
        raise KeyProblem("a key set must hold public keys only, and no secret")
    try:
        keys = jwt.PyJWKSet.from_dict({"keys": listed})
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise KeyProblem(f"the keys can't be read: {str(error)[:200]}") from error
    if any(isinstance(one.key, RSAPublicKey) and one.key.key_size < MIN_RSA_BITS for one in keys.keys):
        raise KeyProblem(f"an RSA key must have at least {MIN_RSA_BITS} bits")
    return keys


def verify_token(token: str, issuers: Sequence[Issuer], now: datetime) -> tuple[Issuer, str]:
    """Who gave the token, and to which job (its ``sub``). Raises `BadSignature`."""
    if len(token) > MAX_TOKEN_CHARS:
        raise BadSignature(f"The identity token has more than {MAX_TOKEN_CHARS} letters")
    claims, issuer = _proven(token, issuers)
    times = [claims.get(name) for name in ("iat", "nbf", "exp")]
    # Compared first, since NaN is neither more nor less than anything, and would never be over.
    issued, begins, ends = (one if isinstance(one, int | float) and 0 < one < _MAX_TIME else None for one in times)
    at = now.timestamp()
    if ends is None or issued is None or ends - issued > MAX_LIFETIME.total_seconds():
        raise BadSignature(f"The identity token must hold for at most {MAX_LIFETIME.total_seconds() / 3600:g} hours")
    if at >= ends:
        raise BadSignature("The identity token is over; ask the CI system for a new one")
    if max(issued, begins or issued) - at > LEEWAY.total_seconds():
        raise BadSignature("The identity token is not valid yet; set the clocks right")
    sub = claims.get("sub")
    if not isinstance(sub, str) or not 0 < len(sub) <= MAX_SUB_CHARS or not sub.isprintable():
        raise BadSignature("The identity token names no job (sub)")
    if not fits(sub, issuer.subjects):
        raise BadSignature(f"The job {sub!r} is none of those whose word counts here")
    return issuer, sub


def _proven(token: str, issuers: Sequence[Issuer]) -> tuple[dict[str, Any], Issuer]:
    """The claims of a token, and who of the trusted ones has signed them."""
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
        told = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise BadSignature("The identity token is no JSON Web Token") from None
    mine = [one for one in issuers if one.issuer == told.get("iss")]
    if not mine:
        raise BadSignature(f"The identity token is of {str(told.get('iss'))[:120]!r}, which is not trusted here")
    for issuer in mine:
        try:
            keys = [one for one in read_keys(issuer.jwks).keys if key_id is None or one.key_id == key_id]
        except KeyProblem:
            continue
        for key in keys:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.key,
                    algorithms=[one for one in ALGORITHMS if one == key.algorithm_name],
                    audience=issuer.audience,
                    issuer=issuer.issuer,
                    options=_NO_TIMES,
                )
            except (jwt.PyJWTError, ValueError, TypeError):
                continue
            return claims, issuer
    raise BadSignature("The identity token is signed by no key of its issuer, or made for another audience")
