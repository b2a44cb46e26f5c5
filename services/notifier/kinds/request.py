"""What a kind of channel makes of a message: one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from libs.common.contracts.notifier.channels import channel_place
from libs.common.vault import Vault
from services.notifier.claims import Claimed
from services.notifier.domain.attempts import webhook_id
from services.notifier.domain.hiding import hidden_parts

USER_AGENT = "Headgate"
_UNSEEN = frozenset({"webhook-signature"})  # it is good for some minutes


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a message begins or ``ends``, by the ``key`` that the receiver knows it by, as of the event's time."""

    key: str
    at: datetime
    ends: bool


@dataclass(frozen=True, slots=True)
class Request:
    """``url`` may hold a secret, so it is shown nowhere; nor is the ``body``.

    ``hidden``: what may not be read in an answer either, should it tell it back. ``note``: what was odd of the words.
    ``trouble``: what the receiver opens or closes by it, if it does.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    hidden: Sequence[str] = field(default=(), repr=False)
    note: str | None = None
    trouble: Trouble | None = None

    @property
    def shown_headers(self) -> dict[str, str]:
        """What a person may read of the headers later."""
        return {name: value for name, value in self.headers.items() if name not in _UNSEEN}


def address_of(claimed: Claimed, vault: Vault) -> str:
    """Where the channel leads. Raises `VaultError` if that can't be opened."""
    return address_and_secret(claimed, vault)[0]


def address_and_secret(claimed: Claimed, vault: Vault) -> tuple[str, str]:
    """Where the channel leads, and what is signed with, or nothing. Raises `VaultError`."""
    address, _, secret = vault.open(claimed.secret, channel_place(claimed.fingerprint)).partition("\n")
    return address, secret


def json_request(url: str, document: object, claimed: Claimed, hidden: Sequence[str] | None = None) -> Request:
    """A POST of JSON, named so that a receiver could drop repeats. What is secret is in the URL, or is ``hidden``."""
    headers = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": webhook_id(claimed.event_id, claimed.lane),
    }
    return Request(url, headers, orjson.dumps(document), hidden_parts(url) if hidden is None else hidden)
