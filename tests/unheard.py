"""What services that tests put in the tracker's place hear, as its contract says, and leave alone."""

from __future__ import annotations

from typing import Any

from libs.common.contracts import find, heard
from libs.common.contracts.base import Event
from libs.common.contracts.governance.runs import gate_decided
from libs.common.service import EventHandler, Tx


async def _leave_alone(_tx: Tx, _told: Any, /) -> None:
    """Users, answers of the notifier and the like are of no interest to these tests."""


UNHEARD: dict[Event, EventHandler] = {
    event: _leave_alone
    for name in heard("tracker")
    if isinstance(event := find(name), Event) and event is not gate_decided
}
