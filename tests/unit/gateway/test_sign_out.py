"""What counts as a logout token of a provider, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.domain.sign_out import EVENT, NoLogout, SignOut, sign_out_of

CLAIMS: dict[str, Any] = {"events": {EVENT: {}}, "jti": "1", "sub": "u-1", "sid": "s-1"}


@pytest.mark.parametrize(
    ("typ", "change", "found"),
    [
        ("logout+jwt", {}, SignOut("u-1", "s-1", "1")),
        ("application/logout+JWT", {}, SignOut("u-1", "s-1", "1")),
        ("JWT", {"sid": None}, SignOut("u-1", None, "1")),
        (None, {"sub": None}, SignOut(None, "s-1", "1")),
    ],
)
def test_who_is_out(typ: str | None, change: dict[str, Any], found: SignOut) -> None:
    claims = {name: value for name, value in (CLAIMS | change).items() if value is not None}
    assert sign_out_of({} if typ is None else {"typ": typ}, claims) == found


@pytest.mark.parametrize(
    ("typ", "change", "said"),
    [
        ("at+jwt", {}, "of the type 'at\\+jwt'"),
        ("JWT", {"events": None}, "does not say that somebody is logged out"),
        ("JWT", {"events": {"other": {}}}, "does not say that somebody is logged out"),
        ("JWT", {"events": {EVENT: True}}, "does not say that somebody is logged out"),
        ("JWT", {"events": [EVENT]}, "does not say that somebody is logged out"),
        ("JWT", {"nonce": "n"}, "has a nonce"),
        ("JWT", {"jti": None}, "no number of its own"),
        ("JWT", {"jti": 7}, "no number of its own"),
        ("JWT", {"sub": None, "sid": None}, "neither who"),
        ("JWT", {"sub": ""}, "its? sub|token's sub"),
        ("JWT", {"sid": ["s-1"]}, "token's sid"),
    ],
)
def test_what_is_no_logout_token(typ: str, change: dict[str, Any], said: str) -> None:
    claims = {name: value for name, value in (CLAIMS | change).items() if value is not None}
    with pytest.raises(NoLogout, match=said):
        sign_out_of({"typ": typ}, claims)
