"""Where each version of a subject stands at each gate, as the last look at each has left it."""

from __future__ import annotations

from functools import partial

from libs.common.contracts.governance import stages as contract
from libs.common.contracts.governance.runs import verdict_word
from libs.common.contracts.governance.stages import Stage, StagedVersion, StageFilter, Stages
from libs.common.service import Read, Table
from services.governance.catalog import Catalog

MAX_RUNS = 200  # of one version at one gate, among which the newest of each line is looked for

# A version of which only runs tell, and no signal, is not among them: nobody knows when it came.
SELECT_STAGES = f"""
SELECT seen.version, seen.first_at, seen.artifact_digest AS named_digest, run.gate, run.line, run.run_id, run.decision,
    run.status, run.decided_at, run.artifact_digest, held.since, held.valid_until,
    held.run_id IS NOT NULL AND coalesce(held.valid_until > $6, true) AS holds
FROM (
    SELECT version, first_at, artifact_digest FROM versions_seen
    WHERE site = $1 AND subject = $2 ORDER BY first_at DESC, version LIMIT $5
) AS seen
LEFT JOIN LATERAL (
    SELECT DISTINCT ON (place, past.line) place, past.*
    FROM unnest($3::text[]) WITH ORDINALITY AS of (gate, place) CROSS JOIN LATERAL (
        SELECT gate, line, run_id, decision, status, decided_at, artifact_digest FROM runs
        WHERE runs.gate = of.gate AND runs.site = $1 AND runs.subject = $2 AND runs.version = seen.version
        ORDER BY run_id DESC LIMIT {MAX_RUNS}
    ) AS past
    WHERE $4::text IS NULL OR past.line = $4
    ORDER BY place, past.line, past.run_id DESC
) AS run ON true
LEFT JOIN valid_gos AS held ON held.gate = run.gate AND held.site = $1 AND held.subject = $2
    AND held.version = seen.version AND held.line = run.line
ORDER BY seen.first_at DESC, seen.version, run.place, run.line
"""  # noqa: S608 - a number of our own


async def list_stages(catalog: Catalog, read: Read, wanted: StageFilter) -> Stages:
    """The newest versions with the newest verdict of each gate and line. Raises `NotFound` for an unknown gate."""
    gates = await catalog.gates(read.pool, read.site)
    if wanted.gate is not None:
        await catalog.check(read.pool, wanted.gate, read.site)
        gates = [wanted.gate]
    rows = await read.pool.fetch(
        SELECT_STAGES, read.site, wanted.subject, gates, wanted.line, wanted.limit + 1, read.now
    )
    versions: dict[str, StagedVersion] = {}
    for row in rows:
        of = versions.setdefault(
            row["version"],
            StagedVersion(
                version=row["version"], first_at=row["first_at"], artifact_digest=row["named_digest"], stages=[]
            ),
        )
        if row["run_id"] is not None:
            about = {name: row[name] for name in Stage.model_fields if name != "verdict"}
            of.stages.append(Stage(**about, verdict=verdict_word(row["decision"], row["status"])))
    found = list(versions.values())
    return Stages(
        subject=wanted.subject,
        site=read.site,
        versions=found[: wanted.limit],
        has_more=len(found) > wanted.limit,
    )


def table(catalog: Catalog) -> Table:
    """What this module answers."""
    return Table(queries={contract.list_stages: partial(list_stages, catalog)})
