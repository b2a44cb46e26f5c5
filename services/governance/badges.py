"""Badges: what the gate says of a version at this very moment."""

from __future__ import annotations

from functools import partial

from libs.common.contracts.blobs import Blob
from libs.common.contracts.governance import badges as contract
from libs.common.contracts.governance.badges import BadgeFilter
from libs.common.contracts.governance.runs import GateTarget
from libs.common.problems import Invalid
from libs.common.service import Read, Table
from services.governance.admission import admit
from services.governance.catalog import SITE_SUBJECT, Catalog
from services.governance.domain.badge import Word, badge

LOOKED_BACK = 200  # runs of a subject; of a version that was judged before those nothing is known
SELECT_LAST = """
SELECT version, line, artifact_digest, decision FROM (
    SELECT run_id, version, line, artifact_digest, decision FROM runs
    WHERE gate = $1 AND site = $2 AND subject = $3 ORDER BY run_id DESC LIMIT $6
) AS newest
WHERE ($4::text IS NULL OR version = $4) AND ($5::text IS NULL OR line = $5) ORDER BY run_id DESC LIMIT 1
"""


async def get_badge(catalog: Catalog, read: Read, wanted: BadgeFilter) -> Blob:
    """The badge of a version, or of the one that was judged last. Raises `NotFound`, `Invalid`."""
    policy = (await catalog.in_force(read.pool, wanted.gate, read.site)).both
    if policy.subject_mode == "version" and wanted.subject is None:
        raise Invalid(f"The gate {wanted.gate} judges one subject; say which.")
    about = (wanted.gate, read.site, wanted.subject or SITE_SUBJECT, wanted.version, wanted.line)
    last = await read.pool.fetchrow(SELECT_LAST, *about, LOOKED_BACK)
    word: Word = "UNKNOWN"
    version, line, digest = wanted.version, wanted.line, wanted.artifact_digest
    if last is not None:
        digest = digest or last["artifact_digest"] or None
        version = version or last["version"] or None
        line = line or (None if policy.line_pattern else last["line"] or None)
    if last is not None or wanted.version is not None:
        target = GateTarget(
            gate=wanted.gate, subject=wanted.subject, version=version, line=line, artifact_digest=digest
        )
        # Of an artifact that somebody names, the last verdict may not have been.
        is_told = last is not None and wanted.artifact_digest in (None, last["artifact_digest"])
        word = await _word(catalog, read, target, last["decision"] if last is not None and is_told else None)
    label = " ".join(part for part in (wanted.gate, wanted.subject or read.site, version) if part)
    return Blob.of(
        badge(label, word),
        media_type="image/svg+xml",
        filename=f"headgate-{wanted.gate}.svg",
        may_be_kept=True,
    )


async def _word(catalog: Catalog, read: Read, target: GateTarget, last: str | None) -> Word:
    """It says GO only of what would be admitted now."""
    found = await admit(catalog, read, target)
    if found.admitted and found.verdict is not None:
        return found.verdict
    if last == "go":
        return "EXPIRED"  # it was GO, and holds no more
    return "NO_GO" if last == "no_go" else "UNKNOWN"


def table(catalog: Catalog) -> Table:
    """What this module answers."""
    return Table(queries={contract.get_badge: partial(get_badge, catalog)})
