"""Groups of people who approve: a document of each site. Who is in which counts when an approval is given."""

from __future__ import annotations

from libs.common import versions
from libs.common.contracts.governance.groups import GROUPS

TABLE = versions.table(GROUPS)
