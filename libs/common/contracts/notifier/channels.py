"""Channels: places where people read, named by a site, or by a person as their own.

What says where a channel leads (the address of a webhook, a routing key) is a secret: who has it can write there. The
edge encrypts it; no answer, event or log shows it again.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from libs.common.contracts.base import DELETE, GET, POST, PUT, Command, Event, Model, Open, Page, Query, Time, Token
from libs.common.contracts.changes import Changed
from libs.common.contracts.versions import Reason
from libs.common.problems import Conflict, Invalid, NotFound, Unavailable

MAX_CHANNELS = 200  # of a site
MAX_OWN_CHANNELS = 10  # of a person
WEBHOOK = "webhook"  # what a subscription says that calls an endpoint of its own, so no channel's name
EVERY_SITE = "*"  # the site of a person's own channel
_PATH = "/api/channels/{channel_id}"
_MINE = "/api/me/channels/{channel_id}"

Kind = Literal["slack", "teams", "email", "pagerduty", "generic"]
Language = Literal["en", "ko"]
Status = Literal["active", "disabled", "removed"]
Address = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
_Sealed = Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[!-~]+$")]
_Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
_Shown = Annotated[str, StringConstraints(min_length=1, max_length=320)]

SigningSecret = Annotated[str, StringConstraints(pattern=r"^whsec_[A-Za-z0-9+/]{32,88}={0,2}$")]

_URL = re.compile(r"https?://[!-~]+")
_EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}")
_WANTED: dict[str, tuple[re.Pattern[str], str]] = {
    "slack": (_URL, "the address of an incoming webhook of Slack, such as https://hooks.slack.com/services/…"),
    "teams": (_URL, "the address of a workflow of Teams that starts when a webhook request comes"),
    "email": (_EMAIL, "one e-mail address, such as ops@example.com"),
    "pagerduty": (re.compile(r"[A-Za-z0-9]{32}"), "the integration key of a service (Events API v2): 32 characters"),
    "generic": (_URL, "an address that takes JSON by POST, such as https://chat.example.com/hooks/…"),
}


def channel_place(fingerprint: str) -> str:
    """Where in the vault a channel's address belongs: to its fingerprint, which its row holds too."""
    return f"channel/{fingerprint}"


def check_address(kind: str, address: str) -> None:
    """Raise `ValueError` for what is no address of this kind. The sentence holds nothing of it."""
    pattern, wanted = _WANTED[kind]
    if not pattern.fullmatch(address):
        raise ValueError(f"an address of the kind {kind} is {wanted}")


def shown_address(kind: str, address: str) -> str:
    """What everybody may see of an address: the host alone, or an e-mail address."""
    if kind in ("email", "pagerduty"):
        return address if kind == "email" else "PagerDuty"
    try:
        url = urlsplit(address)
        return f"{url.hostname or kind}:{url.port}" if url.port else url.hostname or kind
    except ValueError:  # the notifier refuses it with a sentence
        return kind


def joined(address: str, signing_secret: str | None) -> str:
    """What is encrypted of a channel: its address, and in a second line what its messages are signed with."""
    return f"{address}\n{signing_secret}" if signing_secret else address


def check_signing(kind: str, signing_secret: str | None, address: str | None) -> None:
    """Raise `ValueError` for a secret where nothing is signed, or without the address that it is kept with."""
    if signing_secret is not None and kind != "generic":
        raise ValueError(f"signing_secret: only messages of the kind generic are signed; leave it out for {kind}")
    if signing_secret is not None and address is None:
        raise ValueError("signing_secret: give the address with it; the two are kept together")


class ChannelFields(Model):
    name: Token = Field(description="What it is called; unique among the site's, or among your own")
    kind: Kind = Field(
        description="What it is: slack (incoming webhook), teams (workflow), email, pagerduty, generic (plain JSON)"
    )
    language: Language = Field("en", description="In which language it is written to")
    template: Token | None = Field(None, description="In whose words: a published template; else built-in ones")

    @model_validator(mode="after")
    def _free(self) -> ChannelFields:
        if self.name == WEBHOOK:
            raise ValueError(f"no channel is called {WEBHOOK}: that is how a subscription calls an address of its own")
        return self


class ChannelCreate(ChannelFields):
    address: Address = Field(description="Where it leads; kept encrypted and never shown again")
    signing_secret: SigningSecret | None = Field(
        None, description="Of a generic one: whsec_ and base64, by which messages are signed as webhooks are"
    )

    @model_validator(mode="after")
    def _fits(self) -> ChannelCreate:
        check_address(self.kind, self.address)
        check_signing(self.kind, self.signing_secret, self.address)
        return self


class ChannelSealed(ChannelFields):
    """What travels on the bus: the edge has encrypted the address, and left in clear what may be shown of it."""

    secret: _Sealed
    fingerprint: _Fingerprint
    address_shown: _Shown


class ChannelKey(Model):
    channel_id: int = Field(ge=1, le=2**63 - 1, description="The channel's number")


class ChannelChange(ChannelKey, ChannelFields):
    """All of it anew, but for the address, which stays if it is left out. A channel's kind can't change."""

    address: Address | None = Field(None, description="Where it leads from now on; else where it does")
    signing_secret: SigningSecret | None = Field(
        None, description="With an address of a generic one: what messages are signed with; without it they are not"
    )

    @model_validator(mode="after")
    def _fits(self) -> ChannelChange:
        if self.address is not None:
            check_address(self.kind, self.address)
        check_signing(self.kind, self.signing_secret, self.address)
        return self


class ChannelChangeSealed(ChannelKey, ChannelFields):
    """What travels on the bus; without a secret the address stays."""

    secret: _Sealed | None = None
    fingerprint: _Fingerprint | None = None
    address_shown: _Shown | None = None


class ChannelDisable(ChannelKey):
    reason: Reason | None = Field(None, description="Why, in a line")


class ChannelStop(ChannelKey):
    """By the link in a mail. ``fingerprint`` is of the address that the mail went to."""

    subscription_id: int | None = Field(None, ge=1, le=2**63 - 1)
    fingerprint: _Fingerprint


class ChannelStopped(Open):
    """What is sent no more: one subscription, or all that goes to the channel."""

    channel_id: int
    subscription_id: int | None = None


class ChannelFilter(Model):
    status: Status | None = Field(None, description="Only those in this state; else all that are not removed")
    cursor: str | None = Field(None, max_length=40, description="Where the page before ended")
    limit: int = Field(50, ge=1, le=200, description="How many at the most")


class ChannelView(Open):
    """``address_shown`` is the host alone, or an e-mail address. ``person``: whose own it is, for every site; empty for

    a site's.     ``disabled``: somebody disabled it, or who is there said 410; what is for it waits.
    """

    channel_id: int
    site: str
    name: str
    kind: Kind
    person: str
    language: Language
    template: str | None = None
    status: Status
    status_reason: str
    address_shown: str
    created_at: Time
    created_by: str
    changed_at: Time
    changed_by: str


class ChannelChanged(ChannelView, Changed):
    """A channel after a change. That it leads elsewhere (``address``) is told, not from where to where."""


class ChannelTested(Open):
    """A sample that only this channel gets. Its delivery has the number of this event."""

    channel_id: int
    name: str
    asked_by: str
    event_id: UUID | None = None


create_channel = Command(
    "notifier.channel.create",
    about="{channel_id}",
    body=ChannelSealed,
    result=ChannelView,
    permission="channel:write",
    http=POST("/api/channels", status=201, seal="channel"),
    errors=(Conflict, Invalid, Unavailable),
    summary="Name a place where people read; its address is kept encrypted and never shown",
)
change_channel = Command(
    "notifier.channel.change",
    body=ChannelChangeSealed,
    result=ChannelView,
    permission="channel:write",
    http=PUT(_PATH, seal="channel_change"),
    errors=(NotFound, Conflict, Invalid, Unavailable),
    summary="Change a channel's name, language, template or address",
)
disable_channel = Command(
    "notifier.channel.disable",
    body=ChannelDisable,
    result=ChannelView,
    permission="channel:write",
    http=POST(f"{_PATH}/disable"),
    errors=(NotFound, Conflict),
    summary="Send a channel nothing for now; what is for it waits",
)
enable_channel = Command(
    "notifier.channel.enable",
    body=ChannelKey,
    result=ChannelView,
    permission="channel:write",
    http=POST(f"{_PATH}/enable"),
    errors=(NotFound, Conflict),
    summary="Go on with a channel that is disabled; what waited is sent now",
)
test_channel = Command(
    "notifier.channel.test",
    body=ChannelKey,
    result=ChannelTested,
    permission="channel:write",
    http=POST(f"{_PATH}/test"),
    errors=(NotFound, Conflict),
    summary="Send a channel a sample",
)
remove_channel = Command(
    "notifier.channel.remove",
    body=ChannelKey,
    result=ChannelView,
    permission="channel:write",
    http=DELETE(_PATH),
    errors=(NotFound, Conflict),
    summary="Remove a channel that no subscription uses; what has not been sent never will be",
)
stop_channel = Command(
    "notifier.channel.stop",
    about="{channel_id}",
    body=ChannelStop,
    result=ChannelStopped,
    permission="channel:write",
    errors=(NotFound,),
    summary="Stop what a mail's link is about: its subscription, or the channel itself",
)
list_channels = Query(
    "notifier.channels.list",
    params=ChannelFilter,
    result=Page[ChannelView],
    permission="channel:read",
    http=GET("/api/channels"),
    errors=(Invalid,),
    summary="List the site's channels, newest first (never where they lead)",
)
show_channel = Query(
    "notifier.channels.get",
    params=ChannelKey,
    result=ChannelView,
    permission="channel:read",
    http=GET(_PATH),
    errors=(NotFound,),
    summary="Show a channel of the site",
)
create_own_channel = Command(
    "notifier.own_channel.create",
    about="{channel_id}",
    kind="notifier.channel",
    body=ChannelSealed,
    result=ChannelView,
    permission="me:write",
    http=POST("/api/me/channels", status=201, seal="channel"),
    errors=(Conflict, Invalid, Unavailable),
    summary="Say where you yourself are told of what is for you, in every site",
    sited=False,
)
change_own_channel = Command(
    "notifier.own_channel.change",
    kind="notifier.channel",
    body=ChannelChangeSealed,
    result=ChannelView,
    permission="me:write",
    http=PUT(_MINE, seal="channel_change"),
    errors=(NotFound, Conflict, Invalid, Unavailable),
    summary="Change a channel of your own",
    sited=False,
)
disable_own_channel = Command(
    "notifier.own_channel.disable",
    kind="notifier.channel",
    body=ChannelDisable,
    result=ChannelView,
    permission="me:write",
    http=POST(f"{_MINE}/disable"),
    errors=(NotFound, Conflict),
    summary="Be sent nothing by a channel of your own for now",
    sited=False,
)
enable_own_channel = Command(
    "notifier.own_channel.enable",
    kind="notifier.channel",
    body=ChannelKey,
    result=ChannelView,
    permission="me:write",
    http=POST(f"{_MINE}/enable"),
    errors=(NotFound, Conflict),
    summary="Go on with a channel of your own that is disabled",
    sited=False,
)
test_own_channel = Command(
    "notifier.own_channel.test",
    kind="notifier.channel",
    body=ChannelKey,
    result=ChannelTested,
    permission="me:write",
    http=POST(f"{_MINE}/test"),
    errors=(NotFound, Conflict),
    summary="Send a channel of your own a sample",
    sited=False,
)
remove_own_channel = Command(
    "notifier.own_channel.remove",
    kind="notifier.channel",
    body=ChannelKey,
    result=ChannelView,
    permission="me:write",
    http=DELETE(_MINE),
    errors=(NotFound, Conflict),
    summary="Remove a channel of your own",
    sited=False,
)
list_own_channels = Query(
    "notifier.own_channels.list",
    params=ChannelFilter,
    result=Page[ChannelView],
    permission="me:read",
    http=GET("/api/me/channels"),
    errors=(Invalid,),
    summary="List your own channels, newest first",
    sited=False,
)
channel_created = Event(
    "notifier.channel.created", data=ChannelView, summary="A channel was made (without where it leads)"
)
channel_changed = Event(
    "notifier.channel.changed", data=ChannelChanged, summary="A channel was changed, disabled, enabled or removed"
)
channel_disabled = Event(
    "notifier.channel.disabled", data=ChannelChanged, summary="Who is there wants no more: the answer was 410 Gone"
)
channel_tested = Event("notifier.channel.tested", data=ChannelTested, summary="A sample for one channel")
