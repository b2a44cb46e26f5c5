"""The form of tokens and its checksum."""

from __future__ import annotations

import re

import pytest

from libs.judge.token_text import checksum, could_be_token, with_checksum
from services.gateway.identity.bootstrap import make_secret

BODY = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg"


def test_a_made_token_has_the_documented_form_and_another_one_each_time() -> None:
    made = {make_secret() for _ in range(50)}
    assert len(made) == 50
    for secret in made:
        assert re.fullmatch(r"hg_t_[0-9A-Za-z]{49}", secret)
        assert could_be_token(secret)


def test_the_checksum_is_crc32_in_base62_as_scanners_count_it() -> None:
    # 0xCBF43926 is the check value of CRC-32, that of "123456789".
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for digit in checksum("123456789"):
        number = number * 62 + digits.index(digit)
    assert number == 0xCBF43926
    assert len(checksum("")) == 6


@pytest.mark.parametrize("place", range(5, 54))
def test_one_wrong_character_anywhere_is_found(place: int) -> None:
    secret = with_checksum(BODY)
    wrong = secret[:place] + ("x" if secret[place] != "x" else "y") + secret[place + 1 :]
    assert not could_be_token(wrong)


@pytest.mark.parametrize(
    ("text", "could_be"),
    [
        ("hg_" + "A" * 43, True),  # of a version without the checksum
        ("hg_t_" + "A" * 38, True),  # one of those that happens to begin like today's
        ("hg_" + "owner" * 9, True),  # somebody's own for the first owner
        ("hg_t_" + "A" * 49, False),
        ("hg_short", False),
        ("HG_T_" + "A" * 49, False),
        ("", False),
        ("hg_" + "A" * 201, False),
        ("hg_" + "é" * 43, False),
        ("hg_" + "A" * 42 + "\n", False),
    ],
)
def test_what_is_worth_a_look(text: str, could_be: bool) -> None:
    assert could_be_token(text) is could_be
