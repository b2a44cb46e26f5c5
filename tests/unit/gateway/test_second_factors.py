"""Codes of an app, against the vectors of RFC 6238 (appendix B, SHA-1), and when they count."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.second_factors import code_at, step_of, tidy, uri

RFC = b"12345678901234567890"


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_those_of_the_standard(at: int, code: str) -> None:
    assert code_at(RFC, at // 30) == code[2:]


@given(st.binary(min_size=20, max_size=20), st.integers(10, 2**40), st.integers(-4, 4))
def test_a_code_counts_about_its_time_and_once(secret: bytes, step: int, off: int) -> None:
    code, now = code_at(secret, step), (step + off) * 30 + 7
    near = [step_at for step_at in range(step + off - 1, step + off + 2) if code_at(secret, step_at) == code]
    found = step_of(secret, code, now, 0)
    assert found == (max(near) if near else None)
    if found is not None:
        assert step_of(secret, code, now, found) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "\u0661\u0662\u0663\u0664\u0665\u0666", "-12345"])
def test_what_is_no_code_is_none(code: str) -> None:
    assert step_of(RFC, code, 59, 0) is None


def test_people_type_codes_as_they_like_and_apps_read_the_secret() -> None:
    assert tidy(" 123 456 ") == "123456"
    assert tidy("abcd-efgh") == "ABCDEFGH"
    text = base64.b32encode(RFC).decode()
    assert uri(RFC, "mia") == f"otpauth://totp/Headgate:mia?secret={text}&issuer=Headgate"
