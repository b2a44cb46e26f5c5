"""Ids and tokens."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import BadToken, command_id, token, uuid7


@pytest.mark.parametrize("text", ["a", "plant-7", "0", "a" * 40])
def test_a_token_passes(text: str) -> None:
    assert token(text) == text


@pytest.mark.parametrize(
    "text", ["", "a.b", "a.>", ">", "*", "A", "a b", "a\x00", "../x", "a" * 41, "x" * 5000, "é", "a\n", "a_b"]
)
def test_hostile_text_is_no_token(text: str) -> None:
    with pytest.raises(BadToken, match="1 to 40"):
        token(text)


@given(st.text())
def test_no_text_makes_a_token_with_a_special_character(text: str) -> None:
    try:
        made = token(text)
    except BadToken:
        return
    assert not set(made) & set(".*> \t\r\n\x00")
    assert 1 <= len(made) <= 40


def test_uuid7_has_its_version_variant_and_time() -> None:
    made = uuid7(0x0123456789AB)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 0x0123456789AB


def test_uuid7_sorts_by_time_and_does_not_repeat() -> None:
    assert uuid7(1) < uuid7(2) < uuid7(3)
    assert len({uuid7(1) for _ in range(1000)}) == 1000


def test_an_idempotency_key_names_the_same_command_only_for_the_same_caller_site_and_operation() -> None:
    base = ("ann", "global", "tracker.item.patch", "k1")
    assert command_id(*base) == command_id(*base)
    others = {
        command_id("bob", *base[1:]),
        command_id("ann", "plant", *base[2:]),
        command_id(*base[:2], "tracker.board.sync", "k1"),
        command_id(*base[:3], "k2"),
        command_id("a", "nn|global", *base[2:]),
    }
    assert command_id(*base) not in others
    assert len(others) == 5
