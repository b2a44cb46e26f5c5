"""Rollback guides as the server holds them: those that were uploaded, else the one that comes with Headgate."""

from __future__ import annotations

import hashlib

import asyncpg

from libs.common.contracts.blobs import Blob
from libs.common.contracts.operations import guides as contract
from libs.common.contracts.operations.guides import SHIPPED, Guide, GuideFilter, GuideKey, shipped_guide
from libs.common.problems import NotFound
from libs.common.service import Connection, Read, Table

MEDIA_TYPE = "text/markdown"
_COLUMNS = "path, version, sha256, octet_length(content) AS size_bytes, reason, uploaded_at, uploaded_by"
SELECT_NEWEST = f"SELECT {_COLUMNS} FROM rollback_guide WHERE path = $1 ORDER BY version DESC LIMIT 1"  # noqa: S608
SELECT_CONTENT = """
SELECT content, sha256, version FROM rollback_guide WHERE path = $1 AND ($2::integer IS NULL OR version = $2)
ORDER BY version DESC LIMIT 1
"""
LIST_GUIDES = f"""
SELECT {_COLUMNS} FROM rollback_guide WHERE $1::text IS NULL OR path = $1
ORDER BY uploaded_at DESC, version DESC LIMIT $2
"""  # noqa: S608


def _shipped() -> Guide:
    content = shipped_guide()
    return Guide(
        path=SHIPPED, version=0, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content),
        reason="comes with Headgate", uploaded_at=None, uploaded_by="",
    )  # fmt: skip


async def in_force(source: asyncpg.Pool | Connection, path: str) -> Guide | None:
    """The newest version of a guide; None if the server holds none."""
    row = await source.fetchrow(SELECT_NEWEST, path)
    if row is not None:
        return Guide(**dict(row.items()))
    return _shipped() if path == SHIPPED else None


async def is_whole(source: asyncpg.Pool | Connection, guide: Guide) -> bool:
    """Whether the content that the server holds is still what its sum says."""
    if guide.version == 0:
        return True
    row = await source.fetchrow(SELECT_CONTENT, guide.path, guide.version)
    return row is not None and hashlib.sha256(row["content"]).hexdigest() == guide.sha256


async def list_guides(read: Read, wanted: GuideFilter) -> list[Guide]:
    """The newest versions; last the one that comes along."""
    rows = await read.pool.fetch(LIST_GUIDES, wanted.path, wanted.limit)
    found = [Guide(**dict(row.items())) for row in rows]
    return [*found, _shipped()][: wanted.limit] if wanted.path in (None, SHIPPED) else found


async def get_guide(read: Read, wanted: GuideKey) -> Blob:
    """A guide as a file. Raises `NotFound`."""
    name = wanted.path.rpartition("/")[2]
    row = None if wanted.version == 0 else await read.pool.fetchrow(SELECT_CONTENT, wanted.path, wanted.version)
    if row is not None:
        return Blob.of(row["content"], media_type=MEDIA_TYPE, filename=name)
    if wanted.path == SHIPPED and not wanted.version:
        return Blob.of(shipped_guide(), media_type=MEDIA_TYPE, filename=name)
    raise NotFound(f"There is no such guide {wanted.path}; see GET /api/ops/deploy/guides, or upload it.")


TABLE = Table(queries={contract.list_guides: list_guides, contract.get_guide: get_guide})
