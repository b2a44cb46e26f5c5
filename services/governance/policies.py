"""Policies as people publish them: drafts, versions and what is in force. See `contracts.governance.policies`.

A text that is published here is judged from the next run on, in every replica; what is GO by the one before is judged
anew by the job `rejudge`.
"""

from __future__ import annotations

import asyncio
from difflib import unified_diff
from functools import partial
from hashlib import sha256
from typing import Any

import asyncpg

from libs.common.columns import listed, names_of
from libs.common.contracts.base import Nothing, Page
from libs.common.contracts.blobs import Blob
from libs.common.contracts.changes import stated
from libs.common.contracts.governance import policies as contract
from libs.common.contracts.governance.policies import (
    BacktestCounts,
    PolicyDiff,
    PolicyDiffKey,
    PolicyDraft,
    PolicyDraftChanged,
    PolicyDraftDrop,
    PolicyDraftSave,
    PolicyName,
    PolicyPart,
    PolicyPublication,
    PolicyPublished,
    PolicyRollback,
    PolicyShown,
    PolicySummary,
    PolicyVersion,
    PolicyVersionKey,
    PolicyVersions,
    PolicyVersionShown,
)
from libs.common.contracts.roles import ROLES, may
from libs.common.listing import Listing, Source, newest
from libs.common.problems import Conflict, Invalid, NotFound, errors_in
from libs.common.service import Read, Table, Tx
from libs.common.versions import EVERYWHERE
from libs.judge.combine import combine
from libs.judge.lint import lint, lint_kinds
from libs.judge.lockout import cautions
from libs.judge.policy import Policy, PolicyError, parse_policy
from libs.judge.policy_schema import policy_schema
from libs.judge.policy_tests import run_cases
from services.governance.catalog import Catalog, InForce
from services.governance.inputs.own_kinds import declared
from services.governance.policy_changes import policy_changes
from services.governance.publishing import check_approved
from services.governance.recheck import recheck

MAX_GATES = 100  # that a site has published policies of
MAX_DIFF_LINES = 1_000
OTHER_DRAFT = "Somebody saved or dropped the draft of {gate} meanwhile; look at it before you replace or drop it."

_SHOWN = listed((*names_of(PolicyVersion), "content"))
SELECT_VERSIONS = f"""
SELECT {_SHOWN} FROM policies WHERE gate = $1 AND site = $2 AND version = ANY ($3::integer[])
"""  # noqa: S608 - names of our own class
# The newest version of the site's own, of how many gates it has any, and what the text's newest backtest found.
SELECT_LAST = f"""
SELECT {_SHOWN}, (SELECT count(DISTINCT others.gate) FROM policies AS others WHERE others.site = $2) AS gates, (
    SELECT to_jsonb(counts) FROM (
        SELECT {listed(names_of(BacktestCounts))} FROM policy_backtests
        WHERE policy_backtests.gate = $1 AND policy_backtests.site = $2 AND policy_backtests.digest = $3
            AND state = 'done' ORDER BY backtest_id DESC LIMIT 1
    ) AS counts
) AS tried
FROM (SELECT 1) AS one LEFT JOIN LATERAL (
    SELECT * FROM policies WHERE gate = $1 AND site = $2 ORDER BY version DESC LIMIT 1
) AS last ON true
"""  # noqa: S608
SELECT_MODE_ELSEWHERE = (
    "SELECT content FROM policies WHERE gate = $1 AND site <> $2 ORDER BY site, version DESC LIMIT 1"
)
# No row: somebody published meanwhile, or the version was not the one expected.
INSERT_VERSION = """
INSERT INTO policies (gate, site, version, content, digest, author, reason, issue, restores, published_at, backtest)
SELECT $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6, $7, $8, $9, $11
FROM policies WHERE gate = $1 AND site = $2
HAVING $10::integer IS NULL OR coalesce(max(version), 0) = $10
ON CONFLICT DO NOTHING RETURNING version
"""
# It looks, and locks, before it writes. No row: the draft is neither the expected one nor this very text.
SAVE_DRAFT = """
WITH was AS MATERIALIZED (SELECT digest FROM policy_drafts WHERE gate = $1 AND site = $2 FOR UPDATE)
INSERT INTO policy_drafts AS kept (gate, site, content, digest, saved_by, saved_at)
SELECT $1, $2, $3, $4, $5, $6 FROM (SELECT coalesce(max(digest), '') AS digest FROM was) AS looked
WHERE $7::text IS NULL OR looked.digest IN ($7, $4)
ON CONFLICT (gate, site) DO UPDATE SET content = $3, digest = $4, saved_by = $5, saved_at = $6
WHERE $7 IS NULL OR kept.digest IN ($7, $4)
RETURNING coalesce((SELECT digest FROM was), '')
"""
SELECT_DRAFT = "SELECT gate, content, digest, saved_by, saved_at FROM policy_drafts WHERE gate = $1 AND site = $2"
DROP_DRAFT = """
DELETE FROM policy_drafts WHERE gate = $1 AND site = $2 AND ($3::text IS NULL OR digest = $3) RETURNING digest
"""
LIST_VERSIONS = Listing(
    table="policies",
    columns=listed(names_of(PolicyVersion)),
    scope={"gate": "text", "site": "text"},
    order=newest("version"),
)


async def publish(catalog: Catalog, tx: Tx, body: PolicyPublication) -> PolicyVersionShown:
    """Publish a text as the site's newest version. Raises `Invalid` for what can't be published, `Conflict`."""
    await _check(catalog, tx, body.gate, body.content)
    await check_approved(catalog, tx, body.gate, body.content)
    return await _store(tx, body, body.content, None)


async def roll_back(catalog: Catalog, tx: Tx, body: PolicyRollback) -> PolicyVersionShown:
    """Publish the text of an earlier version again, byte for byte. Raises like `publish`, and `NotFound`."""
    text = (await _rows(tx.connection, body.gate, tx.site, body.version))[body.version]["content"]
    await _check(catalog, tx, body.gate, text)
    await check_approved(catalog, tx, body.gate, text)
    return await _store(tx, body, text, body.version)


async def _check(catalog: Catalog, tx: Tx, gate: str, content: str) -> None:
    """Raise `Invalid` with everything that forbids publishing this text at the site."""
    problems = await _problems(catalog, tx.connection, gate, tx.site, content, tx)
    if problems:
        raise Invalid(f"The policy can't be published: {'; '.join(problems)}.", errors=errors_in("content", problems))


async def _problems(catalog: Catalog, source: Source, gate: str, site: str, content: str, now: Tx | Read) -> list[str]:
    try:
        policy = await asyncio.to_thread(parse_policy, content.encode(), f"{gate}.yaml")
    except PolicyError as error:
        return [error.message]
    if policy.name != gate:
        return [f"{policy.file}: name is {policy.name}, and this is the policy of the gate {gate}"]
    other = await _other(catalog, source, gate, site)
    if other is not None and other.subject_mode != policy.subject_mode:
        return [f"{policy.file}: subject_mode must stay {other.subject_mode}: boards and runs of the gate go by it"]
    if site != EVERYWHERE and other is not None:
        combine(other, policy)
        common = await _common(catalog, source, gate, site)
        if common is not None and policy.line_pattern and common.line_pattern not in ("", policy.line_pattern):
            return [f"{policy.file}: line_pattern is {common.line_pattern} everywhere, which a site can't change"]
    own = await declared(source, {*policy.kinds, *(fact.kind for case in policy.cases for fact in case.facts)})
    circle = await _circle(catalog, source, policy, site)
    # Tests may hold large data, and other messages should not wait for them.
    tried = await asyncio.to_thread(run_cases, policy, own)
    return [*lint(policy, now.now), *lint_kinds(policy, own), *_unknown_roles(policy), *circle, *tried]


def _unknown_roles(policy: Policy) -> list[str]:
    """Roles that could never approve, so that the gate would say NO-GO for ever."""
    named = {role for terms in (*policy.approvals, *policy.publish_approvals) for role in terms.roles}
    able = [role for role in ROLES if may(role, "gate:approve")]
    return [
        f"{policy.file}: approvals: no {role} may approve; the roles are {', '.join(able)}"
        for role in sorted(named.difference(able))
    ]


async def _circle(catalog: Catalog, source: Source, policy: Policy, site: str) -> list[str]:
    """Gates that would wait for each other's GO, so that none of them ever gets its first."""
    to_see, from_ = list(policy.stage_gates), dict.fromkeys(policy.stage_gates, policy.name)
    while to_see:
        gate = to_see.pop()
        try:
            found = (await catalog.in_force(source, gate, site)).both
        except (NotFound, Conflict):
            continue  # it never says GO as it is
        for wanted in found.stage_gates:
            if wanted == policy.name:
                way = [gate]
                while from_[way[-1]] != policy.name:
                    way.append(from_[way[-1]])
                return [
                    f"{policy.file}: {policy.name} would wait for {', which waits for '.join([*way[::-1], wanted])}"
                ]
            if wanted not in from_:
                from_[wanted] = gate
                to_see.append(wanted)
    return []


async def _warnings(gate: str, content: str) -> list[str]:
    """What may be meant so, of a text that can be read."""
    try:
        policy = await asyncio.to_thread(parse_policy, content.encode(), f"{gate}.yaml")
    except PolicyError:
        return []
    return list(await asyncio.to_thread(cautions, policy))


async def _common(catalog: Catalog, source: Source, gate: str, site: str) -> Policy | None:
    """What is in force of the gate everywhere."""
    try:
        return (await catalog.in_force(source, gate, site)).common
    except NotFound:
        return None


async def _other(catalog: Catalog, source: Source, gate: str, site: str) -> Policy | None:
    """A policy of the same gate that there is already: in force here, else anywhere."""
    try:
        return (await catalog.in_force(source, gate, site)).both
    except NotFound:
        rows = await source.fetch(SELECT_MODE_ELSEWHERE, gate, site)
        return parse_policy(rows[0]["content"].encode(), f"{gate}.yaml") if rows else None


async def _store(
    tx: Tx, body: PolicyPublication | PolicyRollback, content: str, restores: int | None
) -> PolicyVersionShown:
    gate, digest = body.gate, sha256(content.encode()).hexdigest()
    last = await tx.connection.fetchrow(SELECT_LAST, gate, tx.site, digest)
    assert last is not None  # noqa: S101 - it always has one row
    if last["version"] is None and last["gates"] >= MAX_GATES:
        raise Invalid(f"The site has policies of {MAX_GATES} gates, which is the most.")
    # What is GO by the text before is judged anew by this one, and no run that has begun can miss it.
    await recheck(tx, site=tx.site, gate=gate)
    values = (gate, tx.site, content, digest, tx.actor, body.reason, body.issue, restores, tx.now)
    version = await tx.connection.fetchval(INSERT_VERSION, *values, body.expected_version, last["tried"])
    if version is None:
        own = last["version"] or 0
        raise Conflict(f"The site's own version of the policy {gate} is {own} now; read it, then publish again.",
                       own_version=own)  # fmt: skip
    await tx.connection.execute(DROP_DRAFT, gate, tx.site, digest)  # not what somebody else writes meanwhile
    shown = PolicyVersionShown(
        gate=gate, version=version, digest=digest, author=tx.actor, reason=body.reason, issue=body.issue,
        restores=restores, published_at=tx.now, content=content, backtest=last["tried"],
        warnings=await _warnings(gate, content),
    )  # fmt: skip
    diff = _diff(gate, last["version"] or 0, last["content"] or "", version, content)
    changes, left_out = await policy_changes(gate, last["content"] or "", content)
    told = PolicyPublished(
        **shown.model_dump(), site=tx.site, diff=diff, changes=changes, changes_left_out=left_out
    )  # fmt: skip
    tx.emit(contract.policy_published, told, subject=gate)
    return shown


def _diff(gate: str, before_version: int, before: str, version: int, content: str) -> list[str]:
    """A unified diff; what is beyond 1,000 lines is left out, and the last line says so."""
    names = f"{gate} version {before_version}", f"{gate} version {version}"
    lines = list(unified_diff(before.splitlines(), content.splitlines(), *names, lineterm=""))
    rest = len(lines) - MAX_DIFF_LINES
    return lines if rest <= 0 else [*lines[:MAX_DIFF_LINES], f"… and {rest} more lines"]


async def _rows(source: Source, gate: str, site: str, *versions: int) -> dict[int, asyncpg.Record]:
    found = {row["version"]: row for row in await source.fetch(SELECT_VERSIONS, gate, site, list(versions))}
    for version in versions:
        if version not in found:
            raise NotFound(f"This site has no version {version} of the policy {gate} of its own; list the versions.")
    return found


async def show(catalog: Catalog, read: Read, params: PolicyName) -> PolicyShown:
    """What is in force at the site. Raises `NotFound`."""
    found = await catalog.in_force(read.pool, params.gate, read.site)
    parts = [_part(EVERYWHERE, found.common_version, found.common), _part(read.site, found.own_version, found.own)]
    return PolicyShown(
        gate=params.gate,
        title=found.both.title,
        digest=found.both.digest,
        parts=[part for part in parts if part is not None],
    )


def _part(site: str, version: int, policy: Policy | None) -> PolicyPart | None:
    if policy is None:
        return None
    return PolicyPart(
        site=site, version=version, digest=policy.digest, content=policy.text, overridden=dict(policy.overridden)
    )


async def list_policies(catalog: Catalog, read: Read, _params: Nothing) -> list[PolicySummary]:
    """What is in force at the site, gate by gate."""
    names = await catalog.gates(read.pool, read.site)
    return [_summary(name, await catalog.in_force(read.pool, name, read.site)) for name in names]


def _summary(gate: str, found: InForce) -> PolicySummary:
    return PolicySummary(
        gate=gate,
        title=found.both.title,
        digest=found.both.digest,
        version=found.common_version,
        own_version=found.own_version,
    )


async def export(catalog: Catalog, read: Read, params: PolicyName) -> Blob:
    """The site's own text, else everywhere's, byte for byte. Raises `NotFound`."""
    found = await catalog.in_force(read.pool, params.gate, read.site)
    policy = found.own or found.common or found.both
    return Blob.of(policy.text.encode(), media_type="application/yaml", filename=f"{params.gate}.yaml")


async def versions(read: Read, params: PolicyVersions) -> Page[PolicyVersion]:
    """A page of the site's own versions, newest first. Raises `Invalid`."""
    given = {"gate": params.gate, "site": read.site}
    found = await LIST_VERSIONS.page(read.pool, given, limit=params.limit, cursor=params.cursor)
    return Page[PolicyVersion](items=[PolicyVersion(**row) for row in found.rows], next_cursor=found.next_cursor)


async def version(read: Read, params: PolicyVersionKey) -> PolicyVersionShown:
    """One version with its text. Raises `NotFound`."""
    return PolicyVersionShown(**(await _rows(read.pool, params.gate, read.site, params.version))[params.version])


async def diff(read: Read, params: PolicyDiffKey) -> PolicyDiff:
    """What a version changed. Raises `NotFound`."""
    against = params.version - 1 if params.against is None else params.against
    wanted = [params.version, *([against] if against else [])]
    found = await _rows(read.pool, params.gate, read.site, *wanted)
    before = found[against]["content"] if against else ""
    lines = _diff(params.gate, against, before, params.version, found[params.version]["content"])
    return PolicyDiff(gate=params.gate, version=params.version, against=against, lines=lines)


async def save_draft(catalog: Catalog, tx: Tx, body: PolicyDraftSave) -> PolicyDraft:
    """Keep a text that may still be wrong: its problems are told, and forbid only publishing it. Raises `Conflict`."""
    digest = sha256(body.content.encode()).hexdigest()
    text = body.content, digest
    before = await tx.connection.fetchval(SAVE_DRAFT, body.gate, tx.site, *text, tx.actor, tx.now, body.expected_digest)
    if before is None:
        raise Conflict(OTHER_DRAFT.format(gate=body.gate))
    _tell_draft(tx, body.gate, before, digest)
    problems = await _problems(catalog, tx.connection, body.gate, tx.site, body.content, tx)
    return PolicyDraft(
        gate=body.gate, content=body.content, digest=digest, saved_by=tx.actor, saved_at=tx.now, problems=problems,
        warnings=await _warnings(body.gate, body.content),
    )  # fmt: skip


async def show_draft(catalog: Catalog, read: Read, params: PolicyName) -> PolicyDraft:
    """The draft, checked now. Raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_DRAFT, params.gate, read.site)
    if row is None:
        raise NotFound(f"This site has no draft of the policy {params.gate}.")
    problems = await _problems(catalog, read.pool, params.gate, read.site, row["content"], read)
    return PolicyDraft(**row, problems=problems, warnings=await _warnings(params.gate, row["content"]))


async def drop_draft(tx: Tx, body: PolicyDraftDrop) -> PolicyDraftChanged:
    """Drop the draft. Raises `NotFound` and `Conflict`."""
    before = await tx.connection.fetchval(DROP_DRAFT, body.gate, tx.site, body.expected_digest)
    if before is None and await tx.connection.fetchrow(SELECT_DRAFT, body.gate, tx.site):
        raise Conflict(OTHER_DRAFT.format(gate=body.gate))
    if before is None:
        raise NotFound(f"This site has no draft of the policy {body.gate}.")
    return _tell_draft(tx, body.gate, before, "")


def _tell_draft(tx: Tx, gate: str, before: str, digest: str) -> PolicyDraftChanged:
    changes = stated({"digest": before}, {"digest": digest})
    told = PolicyDraftChanged(
        gate=gate, site=tx.site, digest=digest, saved_by=tx.actor, saved_at=tx.now, changes=changes
    )
    tx.emit(contract.policy_draft_changed, told, subject=gate)
    return told


async def schema(_read: Read, _params: Nothing) -> dict[str, Any]:
    """The JSON Schema of a policy's YAML: fixed by the code, so read from no table."""
    return policy_schema()


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    by_catalog: dict[Any, Any] = {
        contract.list_policies: partial(list_policies, catalog),
        contract.show_policy: partial(show, catalog),
        contract.export_policy: partial(export, catalog),
        contract.show_policy_draft: partial(show_draft, catalog),
    }
    return Table(
        commands={
            contract.publish_policy: partial(publish, catalog),
            contract.roll_back_policy: partial(roll_back, catalog),
            contract.save_policy_draft: partial(save_draft, catalog),
            contract.drop_policy_draft: drop_draft,
        },
        queries={
            **by_catalog,
            contract.list_policy_versions: versions,
            contract.show_policy_version: version,
            contract.diff_policy: diff,
            contract.policy_schema: schema,
        },
    )
