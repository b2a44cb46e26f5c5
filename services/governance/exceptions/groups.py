"""Groups of people who approve: a document of each site. Who is in which counts when an approval is given."""

from __future__ import annotations

from libs.common import versions
from libs.common.contracts.governance.approvals import approve_candidate
from libs.common.contracts.governance.groups import GROUPS, Groups
from libs.common.contracts.governance.waivers import approve_waiver
from libs.common.contracts.granting import Granter
from libs.common.problems import Forbidden
from libs.common.service import Tx
from libs.common.versions import EVERYWHERE

# What a word of somebody in a group is worth something for; who says that two users are one human decides of it, too.
GIVEN = frozenset({approve_candidate.permission, approve_waiver.permission})
ALL = "*"


async def may_group(tx: Tx, _: Groups, said: Granter) -> None:
    """Raises `Forbidden` unless the publisher may approve wherever these groups will count.

    Else a token for identity alone would put its user among those whose word releases.
    """
    if said.caller_permissions is None or said.caller_sites is None:
        return  # sent by a gateway of a version before
    if lacking := sorted(GIVEN - set(said.caller_permissions)):
        raise Forbidden(
            f"You can't give a place among those who approve: it takes {', '.join(lacking)}, which you don't hold.",
            permissions=lacking,
        )
    if tx.site == EVERYWHERE and ALL not in said.caller_sites:
        raise Forbidden(
            "The groups of the site global count at every site that has none of its own, and you don't hold all sites; "
            "publish them for one of yours with ?site=."
        )


TABLE = versions.table(GROUPS, guard=may_group)
