"""The gates that this process judges: their policies by name, and what kinds of signals they read."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from libs.common.contracts.base import Nothing
from libs.common.contracts.governance import gates as contract
from libs.common.contracts.governance.gates import GateInfo, GateName, RuleInfo
from libs.common.contracts.governance.runs import GateTarget
from libs.common.listing import Source
from libs.common.problems import Conflict, Invalid, NotFound
from libs.common.service import Read, Table
from libs.common.versions import EVERYWHERE
from libs.judge.combine import binds, combine
from libs.judge.kinds import KINDS, MARKING, reads_too
from libs.judge.lines import line_of
from libs.judge.policy import Policy, PolicyError, parse_policy
from libs.judge.policy_model import SubjectMode

SITE_SUBJECT = "site"  # the subject of gates that judge a whole site


@dataclass(frozen=True, slots=True)
class Target:
    """What a gate judges: ``version`` is "" for a whole site.

    ``line``: as somebody named it ("": nobody did), until `placed` puts the target into the line that it belongs to.
    ``artifact_digest``: of the very artifact; "": of the one that the newest signal of the version names, if one does.
    """

    gate: str
    site: str
    subject: str
    version: str
    line: str = ""
    artifact_digest: str = ""

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What its GO is found by: gate, site, subject, version, line."""
        return self.gate, self.site, self.subject, self.version, self.line

    def placed(self, policy: Policy) -> Target:
        """The target in the line that the policy derives, or else in the one that was named.

        Raises `Invalid` if the policy can derive none, or another than was named: nobody picks his own baseline.
        """
        if not policy.line_pattern:
            return self
        try:
            derived = line_of(policy.line_pattern, self.version)
        except ValueError as error:
            raise Invalid(
                f"The gate {self.gate} derives the line of a version by {policy.line_pattern}, and of "
                f"{self.version[:80]} it can't: {error}. Give versions such numbers, or publish another line_pattern."
            ) from error
        if self.line not in ("", derived):
            raise Invalid(
                f"The gate {self.gate} puts {self.version[:80]} into the line {derived}, not into {self.line}; leave "
                "the line out, or name that one."
            )
        return replace(self, line=derived)


MAX_KEPT = 100  # policies that are kept compiled; one is at most 512 KiB of text

# At most one row for each site that has published; the text only where the process does not hold it yet.
SELECT_NEWEST = """
SELECT newest.* FROM unnest(ARRAY['global', $2]) AS sites (site) CROSS JOIN LATERAL (
    SELECT site, version FROM policies
    WHERE policies.gate = $1 AND policies.site = sites.site ORDER BY version DESC LIMIT 1
) AS newest
"""
SELECT_TEXT = "SELECT content FROM policies WHERE gate = $1 AND site = $2 AND version = $3"
SELECT_PUBLISHED = """
SELECT gate, site, max(version) AS version FROM policies
WHERE site = 'global' OR site = $1 OR $1 IS NULL GROUP BY gate, site ORDER BY gate, site
"""


@dataclass(frozen=True, slots=True)
class InForce:
    """What is in force of a gate at a site: everywhere's policy (version 0: the file), and the site's own beside it."""

    common: Policy | None
    common_version: int
    own: Policy | None
    own_version: int
    both: Policy

    def policy(self, subject: str) -> Policy:
        """What judges this subject. Raises `Invalid` if no policy binds it."""
        bound = [one for one in (self.common, self.own) if one is not None and binds(one, subject)]
        if not bound:
            raise Invalid(
                f"The gate {self.both.name} does not bind the subject {subject[:80]}; its policy lists the subjects."
            )
        return bound[0] if len(bound) == 1 else self.both


class Catalog:
    """The policies in force: the files, read once at start, and what has been published since, read at each run."""

    def __init__(self, policies: Mapping[str, Policy]) -> None:
        self.policies = dict(policies)
        self._scopes: dict[str, set[str]] = {}
        self._modes: dict[tuple[str, str], SubjectMode] = {}
        self._kept: OrderedDict[tuple[str, str, int], Policy] = OrderedDict()
        self._combined: OrderedDict[tuple[str, str], Policy] = OrderedDict()
        for policy in self.policies.values():
            self._read_scopes(policy)

    def _read_scopes(self, policy: Policy) -> None:
        for rule in policy.rules:
            for kind in (rule.kind, *reads_too(rule.kind)):
                self._scopes.setdefault(kind, set()).add(rule.scope)
            for kind in reads_too(rule.kind):
                if kind in MARKING:
                    self._scopes[kind].update(("subject", "version"))
            for need in rule.needs:
                self._scopes.setdefault(need.kind, set()).update(("subject", "version"))

    async def in_force(self, source: Source, gate: str, site: str) -> InForce:
        """What judges a gate at a site now. Raises `NotFound` naming the gates there are."""
        rows = await source.fetch(SELECT_NEWEST, gate, site)
        found = {row["site"]: row["version"] for row in rows}
        return await self.at_versions(source, gate, site, found.get(EVERYWHERE, 0), found.get(site, 0))

    async def at_versions(self, source: Source, gate: str, site: str, version: int, own_version: int) -> InForce:
        """The same by the numbers of the versions (0: nobody has published), without asking for them."""
        common = await self._version(source, gate, EVERYWHERE, version) if version else self.policies.get(gate)
        # At `global` itself its own policy is everywhere's.
        own_version = 0 if site == EVERYWHERE else own_version
        own = await self._version(source, gate, site, own_version) if own_version else None
        if own is None and common is None:
            raise NotFound(f"There is no gate {gate}; the gates are {', '.join(await self.gates(source, site))}.")
        return InForce(common, version, own, own_version, self._both(common, own))

    def _both(self, common: Policy | None, own: Policy | None) -> Policy:
        if common is None or own is None:
            only = common or own
            assert only is not None  # noqa: S101 - the caller has looked
            return only
        key = (common.digest, own.digest)
        if key not in self._combined:
            try:
                self._combined[key] = combine(common, own)
            except PolicyError as error:
                raise Conflict(f"{error.message}; publish one that fits, or set the file right.") from error
        self._combined.move_to_end(key)
        while len(self._combined) > MAX_KEPT:
            self._combined.popitem(last=False)
        return self._combined[key]

    async def _version(self, source: Source, gate: str, site: str, version: int) -> Policy:
        """A published version, compiled once: its text never changes."""
        key = (gate, site, version)
        if key not in self._kept:
            (row,) = await source.fetch(SELECT_TEXT, gate, site, version)
            try:
                # A thousand rules take a second, which other messages should not wait for.
                policy = await asyncio.to_thread(parse_policy, row["content"].encode(), f"{gate}.yaml")
            except PolicyError as error:
                # What somebody has published is never replaced by something else behind their back.
                raise Conflict(
                    f"Version {version} of the policy {gate} of {site} does not fit this version of Headgate: "
                    f"{error.message}"
                ) from error
            self._kept[key] = policy
            self._read_scopes(policy)
            self._modes[gate, site] = policy.subject_mode
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]

    async def gates(self, source: Source, site: str | None) -> list[str]:
        """The gates of a site (None: of any) by name: those of the files first, then what only has been published."""
        rows = await source.fetch(SELECT_PUBLISHED, site)
        return list(dict.fromkeys((*self.policies, *(row["gate"] for row in rows))))

    async def check(self, source: Source, gate: str, site: str) -> None:
        """Raise `NotFound` if the site has no such gate. Of a gate that has a file nobody need be asked."""
        if gate not in self.policies:
            await self.in_force(source, gate, site)

    def is_judged(self, kind: str) -> bool:
        """Whether a policy could read this kind of signal: a policy that is published tomorrow reads today's facts."""
        return kind in KINDS

    async def check_version(self, source: Source, kind: str, version: str, which: str = "This") -> None:
        """Raise `Invalid` if no rule could ever read a fact of ``kind`` with (or without) this version.

        What has been published elsewhere meanwhile is only read where the signal would be refused without it.
        """
        if self._refusal(kind, version, which) is None:
            return
        for row in await source.fetch(SELECT_PUBLISHED, None):
            await self._version(source, row["gate"], row["site"], row["version"])
        refusal = self._refusal(kind, version, which)
        if refusal is not None:
            raise Invalid(refusal)

    def _refusal(self, kind: str, version: str, which: str) -> str | None:
        scopes = self._scopes.get(kind)
        if scopes == {"subject"} and version:
            return f"{which} is of the kind {kind}, which tells of no single version; leave the version out."
        if scopes == {"version"} and not version:
            return f"{which} is of the kind {kind}, which tells of one version; give it, such as version=1.4.2."
        return None

    async def target(self, source: Source, wanted: GateTarget, site: str) -> Target:
        """What to judge, not yet `placed`. Raises `NotFound` for an unknown gate, `Invalid` for a wrong field."""
        gate, subject, version = wanted.gate, wanted.subject, wanted.version
        if await self._mode(source, gate, site) == "site":
            if (
                subject is not None
                or version is not None
                or wanted.line is not None
                or wanted.artifact_digest is not None
            ):
                raise Invalid(
                    f"The gate {gate} judges a whole site; leave subject and version out, and line and digest, too."
                )
            return Target(gate, site, SITE_SUBJECT, "")
        if subject is None or version is None:
            raise Invalid(f"The gate {gate} judges one version of one subject; give both subject and version.")
        return Target(gate, site, subject, version, wanted.line or "", wanted.artifact_digest or "")

    async def _mode(self, source: Source, gate: str, site: str) -> SubjectMode:
        """It never changes while a gate has a name, so what is known need not be asked for."""
        if gate in self.policies:
            return self.policies[gate].subject_mode
        known = self._modes.get((gate, EVERYWHERE)) or self._modes.get((gate, site))
        return known or (await self.in_force(source, gate, site)).both.subject_mode


def _gate_info(policy: Policy) -> GateInfo:
    return GateInfo(
        gate=policy.name,
        title=policy.title,
        description=policy.description,
        subject_mode=policy.subject_mode,
        line_pattern=policy.line_pattern,
        allow_warning=policy.allow_warning,
        min_weighted_score_percent=policy.min_weighted_score_percent,
        policy_digest=policy.digest,
        rules=[
            RuleInfo(
                id=rule.id,
                title=rule.title,
                kind=rule.kind,
                required=rule.required,
                weight=rule.weight,
                condition=rule.condition.expression,
                max_age_hours=rule.max_age_hours,
                owner_role=rule.owner_role,
                sla_hours=rule.sla_hours,
                action=rule.action,
            )
            for rule in policy.rules
        ],
    )


async def list_gates(catalog: Catalog, read: Read, _params: Nothing) -> list[GateInfo]:
    """All gates that are in force everywhere, those of the files first."""
    names = await catalog.gates(read.pool, EVERYWHERE)
    return [_gate_info((await catalog.in_force(read.pool, name, EVERYWHERE)).both) for name in names]


async def get_gate(catalog: Catalog, read: Read, params: GateName) -> GateInfo:
    """One gate as it is in force everywhere. Raises `NotFound`."""
    return _gate_info((await catalog.in_force(read.pool, params.gate, EVERYWHERE)).both)


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    return Table(
        queries={contract.list_gates: partial(list_gates, catalog), contract.get_gate: partial(get_gate, catalog)},
    )
