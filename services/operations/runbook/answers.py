"""The runbook, made when somebody asks."""

from __future__ import annotations

from functools import partial

from libs.common.contracts.base import Nothing
from libs.common.contracts.operations import runbook as contract
from libs.common.contracts.operations.runbook import Runbook
from libs.common.service import Read, Table
from libs.common.settings import Settings
from services.operations.runbook.judging import judged
from services.operations.runbook.readings import Desk


async def show(settings: Settings, read: Read, _params: Nothing) -> Runbook:
    """Every check, now."""
    return judged(await Desk(settings, read, read.pool, read.now).read())


def table(settings: Settings) -> Table:
    """What this module answers; checks go by the settings."""
    return Table(queries={contract.show_runbook: partial(show, settings)})
