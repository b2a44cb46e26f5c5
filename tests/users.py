"""What services that tests put in the tracker's place hear of users, as its contract says, and leave alone."""

from __future__ import annotations

from libs.common.contracts.base import Event
from libs.common.contracts.gateway.users import UserView, user_changed, user_created
from libs.common.service import EventHandler, Tx


async def _leave_alone(_tx: Tx, _user: UserView, /) -> None:
    """Users are of no interest to these tests."""


UNHEARD: dict[Event, EventHandler] = {user_created: _leave_alone, user_changed: _leave_alone}
