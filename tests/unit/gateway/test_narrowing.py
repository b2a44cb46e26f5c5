"""What a token is bound to, and that what is made by it is never less bound."""

from __future__ import annotations

import re

import pytest

from services.gateway.domain.narrowing import WHOLE, Narrowing, narrowing, network

CI = narrowing(["signal:write"], ["app-*", "lib"], ["10.1.0.0/16", "2001:db8::/32"])


def test_nothing_said_binds_to_nothing_and_an_empty_list_allows_nothing() -> None:
    assert (WHOLE.allows("x"), WHOLE.has_subject("x"), WHOLE.works_from("nonsense")) == (True, True, True)
    shut = narrowing([], [], [])
    assert (shut.allows("signal:write"), shut.has_subject("app"), shut.works_from("10.1.0.1")) == (False, False, False)
    assert shut.allows("me:read"), "whoever holds it may ask what it is"


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("app-", True), ("app-web", True), ("lib", True), ("app", False), ("APP-web", False), ("my-app-web", False),
        ("lib2", False), ("li", False), ("", False), ("*", False), ("app-*", True), ("app-web\nlib", True),
    ],
)  # fmt: skip
def test_subjects_are_exact_or_begin_alike(name: str, fits: bool) -> None:
    assert CI.has_subject(name) is fits


@pytest.mark.parametrize(
    ("address", "fits"),
    [
        ("10.1.2.3", True), ("10.2.0.1", False), ("::ffff:10.1.2.3", True), ("::ffff:10.2.2.3", False),
        ("2001:db8::1", True), ("2001:db9::1", False), ("unknown", False), ("", False), ("10.1.2.3.4", False),
        ("10.1.2.3/32", False), ("010.1.2.3", False),
    ],
)  # fmt: skip
def test_addresses_lie_in_a_network_or_nowhere(address: str, fits: bool) -> None:
    assert CI.works_from(address) is fits


@pytest.mark.parametrize(
    ("inner", "word"),
    [
        (CI, None),
        (narrowing(["signal:write"], ["app-web", "app-w*"], ["10.1.7.0/24"]), None),
        (narrowing(["signal:write", "me:read"], ["lib"], ["2001:db8:1::/48"]), None),
        (narrowing([], [], []), None),
        (WHOLE, "not bound to operations"),
        (narrowing(["signal:write", "gate:run"], ["lib"], ["10.1.0.0/16"]), "it may gate:run"),
        (narrowing(["signal:write"], None, ["10.1.0.0/16"]), "not bound to subjects"),
        (narrowing(["signal:write"], ["*"], ["10.1.0.0/16"]), r"subjects \*"),
        (narrowing(["signal:write"], ["app*"], ["10.1.0.0/16"]), r"subjects app\*"),
        (narrowing(["signal:write"], ["lib*"], ["10.1.0.0/16"]), r"subjects lib\*"),
        (narrowing(["signal:write"], ["lib"], None), "not bound to networks"),
        (narrowing(["signal:write"], ["lib"], ["10.0.0.0/8"]), "10.0.0.0/8"),
        (narrowing(["signal:write"], ["lib"], ["::/0"]), "::/0"),
    ],
)
def test_what_reaches_further_is_found(inner: Narrowing, word: str | None) -> None:
    found = inner.reaches_beyond(CI)
    assert found is None if word is None else re.search(word, found or "")
    assert inner.reaches_beyond(WHOLE) is None


def test_silence_is_bound_as_the_maker_is() -> None:
    assert WHOLE.bound_by(CI) == CI
    own = narrowing(None, ["lib"], None)
    assert own.bound_by(CI) == Narrowing(CI.permissions, ("lib",), CI.cidrs)
    assert own.bound_by(CI).reaches_beyond(CI) is None


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "all", "", "10.0.0.0/8 ", "1.2.3"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        network(text)


def test_networks_have_one_way_to_be_written() -> None:
    assert network("10.0.0.7") == "10.0.0.7/32"
    assert network("2001:DB8:0:0::/32") == "2001:db8::/32"
