"""A guide is uploaded: a new version of its path, and gates hear at once what that means for the newest deployment."""

from __future__ import annotations

import hashlib
from functools import partial

from libs.common.contracts.base import Nothing
from libs.common.contracts.changes import stated
from libs.common.contracts.gateway.sites import every_site
from libs.common.contracts.operations import guides as contract
from libs.common.contracts.operations.guides import MAX_GUIDE_BYTES, Guide, GuideUpload, GuideUploaded
from libs.common.problems import Invalid, TooLarge
from libs.common.service import Table, Tx
from libs.common.settings import Settings
from services.operations.deployments import telling
from services.operations.deployments.guides import in_force

INSERT_GUIDE = """
INSERT INTO rollback_guide (path, version, sha256, content, reason, uploaded_at, uploaded_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


def _content(text: str) -> bytes:
    if "\x00" in text or not text.strip():
        raise Invalid("The guide is not a text that people could follow: send its content in UTF-8.")
    content = text.encode()
    if len(content) > MAX_GUIDE_BYTES:
        raise TooLarge(f"The guide has {len(content)} bytes, at most {MAX_GUIDE_BYTES}; shorten it, or link to more.")
    return content


async def upload(settings: Settings, tx: Tx, body: GuideUpload) -> GuideUploaded:
    """Keep a guide as the newest version of its path; what the server holds already is not kept twice.

    Raises `Invalid` and `TooLarge`.
    """
    content = _content(body.content)
    sha256 = hashlib.sha256(content).hexdigest()
    sites = await tx.ask(every_site, Nothing())
    await tx.connection.execute(telling.LOCK)
    held = await in_force(tx.connection, body.path)
    if held is not None and held.sha256 == sha256:
        told = GuideUploaded(guide=held, changed=False)
    else:
        version = held.version + 1 if held else 1
        values = (body.path, version, sha256, content, body.reason, tx.now, tx.actor)
        await tx.connection.execute(INSERT_GUIDE, *values)
        guide = Guide(
            path=body.path, version=version, sha256=sha256, size_bytes=len(content), reason=body.reason,
            uploaded_at=tx.now, uploaded_by=tx.actor,
        )  # fmt: skip
        before = {"version": held.version, "sha256": held.sha256} if held else {}
        told = GuideUploaded(guide=guide, changed=True, changes=stated(before, {"version": version, "sha256": sha256}))
        await telling.tell(settings, tx, sites)
    tx.emit(contract.guide_uploaded, told, subject=f"{told.guide.path}:{told.guide.version}", site=telling.SITE)
    return told


def table(settings: Settings) -> Table:
    """What this module answers; gates are told by the settings."""
    return Table(commands={contract.upload_guide: partial(upload, settings)})
