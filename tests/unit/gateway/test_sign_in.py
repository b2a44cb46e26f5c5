"""Who a person is by what a provider says; and where a browser may be sent."""

from __future__ import annotations

from typing import Any

import pytest

from libs.common.contracts.gateway.sign_in import SignInRule
from services.gateway.domain.federation import NoRule
from services.gateway.domain.sign_in import entry, safe_next


def rule(name: str, **claims: list[str]) -> SignInRule:
    return SignInRule(name=name, provider="acme", claims=claims, role="viewer", sites=["*"])


RULES = [rule("staff", groups=["staff"]), rule("mail", email=["mia@acme.com", "lee@*"])]


@pytest.mark.parametrize(
    ("login_claim", "claims", "wanted"),
    [
        ("preferred_username", {"preferred_username": "mia", "groups": ["staff"]}, ("staff", "mia", True)),
        ("preferred_username", {"preferred_username": "Mia.K_im", "groups": "staff"}, ("staff", "mia-k-im", False)),
        ("email", {"email": "mia@acme.com", "email_verified": True}, ("mail", "mia", False)),
        ("email", {"email": "lee@x", "email_verified": True, "groups": ["staff"]}, ("staff", "lee", False)),
    ],
)
def test_the_first_rule_that_fits_and_the_name(login_claim: str, claims: dict[str, Any], wanted: Any) -> None:
    found = entry(RULES, "acme", login_claim, claims)
    assert (found.rule.name, found.username, found.exact) == wanted


@pytest.mark.parametrize(
    ("address", "exact"),
    [
        ("mia@acme.com", True),
        ("mia@ACME.com", True),
        ("Mia@acme.com", False),
        ("mi.a@acme.com", False),
        ("mia@partner.com", False),
        ("mia@evil.com@acme.com", False),
        ("mia@sub.acme.com", False),
        ("mia", False),
    ],
)
def test_an_address_is_a_name_of_ours_in_a_domain_of_ours_only(address: str, *, exact: bool) -> None:
    told = {"email": address, "email_verified": True, "groups": ["staff"]}
    assert entry([RULES[0]], "acme", "email", told, ["acme.com"]).exact is exact
    assert entry([RULES[0]], "acme", "email", told).exact is False


@pytest.mark.parametrize(
    ("login_claim", "claims", "said"),
    [
        ("email", {"email": "mia@acme.com"}, "email_verified"),
        ("email", {"email": "mia@acme.com", "email_verified": "true"}, "email_verified"),
        ("preferred_username", {"preferred_username": "mia", "groups": ["guests"]}, "does not fit"),
        ("preferred_username", {"groups": ["staff"]}, "no preferred_username"),
        ("preferred_username", {"preferred_username": ["mia"], "groups": ["staff"]}, "no preferred_username"),
        ("preferred_username", {"preferred_username": "account:ci", "groups": ["staff"]}, "no name can be made"),
        ("preferred_username", {"preferred_username": "m" * 41, "groups": ["staff"]}, "no name can be made"),
        ("preferred_username", {"preferred_username": "\u043cia", "groups": ["staff"]}, "no name can be made"),
    ],
)
def test_each_refusal_says_why(login_claim: str, claims: dict[str, Any], said: str) -> None:
    with pytest.raises(NoRule, match=said):
        entry(RULES, "acme", login_claim, claims)


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("/docs", True),
        ("/reference?x=1#y", True),
        ("//evil.example.com", False),
        ("/\\evil.example.com", False),
        ("/a\\b", False),
        ("https://evil.example.com", False),
        ("javascript:alert(1)", False),
        ("/a\r\nSet-Cookie: x", False),
        ("", False),
    ],
)
def test_nobody_is_sent_elsewhere(path: str, *, safe: bool) -> None:
    assert safe_next(path) is safe
