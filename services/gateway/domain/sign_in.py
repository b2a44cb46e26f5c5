"""Who a person is by what a provider says, and what that person may by the rules. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from services.gateway.domain.federation import NoName, NoRule, Rule, claim_at, rule_for

_NAME = re.compile(r"[a-z0-9-]{1,40}")
_NEXT = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f-\uffff]{0,500}")
R = TypeVar("R", bound=Rule)


@dataclass(frozen=True, slots=True)
class Entry(Generic[R]):
    """``exact``: the provider's own word is the name: nothing was replaced in it, nor left out but a domain of ours."""

    rule: R
    username: str
    exact: bool


def entry(
    rules: Sequence[R], provider: str, login_claim: str, claims: Mapping[str, Any], domains: Collection[str] = ()
) -> Entry[R]:
    """The first rule that fits, and the name by which a new person is called. ``domains``: of e-mail addresses of ours.

    Raises `NoRule` with the reason, and `NoName` where a rule may fit all the same.
    An e-mail address counts only if the provider says that it has verified it.
    """
    told = dict(claims)
    if claims.get("email_verified") is not True and told.pop("email", None) is not None:
        asked = {name for rule in rules if rule.issuer == provider for name in rule.claims}
        if "email" in asked | {login_claim}:
            unverified = "The provider does not say that it has verified the e-mail address (email_verified)."
            raise NoRule(unverified) if "email" in asked else NoName(unverified)
    rule = rule_for(rules, provider, told, None)
    said = claim_at(told, login_claim)
    if not isinstance(said, str) or not said:
        raise NoName(f"The provider says no {login_claim}, by which a person is called here (login_claim).")
    local, domain = said, None
    if login_claim == "email":
        local, _, domain = said.partition("@")
    username = re.sub(r"[._]", "-", local.lower())
    if not _NAME.fullmatch(username):
        raise NoName(
            f"The provider's {login_claim} is {said[:60]!r}, of which no name can be made: 1 to 40 of a-z, 0-9, '-', "
            "'.' and '_'."
        )
    return Entry(rule, username, local == username and (domain is None or domain.lower() in domains))


def safe_next(path: str) -> bool:
    """Whether a browser may be sent there after the sign-in: a path of ours, and nothing that leads elsewhere."""
    return _NEXT.fullmatch(path) is not None
