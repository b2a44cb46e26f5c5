"""Since when messages wait, for services that watch it: the edge alone may look into the streams."""

from __future__ import annotations

from libs.common.contracts.base import Nothing, Open, Query, Time


class Backlog(Open):
    """What waits for one service on ``events`` or ``commands``: the oldest message that it has not applied."""

    service: str
    stream: str
    oldest_at: Time


list_backlogs = Query("gateway.backlogs.list", params=Nothing, result=list[Backlog], sited=False)
