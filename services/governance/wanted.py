"""Which sites' rules read a kind of facts, and how fresh they want it: for services that make such facts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from libs.common.contracts.governance import kinds as contract
from libs.common.contracts.governance.kinds import KindName, KindWanted
from libs.common.problems import Conflict, NotFound
from libs.common.service import Read, Table
from libs.common.versions import EVERYWHERE
from libs.judge.policy import Policy
from services.governance.catalog import Catalog

# What has been published last of each gate at each site, and whether its text names the kind: what does not need not
# be compiled.
SELECT_NAMING = """
SELECT gate, site, version, position($1 IN content) > 0 AS names_kind
FROM (SELECT DISTINCT ON (gate, site) gate, site, version, content FROM policies ORDER BY gate, site, version DESC)
"""


async def wanted_kinds(catalog: Catalog, read: Read, asked: KindName) -> list[KindWanted]:
    """The sites whose rules in force read this kind, everywhere's as `global`, with the shortest of their limits.

    A site's own policy may shorten the limit of everywhere's rule without naming the kind.
    """
    versions: dict[str, dict[str, int]] = defaultdict(dict)
    naming = {(gate, EVERYWHERE) for gate, policy in catalog.policies.items() if any(_limits(policy, asked.kind))}
    for gate, site, version, names_kind in await read.pool.fetch(SELECT_NAMING, asked.kind):
        versions[gate][site] = version
        naming.discard((gate, site))  # the file is in force only where nobody has published
        if names_kind:
            naming.add((gate, site))
    found: dict[str, list[timedelta | None]] = defaultdict(list)
    for gate in {gate for gate, _ in naming}:
        known = versions[gate]
        everywhere = (gate, EVERYWHERE) in naming
        for site in {EVERYWHERE, *known} if everywhere else {site for name, site in naming if name == gate}:
            try:
                in_force = await catalog.at_versions(
                    read.pool, gate, site, known.get(EVERYWHERE, 0), known.get(site, 0)
                )
            except (NotFound, Conflict):
                continue  # what can't be judged at all wants no facts
            found[site] += _limits(in_force.both, asked.kind)
    return [KindWanted(site=site, max_age_s=_shortest(limits)) for site, limits in sorted(found.items()) if limits]


def _limits(policy: Policy, kind: str) -> Iterator[timedelta | None]:
    """The limit of each rule that reads the kind."""
    for rule in policy.rules:
        if rule.kind == kind:
            yield rule.age_limit
        for need in rule.needs:
            if need.kind == kind:
                yield None if need.max_age_hours is None else timedelta(hours=need.max_age_hours)


def _shortest(limits: list[timedelta | None]) -> float | None:
    return min((limit.total_seconds() for limit in limits if limit is not None), default=None)


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    return Table(queries={contract.wanted_kinds: partial(wanted_kinds, catalog)})
