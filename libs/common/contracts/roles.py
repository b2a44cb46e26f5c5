"""The one table of roles and permissions. Deny by default: what is not here is not allowed."""

from __future__ import annotations

import re
from collections.abc import Set

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
        "identity:read",
        "deadletter:read",
        "subscription:read",
        "channel:read",
        "operations:read",
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
        "subscription:read",
        "subscription:write",
        "channel:read",
        "channel:write",
        "audit:read",
        "identity:read",
        "deadletter:read",
        "operations:read",
        "operations:run",
        "operations:rehearse",
    },
}
ROLES["commander"] = ROLES["operator"] | {"gate:halt", "gate:override"}
ROLES["owner"] = frozenset().union(*ROLES.values()) | {
    "identity:write",
    "site:write",
    "deadletter:write",
    "audit:write",
}

# Permissions over the caller's own things. Every other command without a site changes the whole installation and so
# needs the scope `*` as well as its permission: a token narrowed to one site can't make itself a wider one.
SELF_SERVICE = frozenset({"token:write", "subscriber:write", "me:write"})


def may(role: str, permission: str) -> bool:
    """Whether the role holds the permission; an unknown role holds none, an empty permission is held by nobody."""
    return permission in ROLES.get(role, frozenset())


# Events that name users, tokens and addresses, or hold pieces of messages: only for those who may read these anyway.
GUARDED = (
    (re.compile(r"[a-z]+\.deadletter\.[a-z]+"), "deadletter:read"),
    (re.compile(r"gateway\..+"), "identity:read"),
    (re.compile(r"notifier\.channel\.[a-z]+"), "channel:read"),
)


def may_see(role: str, event_name: str) -> bool:
    """Whether the role may be told of an event by its name, such as ``governance.gate.decided``."""
    return may_be_told(ROLES.get(role, frozenset()), event_name)


def may_be_told(permissions: Set[str], event_name: str) -> bool:
    """Whether who has these permissions may be told of an event by its name."""
    needed = (permission for pattern, permission in GUARDED if pattern.fullmatch(event_name))
    return "event:read" in permissions and all(permission in permissions for permission in needed)
