"""How a rule names a claim that is nested, and what it finds there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from libs.common.contracts.gateway.federation import ClaimName
from libs.common.contracts.gateway.sign_in import SignInRule
from services.gateway.domain.federation import NoRule, claim_at
from services.gateway.domain.sign_in import entry

KEYCLOAK = {
    "realm_access": {"roles": ["staff", "releases"]},
    "groups": [{"name": "a", "in": ["x", "y"]}, {"name": "b"}],
}
NAMES = TypeAdapter(ClaimName)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.[]", max_size=4), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("claims", "name", "found"),
    [
        (KEYCLOAK, "realm_access.roles", ["staff", "releases"]),
        (KEYCLOAK, "realm_access.roles[]", ["staff", "releases"]),
        (KEYCLOAK, "groups[].name", ["a", "b"]),
        (KEYCLOAK, "groups[].in", ["x", "y"]),
        (KEYCLOAK, "groups.name", None),
        (KEYCLOAK, "realm_access[].roles", []),
        (KEYCLOAK, "realm_access.other", None),
        (KEYCLOAK, "realm_access.roles.x", None),
        ({"a.b": "literal", "a": {"b": "nested"}}, "a.b", "literal"),
        ({"https://acme.com/roles": ["x"]}, "https://acme.com/roles", ["x"]),
        ({"a": {"b": False}}, "a.b", False),
        ({}, "a", None),
    ],
)
def test_what_a_name_finds(claims: dict[str, Any], name: str, found: Any) -> None:
    assert claim_at(claims, name) == found


@given(st.dictionaries(st.text("ab.[]", max_size=4), JSON, max_size=4), st.from_regex(r"[ab.]{1,6}(\[\]\.[ab]+)?"))
def test_whatever_a_provider_says_it_is_read_or_there_is_nothing(claims: dict[str, Any], name: str) -> None:
    found = claim_at(claims, name)
    if name in claims:
        assert found == claims[name]
    elif "[]" in name:
        assert isinstance(found, list)


@pytest.mark.parametrize("name", ["groups", "realm_access.roles", "groups[].name", "groups[]", "a[].b[].c"])
def test_names_that_can_be_meant(name: str) -> None:
    assert NAMES.validate_python(name) == name


@pytest.mark.parametrize("name", ["", "[]", "groups[", "groups[0]", "groups[]name", "a b", "$..groups", "a" * 101])
def test_names_that_can_not(name: str) -> None:
    with pytest.raises(ValidationError):
        NAMES.validate_python(name)


def test_a_person_is_judged_and_named_by_nested_claims() -> None:
    claims = {"realm_access.roles": ["releases"], "groups[].name": ["b"]}
    rule = SignInRule(name="managers", provider="acme", claims=claims, role="manager", sites=["*"])
    found = entry([rule], "acme", "person.login", {**KEYCLOAK, "person": {"login": "mia"}})
    assert (found.rule.name, found.username) == ("managers", "mia")
    with pytest.raises(NoRule, match=r"groups\[\]\.name is 'c', wanted is b"):
        entry([rule], "acme", "person.login", {**KEYCLOAK, "groups": [{"name": "c"}], "person": {"login": "mia"}})
