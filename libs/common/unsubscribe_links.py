"""The link in a mail by which whoever got it wants no more of the kind: ``<public URL>/u/<token>`` (RFC 8058).

The token is the authority, encrypted and authenticated with the installation's vault, like that of an acknowledge link.
It names one subscription or one channel, and the address that it was sent to: a channel that leads elsewhere since is
not stopped by who was there before.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from libs.common import sealed_links
from libs.common.contracts.base import Site
from libs.common.contracts.notifier.channels import ChannelStop
from libs.common.vault import Vault

PATH = "/u/"
GOOD_FOR = timedelta(days=60)
_PLACE = "unsubscribe"


class Ticket(sealed_links.Ticket):
    """What a link is good for, ``until``. ``site`` is that of the event which the mail told of."""

    site: Site
    stop: ChannelStop


def link_of(base_url: str, vault: Vault, ticket: Ticket) -> str:
    """The whole address. Raises `VaultError` without a key."""
    return sealed_links.seal(f"{base_url.rstrip('/')}{PATH}", vault, _PLACE, ticket)


def ticket_of(vault: Vault, token: str, now: datetime) -> Ticket | None:
    """What a token is good for; None if it is not ours, was altered, or its time is over."""
    return sealed_links.unseal(Ticket, vault, _PLACE, token, now)
