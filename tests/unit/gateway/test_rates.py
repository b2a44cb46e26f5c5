"""Classes of requests, and portions of a limit: whatever gateways ask for, never more than the limit is lent."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.contracts.audit.entries import list_entries
from libs.common.settings import RateClass, Settings
from services.gateway.domain.rates import (
    RATES,
    WINDOW_S,
    granted,
    limits,
    of_operation,
    of_stranger,
    portion,
    reset_s,
    weighed,
)
from services.gateway.mount import binding_of, mounted, paths_of


def test_the_numbers_of_the_replaced_system_are_one_setting_away() -> None:
    assert limits(300, 120, {}) == {
        "auth-read": 300, "auth-write": 120, "auth-admin": 180, "auth-upload": 40, "auth-heavy": 40,
        "public-read": 120, "public-heavy": 60,
    }  # fmt: skip
    mine = limits(6000, 120, {"auth-upload": 7})
    assert (mine["auth-read"], mine["auth-write"], mine["auth-upload"]) == (6000, 2400, 7)
    assert min(limits(1, 1, {}).values()) == 1
    assert set(RATES) == set(get_args(RateClass)) == set(limits(1, 1, {}))
    with pytest.raises(ValueError, match="rate_classes"):
        Settings(rate_classes={"auth-other": 1})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="rate_classes"):
        Settings(rate_classes={"auth-read": 0})


@pytest.mark.parametrize(
    ("method", "path", "permission", "files", "found"),
    [
        ("GET", "/api/sites", "site:read", (False, False), "auth-read"),
        ("HEAD", "/api/sites", "site:read", (False, False), "auth-read"),
        ("POST", "/api/signals", "signal:write", (False, False), "auth-write"),
        ("GET", "/api/admin/token-policy", "token:read", (False, False), "auth-admin"),
        ("PATCH", "/api/users/{username}", "identity:write", (False, False), "auth-admin"),
        ("POST", "/api/reports", "signal:write", (True, False), "auth-upload"),
        ("GET", "/api/audit/archives/{month}/content", "audit:read", (False, True), "auth-heavy"),
    ],
)
def test_a_request_has_one_class(method: str, path: str, permission: str, files: tuple[bool, bool], found: str) -> None:
    assert of_operation(method, path, permission, uploads=files[0], downloads=files[1]) == found


def test_strangers_read_files_less_often() -> None:
    for route in ("/api/x.csv", "/api/x/csv", "/api/x.ics", "/api/x/pdf"):
        assert of_stranger(route) == "public-heavy"
    for route in ("unmatched", "/docs", "/api/xcsv", ""):
        assert of_stranger(route) == "public-read"


def test_every_upload_is_counted_as_one() -> None:
    """Also those that are added later: the class follows from the declaration, not from a list of paths."""
    assert list_entries.http is not None
    uploads = [binding_of(operation).http.path for operation, http in mounted() if http.reader == "report"]
    assert uploads
    assert any(path.endswith(".csv") for path, _ in paths_of(list_entries.http))


@given(
    limit=st.integers(1, 400),
    before=st.integers(0, 400),
    asks=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 20), st.floats(0, 5), st.booleans()), max_size=80),
)
def test_no_more_is_lent_than_the_limit_whoever_asks_when(
    limit: int, before: int, asks: list[tuple[int, int, float, bool]]
) -> None:
    """Four gateways, one counter; what is given back may come late, or never."""
    total, elapsed_s, owed = 0, 0.0, 0
    spent, left = 0, [0, 0, 0, 0]
    for gateway, cost, waited_s, returned in asks:
        elapsed_s = min(float(WINDOW_S), elapsed_s + waited_s)
        if returned:
            total, owed = total - owed, 0
        free = limit - weighed(min(before, limit), elapsed_s)
        if left[gateway] < cost:
            asked = portion(limit, max(0, free - total), cost - left[gateway])
            total += asked
            kept = granted(asked, total, free)
            assert 0 <= kept <= asked
            owed += asked - kept
            left[gateway] += kept
        if left[gateway] >= cost:
            left[gateway] -= cost
            spent += cost
        assert spent + sum(left) <= free


@given(limit=st.integers(1, 10_000), rest=st.integers(0, 10_000), needed=st.integers(1, 50))
def test_little_is_lent_that_nobody_may_spend(limit: int, rest: int, needed: int) -> None:
    asked = portion(limit, rest, needed)
    assert needed <= asked <= max(needed, limit // 50, 1)
    assert portion(limit, 0, needed) == needed


@given(before=st.integers(0, 10_000), elapsed_s=st.floats(0, 60))
def test_the_minute_before_fades(before: int, elapsed_s: float) -> None:
    assert 0 <= weighed(before, elapsed_s) <= before
    assert weighed(before, 0.0) == before
    assert weighed(before, 60.0) == 0
    assert 1 <= reset_s(before, elapsed_s) <= 60
