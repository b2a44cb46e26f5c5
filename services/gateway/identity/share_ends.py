"""Share links end with the person who made them: each is told once.

Crash here means: nothing, a link has ended and it is told, or neither.
"""

from __future__ import annotations

from libs.common.changes import changes_in, was
from libs.common.contracts.gateway.shares import ShareChanged, ShareView, share_revoked
from libs.common.service import Tx

COLUMNS = """share_id, site, kind, gate, run_id, subject, version, line, label,
    left(encode(secret_sha256, 'hex'), 16) AS fingerprint, created_at, created_by, expires_at, max_uses, use_count,
    revoked_at, revoked_by"""
_BEFORE = was(
    "share", ("revoked_at", "revoked_by"), "share_id", "created_by = $1 AND revoked_at IS NULL AND expires_at > $2"
)
# Links that were used up, too: it costs nothing, and nobody has to know how many uses were left.
END_SHARES = f"""
UPDATE share SET revoked_at = $2, revoked_by = $3 FROM {_BEFORE} RETURNING {COLUMNS}, was.*
"""  # noqa: S608  only constants of ours are put in


async def end_all_of(tx: Tx, username: str) -> list[ShareView]:
    """End all links of this person, who is locked, and tell each."""
    ended = []
    rows = await tx.connection.fetch(END_SHARES, username, tx.now, tx.actor)
    for row in sorted(rows, key=lambda one: int(one["share_id"])):
        view = ShareView(**row)
        told = ShareChanged(**view.model_dump(), changes=changes_in(row))
        tx.emit(share_revoked, told, subject=str(view.share_id))
        ended.append(view)
    return ended
