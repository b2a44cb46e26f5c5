"""All boards, by the name of their file."""

from __future__ import annotations

import json
from collections.abc import Sequence

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.dashboards import bus, gates, notifications, overview, recovery, service, slo
from deploy.dashboards.parts import Board
from libs.common.roster import SERVICES


def boards(services: Sequence[str] = SERVICES) -> list[Board]:
    """The boards in the order in which a person meets them; the first is Grafana's home."""
    shared = [overview.board(), gates.board(), slo.board(), bus.board(), notifications.board(), recovery.board()]
    return [*shared, *(service.board(name) for name in services)]


def written(services: Sequence[str] = SERVICES) -> dict[str, str]:
    """Each file's name and its text."""
    return {f"{one.name}.json": _text(one) for one in boards(services)}


def _text(board: Board) -> str:
    return json.dumps(board.built(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
