"""The one table of roles and permissions. Deny by default: what is not here is not allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

READS = frozenset(
    {
        "me:read",
        "site:read",
        "signal:read",
        "gate:read",
        "remediation:read",
        "policy:read",
        "metrics:read",
        "event:read",
        "status:read",
        "job:read",
    }
)
OWN_THINGS = frozenset({"token:read", "token:write", "me:write"})
OWN_SUBSCRIBERS = frozenset({"subscriber:write"})

ROLES: dict[str, frozenset[str]] = {
    "viewer": READS | OWN_THINGS,
    "auditor": READS
    | OWN_THINGS
    | {
        "audit:read",
        "audit:verify",
        "identity:read",
        "deadletter:read",
        "subscription:read",
        "channel:read",
        "operations:read",
        "share:read",
        "personal:read",
    },
    "operator": READS
    | OWN_THINGS
    | OWN_SUBSCRIBERS
    | {
        "signal:write",
        "gate:run",
        "remediation:write",
        "exception:write",
        "gate:approve",
        "subscription:read",
        "operations:read",
        "operations:deploy",
        "channel:read",
    },
    "manager": READS
    | OWN_THINGS
    | OWN_SUBSCRIBERS
    | {
        "signal:write",
        "gate:run",
        "gate:approve",
        "gate:halt",
        "exception:write",
        "exception:approve",
        "fact:retire",
        "remediation:write",
        "remediation:complete",
        "remediation:assign",
        "policy:write",
        "webhook:write",
        "user:write",
        "subscription:read",
        "subscription:write",
        "channel:read",
        "channel:write",
        "audit:read",
        "audit:verify",
        "identity:read",
        "deadletter:read",
        "operations:read",
        "operations:run",
        "operations:rehearse",
        "operations:deploy",
        "operations:guide",
        "operations:review",
        "share:read",
        "share:write",
    },
}
# The administrator's process that makes backups and rehearses: it reports, and is told what waits for it.
KEEPER = "keeper"
ROLES[KEEPER] = frozenset({"me:read", "operations:rehearse"})
ROLES["commander"] = ROLES["operator"] | {"gate:halt", "gate:override"}
ROLES["owner"] = frozenset().union(*ROLES.values()) | {
    "identity:write",
    "site:write",
    "deadletter:write",
    "audit:write",
    "keys:write",
}

# Permissions over the caller's own things. Every other command without a site changes the whole installation and so
# needs the scope `*` as well as its permission: a token narrowed to one site can't make itself a wider one.
SELF_SERVICE = frozenset({"token:write", "subscriber:write", "me:write"})
# What concerns no site by itself and yet is done within those of the caller: the command says which it is about, and
# its service compares.
WITHIN_SITES = frozenset({"user:write"})


# What takes a person: a word that counts as one of two, identity, and things that belong to somebody. No account may
# it, whatever its role: else who owns a machine could agree with oneself.
PEOPLE_ONLY = frozenset(
    {
        "gate:approve",
        "gate:override",
        "exception:approve",
        "remediation:complete",
        "operations:review",
        "identity:write",
        "user:write",
        "site:write",
        "audit:write",
        "deadletter:write",
        "subscriber:write",
        "me:write",
        "share:write",
    }
)


# Who may make rules and issue tokens for others could act as an owner, so that stays with owners.
OWNERS_ONLY = frozenset({"identity:write"})
# Whoever comes may ask who they are.
ALWAYS = frozenset({"me:read"})


def held_by(role: str, own_permissions: Iterable[str] | None = None) -> frozenset[str]:
    """What a role holds: as the table says, or for a role of the installation's own as its users' rows say.

    An unknown role of which nothing else is known holds nothing.
    """
    if role in ROLES or own_permissions is None:
        return ROLES.get(role, frozenset())
    return (frozenset(own_permissions) & ROLES["owner"] - OWNERS_ONLY) | ALWAYS


def may(role: str, permission: str) -> bool:
    """Whether the role holds the permission; an unknown role holds none, an empty permission is held by nobody."""
    return permission in ROLES.get(role, frozenset())


# Events that name users, tokens and addresses, or hold pieces of messages: only for those who may read these anyway.
GUARDED = (
    (re.compile(r"[a-z]+\.deadletter\.[a-z]+"), "deadletter:read"),
    (re.compile(r"gateway\..+"), "identity:read"),
    (re.compile(r"notifier\.channel\.[a-z]+"), "channel:read"),
)


def may_see(role: str, event_name: str, own_permissions: Iterable[str] | None = None) -> bool:
    """Whether the role may be told of an event by its name, such as ``governance.gate.decided``. See `held_by`."""
    return may_be_told(held_by(role, own_permissions), event_name)


def may_be_told(permissions: Set[str], event_name: str) -> bool:
    """Whether who has these permissions may be told of an event by its name."""
    needed = (permission for pattern, permission in GUARDED if pattern.fullmatch(event_name))
    return "event:read" in permissions and all(permission in permissions for permission in needed)
