"""Links whose token is the authority: encrypted and authenticated with the vault that gateway and notifier share.

Nobody else can make one or read what is in it. A token is made when a message is sent, and kept nowhere.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from libs.common.contracts.base import Model, Time
from libs.common.vault import Vault, VaultError

MAX_TOKEN_CHARS = 1_000


class Ticket(Model):
    """What a link is good for, ``until``; each kind of link says the rest."""

    until: Time


T = TypeVar("T", bound=Ticket)


def seal(address: str, vault: Vault, place: str, ticket: Ticket) -> str:
    """The whole link, ``address`` and token. ``place``: of which kind it is. Raises `VaultError` without a key."""
    token = vault.seal(ticket.model_dump_json(), place).rstrip("=")  # mail programs end addresses before a last "="
    return address + token


def unseal(kind: type[T], vault: Vault, place: str, token: str, now: datetime) -> T | None:
    """What a token is good for; None if it is not ours, was altered, or its time is over."""
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        return None
    packed = token.rpartition(".")[2]
    try:
        ticket = kind.model_validate_json(vault.open(token + "=" * (-len(packed) % 4), place))
    except (VaultError, ValidationError):
        return None
    return ticket if now < ticket.until else None
