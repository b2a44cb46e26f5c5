"""Where the log ends, and since when."""

from __future__ import annotations

from libs.common.contracts.audit import head as contract
from libs.common.contracts.audit.head import Head
from libs.common.contracts.base import Nothing
from libs.common.service import Read, Table
from services.audit.verifications.asking import standing

SELECT_NEWEST = "SELECT seq, recorded_at FROM entry ORDER BY seq DESC LIMIT 1"


async def get_head(read: Read, _params: Nothing) -> Head:
    """The newest entry's number and time, and whether a verification found the log broken."""
    row, broken = await read.pool.fetchrow(SELECT_NEWEST), await standing(read.pool)
    return Head(**dict(row), broken=broken) if row else Head(seq=0, recorded_at=None, broken=broken)


TABLE = Table(queries={contract.get_head: get_head})
