"""The link in an escalation's message by which whoever reads it acknowledges: ``<public URL>/a/<token>``.

The token is the authority, so it is encrypted and authenticated with the installation's vault, which the notifier and
the gateway share; nobody else can make one or read what is in it. It is made when a message is sent, and kept nowhere.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from libs.common import sealed_links
from libs.common.contracts.base import Site, Token
from libs.common.contracts.tracker.acknowledge_links import LinkKey
from libs.common.vault import Vault

PATH = "/a/"
GOOD_FOR = timedelta(days=7)
_PLACE = "acknowledge"
_SHARED = "link:"  # no user's name has a colon


class Ticket(sealed_links.Ticket):
    """What a link is good for: the escalation ``key`` of one episode of an item, in the name of one reader, ``until``.

    The reader is a ``person``, or whoever reads the ``channel`` if that is nobody's own.
    """

    site: Site
    key: LinkKey
    person: Token | None = None
    channel: Token

    @property
    def actor(self) -> str:
        """In whose name it acknowledges: the person's, or ``link:<channel>``."""
        return self.person or f"{_SHARED}{self.channel}"


def link_of(base_url: str, vault: Vault, ticket: Ticket) -> str:
    """The whole address. Raises `VaultError` without a key."""
    return sealed_links.seal(f"{base_url.rstrip('/')}{PATH}", vault, _PLACE, ticket)


def ticket_of(vault: Vault, token: str, now: datetime) -> Ticket | None:
    """What a token is good for; None if it is not ours, was altered, or its time is over."""
    return sealed_links.unseal(Ticket, vault, _PLACE, token, now)
