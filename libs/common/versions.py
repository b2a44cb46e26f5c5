"""Versions of documents: what is in force, and how a new version is published. See `contracts.versions.Document`.

A version is a row that nobody can change or delete. Its content is stored as the very text that was digested, so a
roll-back gives back the same bytes, also when a newer model would write them in another way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from itertools import zip_longest
from typing import Any, TypeVar

import asyncpg
import orjson
from pydantic import ValidationError

from libs.common.columns import listed, names_of
from libs.common.contracts.base import Model, Nothing, Page
from libs.common.contracts.changes import FieldChange
from libs.common.contracts.granting import Granter
from libs.common.contracts.versions import (
    Diff,
    Difference,
    DiffKey,
    Document,
    DocumentPublished,
    Publication,
    PublicationSealed,
    Published,
    Rollback,
    RollbackSealed,
    VersionFilter,
    VersionInfo,
    VersionKey,
    VersionShown,
)
from libs.common.dispatch import problems_of
from libs.common.listing import Listing, Source, newest
from libs.common.problems import Conflict, NotFound, TooLarge
from libs.common.service import Read, Table, Tx

C = TypeVar("C", bound=Model)
Applied = Callable[[Tx, Published[C]], Awaitable[None]]
Guard = Callable[[Tx, C, Granter], Awaitable[None]]

EVERYWHERE = "global"
MAX_CONTENT_BYTES = 256 * 1024
MAX_DIFFERENCES = 500
MAX_STATED_BYTES = 64 * 1024  # of the changes that an event states, as JSON
_MISSING = object()
_INFO = listed(names_of(VersionInfo))

# For each kind the site's own newest version, and that of `global`: at most one row of each.
SELECT_NEWEST = f"""
SELECT kinds.kind, newest.* FROM unnest($1::text[]) AS kinds (kind) CROSS JOIN LATERAL (
    (SELECT site, content, {_INFO} FROM document_version
     WHERE document_version.kind = kinds.kind AND site = $2 ORDER BY version DESC LIMIT 1)
    UNION ALL
    (SELECT site, content, {_INFO} FROM document_version
     WHERE document_version.kind = kinds.kind AND site = '{EVERYWHERE}' AND site <> $2 ORDER BY version DESC LIMIT 1)
) AS newest
"""  # noqa: S608 - names of our own class
SELECT_VERSIONS = f"""
SELECT content, {_INFO} FROM document_version WHERE kind = $1 AND site = $2 AND version = ANY ($3::integer[])
"""  # noqa: S608
# No row: somebody published meanwhile, or the version was not the one expected. What was in force until then is read in
# the statement's own snapshot, which does not hold the new row.
INSERT_VERSION = f"""
INSERT INTO document_version (kind, site, version, content, digest, author, reason, restores, published_at)
SELECT $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6, $7, $8 FROM document_version
WHERE kind = $1 AND site = $2
HAVING $9::integer IS NULL OR coalesce(max(version), 0) = $9
ON CONFLICT DO NOTHING RETURNING version, coalesce(
    (SELECT was.content FROM document_version AS was WHERE was.kind = $1 AND was.site = $2
     ORDER BY was.version DESC LIMIT 1),
    (SELECT was.content FROM document_version AS was WHERE was.kind = $1 AND was.site = '{EVERYWHERE}'
     ORDER BY was.version DESC LIMIT 1)
) AS content_before
"""  # noqa: S608 - a constant of ours
LIST_VERSIONS = Listing(
    table="document_version",
    columns=_INFO,
    scope={"kind": "text", "site": "text"},
    order=newest("version"),
)


def canonical(content: Model) -> str:
    """The content as JSON with sorted keys: what is stored and digested."""
    return orjson.dumps(content.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS).decode()


def digest_of(text: str) -> str:
    """SHA-256 (hex) of canonical content."""
    return hashlib.sha256(text.encode()).hexdigest()


async def current(source: Source, document: Document[C], site: str) -> Published[C]:
    """The document in force at a site: its own, else that of `global`, else the default of the code.

    ``source`` is a pool or a connection. Raises `Conflict` if what was published once does not fit the document's
    present model: what somebody has set is never replaced by a default behind their back.
    """
    (published,) = await current_of(source, site, document)
    return published


async def current_of(source: Source, site: str, *documents: Document[Any]) -> list[Published[Any]]:
    """The same for several documents at once, in their order, in one round trip."""
    rows = await source.fetch(SELECT_NEWEST, [document.noun for document in documents], site)
    found = {(row["kind"], row["site"]): row for row in rows}
    return [
        _in_force(document, found.get((document.noun, site)), found.get((document.noun, EVERYWHERE)))
        for document in documents
    ]


def _in_force(document: Document[C], own: asyncpg.Record | None, common: asyncpg.Record | None) -> Published[C]:
    row = own if own is not None else common
    if row is None:
        return Published[C](
            source="default",
            version=0,
            own_version=0,
            digest=digest_of(canonical(document.default)),
            author=None,
            reason="The default of this version of Headgate.",
            published_at=None,
            content=document.default,
        )
    info = VersionInfo(**row)
    return Published[C](
        **info.model_dump(),
        source="own" if own is not None else "global",
        own_version=own["version"] if own is not None else 0,
        content=_read(document, row["content"], info.version),
    )


async def publish(
    tx: Tx, document: Document[C], content: C, reason: str, expected_version: int | None = None
) -> Published[C]:
    """Publish a new version at ``tx.site`` and tell it; returns it.

    Raises `Conflict` if ``expected_version`` is not the site's own newest version or if somebody publishes at the same
    moment, and `TooLarge`.
    """
    return await _store(tx, document, content, canonical(content), reason, None, expected_version)


async def roll_back(
    tx: Tx, document: Document[C], version: int, reason: str, expected_version: int | None = None
) -> Published[C]:
    """Publish the content of one of the site's versions again, byte for byte. Raises like `publish`, and `NotFound`."""
    row = (await _rows(tx.connection, document, tx.site, version))[version]
    content = _read(document, row["content"], version)
    return await _store(tx, document, content, row["content"], reason, version, expected_version)


async def _store(
    tx: Tx, document: Document[C], content: C, text: str, reason: str, restores: int | None, expected: int | None
) -> Published[C]:
    if len(text.encode()) > MAX_CONTENT_BYTES:
        raise TooLarge(f"{document.what[:1].upper()}{document.what[1:]} may have {MAX_CONTENT_BYTES} bytes as JSON.")
    digest = digest_of(text)
    values = (document.noun, tx.site, text, digest, tx.actor, reason, restores, tx.now, expected)
    row = await tx.connection.fetchrow(INSERT_VERSION, *values)
    if row is None:
        now = await current(tx.connection, document, tx.site)
        raise Conflict(
            f"The site's own version of {document.what} is {now.own_version} now; read it, then publish again.",
            own_version=now.own_version,
        )
    whole = orjson.loads(text)
    changes, left_out = stated_differences(orjson.loads(row["content_before"] or canonical(document.default)), whole)
    told = DocumentPublished(
        site=tx.site,
        version=row["version"],
        digest=digest,
        author=tx.actor,
        reason=reason,
        restores=restores,
        published_at=tx.now,
        content=whole,
        changes=changes,
        changes_left_out=left_out,
    )
    tx.emit(document.published, told, subject=tx.site)
    return Published[C](
        **told.model_dump(exclude={"site", "content", "changes"}),
        source="own",
        own_version=told.version,
        content=content,
    )


def _read(document: Document[C], text: str, version: int) -> C:
    try:
        return document.content.model_validate_json(text)
    except ValidationError as error:
        raise Conflict(
            f"Version {version} of {document.what} does not fit this version of Headgate; publish one that does.",
            errors=problems_of(error),
        ) from None


async def _rows(source: Source, document: Document[Any], site: str, *versions: int) -> dict[int, asyncpg.Record]:
    """The site's own versions by number; raises `NotFound` naming the first that there is not."""
    found = {row["version"]: row for row in await source.fetch(SELECT_VERSIONS, document.noun, site, list(versions))}
    for version in versions:
        if version not in found:
            raise NotFound(f"This site has no version {version} of {document.what} of its own; list the versions.")
    return found


def differences(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """What differs between two JSON values, in the order of the keys and places."""
    if before is _MISSING:
        yield Difference(path=path, kind="added", after=after)
    elif after is _MISSING:
        yield Difference(path=path, kind="removed", before=before)
    elif isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            place = key.replace("~", "~0").replace("/", "~1")
            yield from differences(before.get(key, _MISSING), after.get(key, _MISSING), f"{path}/{place}")
    elif isinstance(before, list) and isinstance(after, list):
        for number, (left, right) in enumerate(zip_longest(before, after, fillvalue=_MISSING)):
            yield from differences(left, right, f"{path}/{number}")
    elif before != after or type(before) is not type(after):  # 1 and true are equal to Python
        yield Difference(path=path, kind="changed", before=before, after=after)


def stated_differences(before: Any, after: Any) -> tuple[list[FieldChange], int]:
    """What an event states of two JSON values, bounded, and how many more differences there are."""
    found: list[FieldChange] = []
    count, room = 0, MAX_STATED_BYTES
    for one in differences(before, after):
        count += 1
        change = FieldChange(field=one.path, before=one.before, after=one.after)
        room -= len(change.model_dump_json().encode()) if room > 0 else 0
        if room > 0 and len(found) < MAX_DIFFERENCES:
            found.append(change)
    return found, count - len(found)


def table(document: Document[C], *, applied: Applied[C] | None = None, guard: Guard[C] | None = None) -> Table:
    """What answers a document's operations.

    ``applied(tx, published)`` is called in the transaction that publishes or rolls back, where that must move something
    else. ``guard(tx, content, granter)`` of a document that gives rights raises if the caller may not give these.
    """

    async def show(read: Read, params: Nothing) -> Published[C]:
        return await current(read.pool, document, read.site)

    async def change(tx: Tx, body: Publication[C] | PublicationSealed[C] | Rollback | RollbackSealed) -> Published[C]:
        if isinstance(body, Rollback):
            published = await roll_back(tx, document, body.version, body.reason, body.expected_version)
        else:
            published = await publish(tx, document, body.content, body.reason, body.expected_version)
        if guard is not None:
            assert isinstance(body, PublicationSealed | RollbackSealed)  # noqa: S101  the document says that it grants
            await guard(tx, published.content, body)
        if applied is not None:
            await applied(tx, published)
        return published

    async def versions(read: Read, params: VersionFilter) -> Page[VersionInfo]:
        given = {"kind": document.noun, "site": read.site}
        found = await LIST_VERSIONS.page(read.pool, given, limit=params.limit, cursor=params.cursor)
        return Page[VersionInfo](items=[VersionInfo(**row) for row in found.rows], next_cursor=found.next_cursor)

    async def version(read: Read, params: VersionKey) -> VersionShown:
        row = (await _rows(read.pool, document, read.site, params.version))[params.version]
        return VersionShown(**{**row, "content": orjson.loads(row["content"])})

    async def diff(read: Read, params: DiffKey) -> Diff:
        against = params.version - 1 if params.against is None else params.against
        found = await _rows(read.pool, document, read.site, params.version, *([against] if against else []))
        text = found[against]["content"] if against else canonical(document.default)
        every = list(differences(orjson.loads(text), orjson.loads(found[params.version]["content"])))
        return Diff(
            version=params.version,
            against=against,
            differences=every[:MAX_DIFFERENCES],
            left_out=max(0, len(every) - MAX_DIFFERENCES),
        )

    return Table(
        commands={document.publish: change, document.rollback: change},
        queries={
            document.show: show,
            document.versions: versions,
            document.version: version,
            document.diff: diff,
        },
    )
