"""What opens a share is known by its form before any database is asked, alone and in a whole link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.judge.token_text import ALPHABET, BODY_LENGTH, could_be_token, with_checksum
from services.gateway.domain.share_text import secret_in, share_text

BODIES = st.text(ALPHABET, min_size=BODY_LENGTH, max_size=BODY_LENGTH)


@given(BODIES)
def test_a_secret_is_found_alone_and_in_its_link(body: str) -> None:
    secret = share_text(body)
    assert secret_in(secret) == secret_in(f" https://gate.example/s#{secret}\n") == secret
    assert not could_be_token(secret), "neither is taken for the other"
    assert secret_in(with_checksum(body)) is None


@given(BODIES, st.integers(0, BODY_LENGTH - 1), st.sampled_from(ALPHABET))
def test_one_mistyped_sign_is_seen(body: str, at: int, sign: str) -> None:
    secret = share_text(body)
    wrong = secret[: 4 + at] + sign + secret[5 + at :]
    assert secret_in(wrong) == (secret if sign == body[at] else None)


@pytest.mark.parametrize("wrong", ["", "#", "hgs_", "hgs_" + "A" * 49, "x" * 10_000, "hgs_\x00", "\ud800"])
def test_what_is_none(wrong: str) -> None:
    assert secret_in(wrong) is None
