"""By which ways the notifier reaches others, as the settings say."""

from __future__ import annotations

from dataclasses import dataclass, field

from libs.common.outbound import Outbound
from libs.common.vault import Vault
from services.notifier.kinds.mail import Post

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"


@dataclass(frozen=True, slots=True)
class Ways:
    """``outbound`` calls addresses that users name. ``base_url``: where people reach the gateway; without it messages

    have no links. ``post``: the mail server, if there is one.
    """

    outbound: Outbound
    vault: Vault = field(repr=False)
    base_url: str = ""
    pagerduty_url: str = PAGERDUTY_URL
    post: Post | None = None
