"""Kinds of one's own: published as a document for `global`, kept beside it as rows that verdicts read by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from libs.common import versions
from libs.common.contracts.governance.own_kinds import KINDS, KindsDeclared
from libs.common.contracts.versions import Published
from libs.common.listing import Source
from libs.common.problems import Invalid, errors_in
from libs.common.service import Tx
from libs.judge.own_kinds import OwnKind, compiled, may_be_own
from libs.judge.own_schemas import BadSchema
from services.governance.recheck import recheck

SELECT_DECLARED = "SELECT name, noun, schema, totals FROM own_kinds WHERE name = ANY ($1::text[]) ORDER BY name"
SELECT_ALL_DECLARED = "SELECT name, noun, schema, totals FROM own_kinds ORDER BY name"
DROP_DECLARED = "DELETE FROM own_kinds"
DECLARE = """
INSERT INTO own_kinds (name, noun, schema, totals)
SELECT name, noun, schema, totals FROM jsonb_to_recordset($1) AS new (name text, noun text, schema text, totals jsonb)
"""


def read_kind(row: Any) -> OwnKind:
    """A declaration from its row, or from its row as JSON."""
    return OwnKind(row["name"], row["noun"], row["schema"], tuple(row["totals"]))


async def declared(source: Source, names: Iterable[str]) -> tuple[OwnKind, ...]:
    """Those of the names that are declared. Nobody is asked where no name could be."""
    wanted = sorted({name for name in names if may_be_own(name)})
    return tuple(read_kind(row) for row in await source.fetch(SELECT_DECLARED, wanted)) if wanted else ()


async def all_declared(source: Source) -> tuple[OwnKind, ...]:
    """All that are declared, by name."""
    return tuple(read_kind(row) for row in await source.fetch(SELECT_ALL_DECLARED))


async def apply_kinds(tx: Tx, published: Published[KindsDeclared]) -> None:
    """Put a new version in force, and have each GO judged again. Raises `Invalid` for what can't be declared."""
    if tx.site != versions.EVERYWHERE:
        raise Invalid("Kinds are declared for the whole installation; publish them with site=global.")
    kinds = [OwnKind.of(one.name, one.noun, one.json_schema, one.totals) for one in published.content.kinds]
    problems = [problem for one in kinds if (problem := _problem(one))]
    if problems:
        raise Invalid(f"The kinds can't be published: {'; '.join(problems)}.", errors=errors_in("kinds", problems))
    await tx.connection.execute(DROP_DECLARED)
    await tx.connection.execute(DECLARE, [asdict(one) for one in kinds])
    await recheck(tx, site=versions.EVERYWHERE)


def _problem(kind: OwnKind) -> str:
    try:
        compiled(kind)
    except BadSchema as error:
        return str(error)
    return ""


TABLE = versions.table(KINDS, applied=apply_kinds)
