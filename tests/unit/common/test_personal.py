"""Sealed texts: the same for the same, opened by their key alone, and never longer than an entry repeats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.personal import MAX_BYTES, is_sealed, masked_mail, may_read, seal, unseal, without_mails

KEY, OTHER = bytes(range(32)), bytes(32)


@given(st.text(min_size=1, max_size=300))
def test_a_text_comes_back_and_fits(text: str) -> None:
    sealed = seal(KEY, "agent", text)
    assert is_sealed(sealed)
    assert len(sealed) <= 200
    assert seal(KEY, "agent", text) == sealed
    opened = unseal(KEY, "agent", sealed)
    assert opened is not None
    assert text.encode(errors="replace").decode().startswith(opened)
    assert len(opened.encode()) > MAX_BYTES - 4 or opened.encode() == text.encode(errors="replace")
    assert unseal(OTHER, "agent", sealed) is None
    assert unseal(KEY, "address", sealed) is None


@pytest.mark.parametrize("wrong", ["", "p1.", "p1.AAAA", "p1.%%%", "192.0.2.7", "p1." + "A" * 197, "p1.ä"])
def test_what_nobody_sealed_opens_to_nothing(wrong: str) -> None:
    assert unseal(KEY, "address", wrong) is None


def test_ones_own_is_always_readable_and_nobody_is_nobody() -> None:
    assert may_read(frozenset(), "ann", "ann")
    assert may_read(frozenset({"personal:read"}), "bob", "ann")
    assert not may_read(frozenset({"audit:read"}), "bob", "ann")
    assert not may_read(frozenset(), "", "")


def test_a_mail_address_keeps_its_domain() -> None:
    assert masked_mail("mia.kim@example.com") == "***@example.com"
    assert masked_mail("hooks.slack.com") == "hooks.slack.com"
    assert masked_mail("PagerDuty") == "PagerDuty"
    assert masked_mail("https://me@example.com/a") == "https://me@example.com/a"
    assert masked_mail("g/mia@example.com") == "***@example.com", "a slash is a letter like others (RFC 5322)"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("550 5.1.1 <mia@example.com>: no such user", "550 5.1.1 <***@example.com>: no such user"),
        ("550 5.1.1 g/x@example.org, MIA@example.com", "550 5.1.1 ***@example.org, ***@example.com"),
        ("550 Mia: user unknown", "550 ***: user unknown"),
        ("250 2.0.0 taken as 4ABC", "250 2.0.0 taken as 4ABC"),
        ("550 miami.example.com knows no amiable one", "550 miami.example.com knows no amiable one"),
    ],
)
def test_what_a_mail_server_says_is_kept_without_whose_mail_it_is(said: str, kept: str) -> None:
    assert without_mails(said, "mia@example.com") == kept
    assert without_mails("a@b", "") == "***@b"
