"""What the notifier keeps of a person: the places where they are told of things."""

from __future__ import annotations

from libs.common.contracts.base import Model, Open, Query, Time, Token
from libs.common.contracts.notifier.channels import Kind, Status


class PersonWanted(Model):
    username: Token


class OwnPlace(Open):
    """A channel of a person's own, also a removed one; ``address_shown`` is empty once it is erased."""

    channel_id: int
    name: str
    kind: Kind
    status: Status
    address_shown: str
    created_at: Time


class OwnPlaces(Open):
    """``left_count``: of how many there still is an address, with what was delivered to them or came of commands."""

    channels: list[OwnPlace]
    left_count: int


own_places = Query("notifier.personal.get", params=PersonWanted, result=OwnPlaces, sited=False)
