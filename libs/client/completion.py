"""What the shell offers at TAB: gates, subjects, users, roles and sites, asked of the server.

Offline, without a token, or when the server is slow, nothing is offered and nothing is said. What is offered goes into
the user's command line as it is, so only names are offered that no shell reads anything into.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

TIMEOUT_S = 1.5
MAX_OFFERED = 200
# Letters, digits and signs without a meaning in bash, zsh, fish and PowerShell; the first is no sign of theirs either.
HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+:@-]{0,199}")

Completer = Callable[[str], list[str]]


def _ask(operation: str, **fields: Any) -> Any:
    """The answer, or None if there is none for any reason."""
    # Imported here: completion of words that the tool knows itself should not wait for the client.
    from libs.client.config import resolve
    from libs.client.errors import ClientError
    from libs.client.http import Client
    from libs.client.logins import credentials

    try:
        target = resolve(None, os.environ)
        token = credentials(target)
        if token is None:
            return None
        with Client(target.url, token, timeout_s=TIMEOUT_S, attempts=1) as client:
            return client.call(operation, **fields)
    except (ClientError, OSError, ValueError):
        return None


def _rows(answer: Any) -> list[dict[str, Any]]:
    rows = answer.get("items") if isinstance(answer, dict) else answer
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _names(answer: Any, key: str) -> list[str]:
    return [str(row[key]) for row in _rows(answer) if key in row]


def _offered(names: Iterable[str], begun: str) -> list[str]:
    found = dict.fromkeys(name for name in names if name.startswith(begun) and HARMLESS.fullmatch(name))
    return list(found)[:MAX_OFFERED]


def gates(incomplete: str) -> list[str]:
    """The gates there are."""
    return _offered(_names(_ask("governance.gates.list"), "gate"), incomplete)


def subjects(incomplete: str) -> list[str]:
    """The subjects of the newest signals."""
    return _offered(_names(_ask("governance.signals.list", limit=200), "subject"), incomplete)


def users(incomplete: str) -> list[str]:
    """The users, for who may list them."""
    return _offered(_names(_ask("gateway.users.list"), "username"), incomplete)


def sites(incomplete: str) -> list[str]:
    """The sites that the caller may see."""
    return _offered(_names(_ask("gateway.sites.list"), "site"), incomplete)


def roles(incomplete: str) -> list[str]:
    """Those that are always there, and the installation's own."""
    from libs.common.contracts.roles import ROLES

    return _offered([*ROLES, *_names(_ask("gateway.roles.list"), "role")], incomplete)


def targets(incomplete: str) -> list[str]:
    """``SUBJECT@VERSION`` of the newest signals."""
    rows = _rows(_ask("governance.signals.list", limit=200))
    return _offered((f"{row.get('subject')}@{row['version']}" for row in rows if row.get("version")), incomplete)


def of_field(name: str) -> Completer | None:
    """What completes a field of this name; None: nothing does."""
    return _BY_FIELD.get(name)


_BY_FIELD: dict[str, Completer] = {
    "gate": gates,
    "subject": subjects,
    "username": users,
    "assignee": users,
    "actor": users,
    "role": roles,
    "site": sites,
    "only_site": sites,
}
