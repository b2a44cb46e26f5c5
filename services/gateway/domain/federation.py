"""Which rule a job's claims fit. Pure: keys and time come from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from libs.judge.voices import fits

MAX_SHOWN = 120


class Rule(Protocol):
    """What is looked at of a rule; ``claims``: for each claim the patterns of which one must fit."""

    @property
    def name(self) -> str: ...

    @property
    def issuer(self) -> str: ...

    @property
    def claims(self) -> Mapping[str, Sequence[str]]: ...


R = TypeVar("R", bound=Rule)


class NoRule(ValueError):
    """No rule fits; the message says, of the nearest one, which claim does not."""


class NoName(NoRule):
    """A rule may fit, but of what is said no name can be made, or not yet."""


def rule_for(rules: Sequence[R], issuer: str, claims: Mapping[str, Any], named: str | None) -> R:
    """The first rule of the issuer (by its name) whose claims all fit, or the named one if they fit that.

    Raises `NoRule`.
    """
    found = [rule for rule in rules if rule.issuer == issuer and named in (None, rule.name)]
    if not found:
        of = f"no rule called {named}" if named else "no rule"
        raise NoRule(f"There is {of} for the issuer {issuer}.")
    misfits = {rule.name: misfit(rule, claims) for rule in found}
    for rule in found:
        if misfits[rule.name] is None:
            return rule
    name, words = next(iter(misfits.items()))
    others = f", and {len(found) - 1} more rules don't fit either" if len(found) > 1 else ""
    raise NoRule(f"The rule {name} does not fit: {words}{others}.")


def misfit(rule: Rule, claims: Mapping[str, Any]) -> str | None:
    """The first claim that does not fit, in words; None if all do. A claim that is not there never fits."""
    for name, patterns in rule.claims.items():
        said = _words_of(claim_at(claims, name))
        if not said:
            return f"the identity token has no claim {name} that is a text"
        if not any(fits(word, patterns) for word in said):
            return f"{name} is {said[0][:MAX_SHOWN]!r}, wanted is {' or '.join(patterns)[:MAX_SHOWN]}"
    return None


def claim_at(claims: Mapping[str, Any], name: str) -> Any:
    """What a claim says; None where there is none.

    A claim of exactly that name goes first, since some have dots in their names. Else dots lead into what is nested
    (``realm_access.roles``), and ``[]`` into each member of a list (``groups[].name``); then all that is found is a
    list.
    """
    if name in claims:
        return claims[name]
    found: list[Any] = [claims]
    for step in name.split("."):
        key = step.removesuffix("[]")
        found = [one[key] for one in found if isinstance(one, Mapping) and key in one]
        if step != key:
            found = _members(found, others=False)
    if "[]" in name:
        return _members(found, others=True)
    return found[0] if found else None


def _members(found: Sequence[Any], *, others: bool) -> list[Any]:
    """The members of what is a list; ``others``: beside what is none."""
    listed = [one if isinstance(one, list) else [one] for one in found if others or isinstance(one, list)]
    return [member for one in listed for member in one]


def _words_of(value: Any) -> list[str]:
    """A claim as texts: itself, or the members of a list (such as groups). Truth values are true and false."""
    values = value if isinstance(value, list) else [value]
    return ["true" if one is True else "false" if one is False else str(one) for one in values if _plain(one)]


def _plain(value: Any) -> bool:
    return isinstance(value, str | int)
