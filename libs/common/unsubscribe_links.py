"""The link in a mail by which whoever got it wants no more of the kind: ``<public URL>/u/<token>`` (RFC 8058).

The token is the authority, encrypted and authenticated with the installation's vault, like that of an acknowledge link.
It names one subscription or one channel, and the address that it was sent to: a channel that leads elsewhere since is
not stopped by who was there before.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import ValidationError

from libs.common.contracts.base import Model, Site, Time
from libs.common.contracts.notifier.channels import ChannelStop
from libs.common.vault import Vault, VaultError

PATH = "/u/"
GOOD_FOR = timedelta(days=60)
MAX_TOKEN_CHARS = 1_000
_PLACE = "unsubscribe"


class Ticket(Model):
    """What a link is good for, ``until``. ``site`` is that of the event which the mail told of."""

    site: Site
    stop: ChannelStop
    until: Time


def link_of(base_url: str, vault: Vault, ticket: Ticket) -> str:
    """The whole address. Raises `VaultError` without a key."""
    token = vault.seal(ticket.model_dump_json(), _PLACE).rstrip("=")  # mail programs end addresses before a last "="
    return f"{base_url.rstrip('/')}{PATH}{token}"


def ticket_of(vault: Vault, token: str, now: datetime) -> Ticket | None:
    """What a token is good for; None if it is not ours, was altered, or its time is over."""
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        return None
    packed = token.rpartition(".")[2]
    try:
        ticket = Ticket.model_validate_json(vault.open(token + "=" * (-len(packed) % 4), _PLACE))
    except (VaultError, ValidationError):
        return None
    return ticket if now < ticket.until else None
