"""Whether somebody may do a thing, with each reason for and against it: the edge's checks, told instead of made.

Pure, so that a test can compare it with the edge for every operation and every kind of caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.gateway.domain.narrowing import Narrowing
from services.gateway.domain.scope import ALL, Scope, covers, narrow


@dataclass(frozen=True, slots=True)
class Power:
    """A role that somebody has, with what it holds and the sites where it counts.

    ``source``: what gives it, such as ``grant 7``; empty: the user's own. ``ends_at``: None: it does not end by itself.
    """

    role: str
    permissions: frozenset[str]
    sites: Scope
    source: str = ""
    ends_at: datetime | None = None

    @property
    def called(self) -> str:
        """How a sentence names it."""
        until = "" if self.ends_at is None else f" until {self.ends_at:%Y-%m-%d %H:%M} UTC"
        return f"{self.role} by {self.source}{until}" if self.source else self.role


@dataclass(frozen=True, slots=True)
class Caller:
    """Who would do it. ``owner`` answers for an account, with what that person has.

    ``token``: what the token at hand is bound to, and its sites; None: a token that is bound to nothing.
    ``shown_sites``: no others are named, since who asks may not see them.
    """

    name: str
    powers: tuple[Power, ...]
    owner: str | None = None
    owner_powers: tuple[Power, ...] = ()
    token: Narrowing | None = None
    token_sites: Scope = (ALL,)
    shown_sites: Scope = (ALL,)


@dataclass(frozen=True, slots=True)
class Deed:
    """What would be done. ``site``: None if it concerns none. ``everywhere``: it changes the whole installation.

    ``takes_person``: no account may it. ``about_subjects``: a token for some subjects may do it, naming one; None: such
    a token is not asked.
    """

    permission: str
    site: str | None
    everywhere: bool
    takes_person: bool
    about_subjects: bool | None
    subject: str | None
    able_roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and whether it lets the deed pass."""

    by: str
    allowed: bool
    text: str


def judge(caller: Caller, deed: Deed) -> list[Finding]:
    """All that is looked at, in the order in which the edge does. What follows from a refusal is left out."""
    found = [_by_role(caller, deed)]
    if caller.owner is not None:
        found += _by_owner(caller, deed)
    if caller.token is not None and caller.token.permissions is not None:
        found.append(_by_token(caller.token, deed))
    if all(one.allowed for one in found):
        found += _by_site(caller, deed)
    if caller.token is not None and caller.token.subjects is not None and deed.about_subjects is not None:
        found.append(_by_subject(caller.token, deed))
    return found


def sites_where(powers: Iterable[Power], permission: str) -> Scope:
    """Where these hold the permission; nowhere: empty."""
    places = {site for power in powers if permission in power.permissions for site in power.sites}
    return (ALL,) if ALL in places else tuple(sorted(places))


def _by_role(caller: Caller, deed: Deed) -> Finding:
    able = [power for power in caller.powers if deed.permission in power.permissions]
    if able:
        names = _joined(sorted({power.called for power in able}))
        return Finding("role", True, f"{caller.name} is {names}, which holds {deed.permission}.")
    names = _joined(sorted({power.called for power in caller.powers})) or "nobody"
    others = f"; {_joined(deed.able_roles)} would" if deed.able_roles else ""
    return Finding("role", False, f"{caller.name} is {names}, which does not hold {deed.permission}{others}.")


def _by_owner(caller: Caller, deed: Deed) -> list[Finding]:
    if deed.takes_person:
        return [Finding("person", False, f"No account may {deed.permission}: that takes a person.")]
    may = bool(sites_where(caller.owner_powers, deed.permission))
    verb = "may, too" if may else "may not, and an account never may more"
    return [Finding("owner", may, f"{caller.owner}, who answers for it, {verb}.")]


def _by_token(token: Narrowing, deed: Deed) -> Finding:
    may = token.allows(deed.permission)
    bound = _joined(sorted(token.permissions or ()))
    return Finding("token", may, f"The token is bound to {bound}" + (", which holds it." if may else "."))


def _by_site(caller: Caller, deed: Deed) -> list[Finding]:
    """Where it would be done, against the scopes of the user, of who answers for it and of the token."""
    if deed.site is None and not deed.everywhere:
        return []
    scopes = [(f"The scope of {caller.name}", sites_where(caller.powers, deed.permission))]
    if caller.owner is not None:
        scopes.append((f"The scope of {caller.owner}", sites_where(caller.owner_powers, deed.permission)))
    scopes.append(("The scope of the token", caller.token_sites))
    wanted = deed.site or ALL
    for whose, scope in scopes:
        if not (ALL in scope if deed.everywhere else covers(scope, wanted)):
            what = "all sites (*), which this takes since it changes the whole installation"
            shown = _joined(narrow(scope, caller.shown_sites)) or "no site of yours"
            where = f"{whose} ({shown}) does not hold {what if deed.everywhere else wanted}"
            return [Finding("site", False, f"{where}.")]
    reach = caller.shown_sites
    for _, scope in scopes:
        reach = narrow(reach, scope)
    return [Finding("site", True, f"The scope ({_joined(reach)}) holds {'all sites' if deed.everywhere else wanted}.")]


def _by_subject(token: Narrowing, deed: Deed) -> Finding:
    bound = f"The token is bound to the subjects {_joined(token.subjects or ())}"
    if not deed.about_subjects:
        return Finding("subject", False, f"{bound}, and this may be about others.")
    if deed.subject is None:
        return Finding("subject", False, f"{bound}; name the one that it is about.")
    may = token.has_subject(deed.subject)
    return Finding("subject", may, f"{bound}{', of which this is one' if may else f', and not to {deed.subject}'}.")


def _joined(names: Iterable[str], most: int = 20) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
