"""Sites: create and list."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from libs.common.contracts.base import Nothing
from libs.common.contracts.gateway import sites as contract
from libs.common.contracts.gateway.sites import SiteCreate, SiteView, site_created
from libs.common.problems import Conflict, Invalid
from libs.common.service import Connection, Read, Table, Tx
from services.gateway.domain.scope import ALL

INSERT_SITE = """
INSERT INTO sites (site, title, created_at) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING site, title, created_at
"""
SELECT_SITES = "SELECT site, title, created_at FROM sites WHERE $1 OR site = ANY($2) ORDER BY site LIMIT 1000"
SELECT_EVERY = "SELECT site FROM sites ORDER BY site"
SELECT_UNKNOWN = "SELECT name FROM unnest($1::text[]) AS name WHERE name NOT IN (SELECT site FROM sites)"


async def create_site(tx: Tx, body: SiteCreate) -> SiteView:
    """Make a site; raises `Conflict` if it exists."""
    row = await tx.connection.fetchrow(INSERT_SITE, body.site, body.title, tx.now)
    if row is None:
        raise Conflict(f"The site {body.site} exists already; choose another name.")
    view = SiteView(**row)
    tx.emit(site_created, view, subject=body.site, site=body.site)
    return view


async def list_sites(read: Read, _params: Nothing) -> bytes:
    """The sites in the asker's scope, at most 1,000; as JSON of `SiteView`s, straight from the rows."""
    rows = await read.pool.fetch(SELECT_SITES, ALL in read.sites, list(read.sites))
    return orjson.dumps([dict(row) for row in rows], option=orjson.OPT_UTC_Z)


async def every_site(read: Read, _params: Nothing) -> list[str]:
    """The names of all sites."""
    return [row["site"] for row in await read.pool.fetch(SELECT_EVERY)]


async def require_sites(connection: Connection, names: Iterable[str]) -> None:
    """Raise `Invalid` naming the sites that don't exist (``*`` is all and always exists)."""
    rows = await connection.fetch(SELECT_UNKNOWN, [name for name in names if name != ALL])
    if rows:
        unknown = ", ".join(row["name"] for row in rows)
        raise Invalid(f"There is no site {unknown}. Create it first with POST /api/sites.", sites=unknown)


TABLE = Table(
    commands={contract.create_site: create_site},
    queries={contract.list_sites: list_sites, contract.every_site: every_site},
)
