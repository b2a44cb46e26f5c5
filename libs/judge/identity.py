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


class UnknownKey(BadSignature):
    """Nothing known was signed with this key; the issuer may have changed its keys meanwhile."""


def verify_token(token: str, issuers: Sequence[Issuer], now: datetime) -> tuple[Issuer, str]:
    """Who gave the token, and to which job (its ``sub``). Raises `BadSignature`."""
    issuer, claims = verify_claims(token, issuers, now)
    sub = claims.get("sub")
    if not isinstance(sub, str) or not 0 < len(sub) <= MAX_SUB_CHARS or not sub.isprintable():
        raise BadSignature("The identity token names no job (sub)")
    if not fits(sub, issuer.subjects):
        raise BadSignature(f"The job {sub!r} is none of those whose word counts here")
    return issuer, sub


def verify_claims(token: str, issuers: Sequence[Issuer], now: datetime) -> tuple[Issuer, dict[str, Any]]:
    """Who gave the token, and all that it says. ``subjects`` of the issuer are not looked at. Raises `BadSignature`."""
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
        raise BadSignature("The identity token is over; ask who gave it for a new one")
    if max(issued, begins or issued) - at > LEEWAY.total_seconds():
        raise BadSignature("The identity token is not valid yet; set the clocks right")
    return issuer, claims


def issuer_of(token: str) -> str:
    """Who is said to have given the token; nothing is proven yet. Raises `BadSignature`."""
    return str(_told(token)[1].get("iss"))


def _told(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims as they stand there."""
    try:
        return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise BadSignature("The identity token is no JSON Web Token") from None


def _proven(token: str, issuers: Sequence[Issuer]) -> tuple[dict[str, Any], Issuer]:
    """The claims of a token, and who of the trusted ones has signed them."""
    header, told = _told(token)
    mine = [one for one in issuers if one.issuer == told.get("iss")]
    if not mine:
        raise BadSignature(f"The identity token is of {str(told.get('iss'))[:120]!r}, which is not trusted here")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise BadSignature(
            f"The identity token is signed by no key of its issuer, but as {str(algorithm)[:20]!r}; "
            f"{', '.join(ALGORITHMS)} count"
        )
    problem: BadSignature = UnknownKey("The identity token is signed by no key of its issuer that is known here")
    for issuer in mine:
        for key in _keys(issuer, key_id):
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.key,
                    algorithms=[one for one in ALGORITHMS if one == key.algorithm_name],
                    audience=issuer.audience,
                    issuer=issuer.issuer,
                    options=_NO_TIMES,
                )
            except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError):
                # Of two that differ in their audience the other may fit.
                problem = BadSignature("The identity token was made for another audience than this installation")
            except (jwt.PyJWTError, ValueError, TypeError):
                if isinstance(problem, UnknownKey):
                    problem = BadSignature("The identity token is signed by no key of its issuer, or was altered")
            else:
                return claims, issuer
    raise problem


def _keys(issuer: Issuer, key_id: object) -> list[jwt.PyJWK]:
    try:
        return [one for one in read_keys(issuer.jwks).keys if key_id is None or one.key_id == key_id]
    except KeyProblem:
        return []
