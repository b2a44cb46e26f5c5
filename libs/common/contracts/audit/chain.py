"""The chain: recomputed from the stored rows."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, Model, Open, Query, Time
from libs.common.problems import Invalid, TooMany


class VerifyRange(Model):
    """``limit`` is what one answer can check in time; ask again from ``next_seq`` for the rest."""

    from_seq: int = Field(1, ge=1, le=2**62, description="The first entry to check")
    limit: int = Field(100_000, ge=1, le=100_000, description="How many at the most")


class Verification(Open):
    """``valid`` only if every link from ``from_seq`` to ``to_seq`` was recomputed and fits, and if the newest
    checkpoint is signed by a key of the log and is of the very tree that is stored; else what does not fit.

    ``first_bad_seq`` is null where no entry is to blame. ``checkpoint_size``: how many entries that checkpoint is over;
    null: nothing was signed yet, so nothing vouches for the tree.

    ``next_seq`` is set while entries behind ``to_seq`` are still unchecked. Note ``head_seq`` and ``head_hash`` outside
    Headgate: who can rewrite the whole database can't rewrite your note.
    """

    valid: bool
    checked_count: int
    from_seq: int
    to_seq: int
    head_seq: int
    head_hash: str
    first_bad_seq: int | None = None
    problem: str | None = None
    next_seq: int | None = None
    checkpoint_size: int | None = None
    verified_at: Time


verify_chain = Query(
    "audit.chain.verify",
    params=VerifyRange,
    result=Verification,
    permission="audit:read",
    http=GET("/api/audit/verify"),
    errors=(Invalid, TooMany),
    summary="Recompute the hash chain from the stored rows; check the tree's root and the newest checkpoint",
    sited=False,
)
