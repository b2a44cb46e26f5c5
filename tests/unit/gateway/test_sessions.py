"""What a session's cookie looks like, and when a session is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.gateway.domain.sessions import COOKIE, LOCAL_COOKIE, cookie, cookie_name, csrf_token, ending

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDLE = timedelta(minutes=30)


@pytest.mark.parametrize(
    ("scheme", "host", "address", "name"),
    [
        ("https", "headgate.example.com", "198.51.100.7", COOKIE),
        ("https", "localhost:8080", "127.0.0.1", COOKIE),
        ("http", "localhost:8080", "127.0.0.1", LOCAL_COOKIE),
        ("http", "127.0.0.1:8080", "127.0.0.1", LOCAL_COOKIE),
        ("http", "[::1]:8080", "::1", LOCAL_COOKIE),
        ("http", "localhost:8080", "198.51.100.7", None),
        ("http", "headgate.example.com", "127.0.0.1", None),
        ("http", "localhost.example.com", "127.0.0.1", None),
        ("http", "", "127.0.0.1", None),
    ],
)
def test_no_session_goes_over_a_line_that_others_can_hear(
    scheme: str, host: str, address: str, name: str | None
) -> None:
    assert cookie_name(scheme, host, address) == name


def test_the_cookie_is_for_this_host_alone_and_for_no_script() -> None:
    assert cookie(COOKIE, "s", 60) == f"{COOKIE}=s; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=60"
    assert "Domain" not in cookie(COOKIE, "s", 60)


@pytest.mark.parametrize(
    ("idle_minutes", "left_minutes", "why"),
    [(0, 60, None), (29.9, 0.1, None), (30, 60, "idle"), (0, 0, "over"), (40, -1, "over")],
)
def test_when_it_is_over(idle_minutes: float, left_minutes: float, why: str | None) -> None:
    seen, ends = NOW - timedelta(minutes=idle_minutes), NOW + timedelta(minutes=left_minutes)
    assert ending(seen, IDLE, ends, NOW) == why


def test_the_word_of_the_page_is_of_one_session() -> None:
    assert csrf_token("a" * 43) == csrf_token("a" * 43) != csrf_token("b" * 43)
