"""Freeze calendars: a preview of what they close, and what a new version does to standing GOs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from libs.common import versions
from libs.common.contracts.governance.freezes import (
    FREEZES,
    FreezePreview,
    Freezes,
    FreezeShown,
    FreezeWindow,
    PreviewFilter,
    preview_freezes,
)
from libs.common.contracts.versions import Published
from libs.common.problems import Invalid
from libs.common.service import Read, Table, Tx
from services.governance.catalog import SITE_SUBJECT, Catalog, Target
from services.governance.frozen import frozen, occurrences
from services.governance.recheck import recheck

MAX_SHOWN = 200

SELECT_CALENDARS = """
SELECT site, content FROM (
    (SELECT site, content FROM document_version WHERE kind = 'freezes' AND site = $1 ORDER BY version DESC LIMIT 1)
    UNION ALL
    (SELECT site, content FROM document_version WHERE kind = 'freezes' AND site = 'global' AND $1 <> 'global'
     ORDER BY version DESC LIMIT 1)
) AS newest
"""


async def preview(catalog: Catalog, read: Read, wanted: PreviewFilter) -> FreezePreview:
    """When a gate will be frozen. Raises `NotFound`, `Invalid`."""
    policy = (await catalog.in_force(read.pool, wanted.gate, read.site)).policy(wanted.subject or SITE_SUBJECT)
    if policy.subject_mode == "version" and wanted.subject is None:
        raise Invalid(f"The gate {wanted.gate} judges one subject; say which.")
    subject = wanted.subject or SITE_SUBJECT
    target = Target(wanted.gate, read.site, subject, "")
    rows = await read.pool.fetch(SELECT_CALENDARS, read.site)
    published, labels = {row["site"]: row["content"] for row in rows}, {wanted.label} if wanted.label else set()
    found, missing = frozen(policy, target, published, read.now, labels=frozenset(labels))
    until = read.now + timedelta(days=wanted.days)
    shown = [
        FreezeShown(
            calendar=freeze.calendar,
            origin="own" if site == read.site else "global",
            begins_at=freeze.begins_at,
            ends_at=freeze.ends_at,
            reason=freeze.reason,
        )
        for site, freeze in found
        if freeze.begins_at <= until
    ]
    return FreezePreview(until=until, items=shown[:MAX_SHOWN], left_out=max(0, len(shown) - MAX_SHOWN), missing=missing)


async def apply_freezes(tx: Tx, published: Published[Freezes]) -> None:
    """Have the GOs judged again that a new version may freeze. Raises `Invalid` for a repetition that can't be read."""
    every: Sequence[FreezeWindow] = [window for one in published.content.calendars for window in one.windows]
    for window in every:
        occurrences(window, tx.now)
    await recheck(tx, site=tx.site)


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    made = versions.table(FREEZES, applied=apply_freezes)
    return Table(
        commands=made.commands,
        queries={**made.queries, preview_freezes: partial(preview, catalog)},
    )
