"""What a logout token of a provider says (OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6). Pure.

Signature, issuer, audience and times are proven before; here is what makes it a logout token and no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EVENT = "http://schemas.openid.net/event/backchannel-logout"
TYPES = ("logout+jwt", "jwt")
MAX_CHARS = 255


class NoLogout(ValueError):
    """It is no logout token; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class SignOut:
    """Who is out: a person by ``sub``, a stay of somebody by ``sid``, or a stay of that person. ``jti`` counts once."""

    sub: str | None
    sid: str | None
    jti: str


def sign_out_of(header: Mapping[str, Any], claims: Mapping[str, Any]) -> SignOut:
    """What the token says. Raises `NoLogout`.

    One that could be an identity token is refused, so that none can be taken for the other.
    """
    kind = header.get("typ", "jwt")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in TYPES:
        raise NoLogout(f"The token is of the type {str(kind)[:40]!r}, wanted is logout+jwt.")
    events = claims.get("events")
    if not isinstance(events, Mapping) or not isinstance(events.get(EVENT), Mapping):
        raise NoLogout("The token does not say that somebody is logged out (events), so it is no logout token.")
    if "nonce" in claims:
        raise NoLogout("The token has a nonce, so it is no logout token.")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_CHARS:
        raise NoLogout("The token has no number of its own (jti), so it can't be known whether it was used before.")
    sub, sid = (_text(claims, name) for name in ("sub", "sid"))
    if sub is None and sid is None:
        raise NoLogout("The token says neither who is logged out (sub) nor from which session (sid).")
    return SignOut(sub, sid, jti)


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    if name not in claims:
        return None
    said = claims[name]
    if not isinstance(said, str) or not 0 < len(said) <= MAX_CHARS:
        raise NoLogout(f"The token's {name} is no text of 1 to {MAX_CHARS} signs.")
    return said
