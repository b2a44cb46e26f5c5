"""The runbook, made when somebody asks."""

from __future__ import annotations

from libs.common.contracts.base import Nothing
from libs.common.contracts.operations import runbook as contract
from libs.common.contracts.operations.runbook import Runbook
from libs.common.service import Read, Table
from services.operations.checks import judged
from services.operations.readings import Desk


async def show(read: Read, _params: Nothing) -> Runbook:
    """Every check, now."""
    return judged(await Desk(read, read.pool, read.now).read())


TABLE = Table(queries={contract.show_runbook: show})
