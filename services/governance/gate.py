"""Judges a gate over the facts in the database. The verdict itself is pure (`libs.judge`); here facts are read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg

from libs.common.contracts.governance.runs import GateSummary, RuleResult
from libs.judge.approval_evidence import evidence_of
from libs.judge.approvals import Evidence
from libs.judge.facts import MAX_PARTS, Fact, Facts, OpenFailure, Seen
from libs.judge.failures import MAX_READ
from libs.judge.history import LOOKED_BACK, MAX_RUNS, History
from libs.judge.plain import read
from libs.judge.policy import Policy
from libs.judge.stages import StageGo
from libs.judge.standing import Standing
from libs.judge.test_ids import PRINT_CHARS
from libs.judge.verdict import Verdict, judge
from libs.judge.voices import heard_kinds
from services.governance.catalog import Target
from services.governance.inputs.own_kinds import read_kind
from services.governance.inputs.signers import TRUSTED_SIGNER
from services.governance.standing import standing_of

if TYPE_CHECKING:
    from libs.common.service import Connection

# A run that only waits for people to approve has not failed: else asking for approval would itself break a streak.
ONLY_WAITS = """(jsonb_array_length(holds) > 0 AND jsonb_array_length(holds) = jsonb_array_length(reasons)
            AND NOT jsonb_path_exists(holds, '$[*] ? (@.kind <> "approval")'))"""
# Facts of the subject itself and of the version under judgement, never of another version: the newest signal of each
# part with what is still open of its earlier reports, the newest reports that could not be read, and the baseline: the
# facts that the last GO of the line used, from the signals as they were then. Beside them what people decided.
SELECT_FACTS = f"""
WITH verdicts AS (
    SELECT run_number, version, line, decision, decided_at, summary -> 'weighted_score_percent' AS score_percent,
        NOT (trigger = 'schedule' AND decision = 'go') AND NOT {ONLY_WAITS} AND run_id <> coalesce((
            SELECT held.run_id FROM valid_gos AS held WHERE held.gate = $6 AND held.site = $1 AND held.subject = $2
                AND held.version = ($3::text[])[cardinality($3::text[])] AND held.line = $10
        ), 0) AS counts
    FROM runs WHERE $11 AND gate = $6 AND site = $1 AND subject = $2 ORDER BY run_id DESC LIMIT {LOOKED_BACK}
)
SELECT 'current' AS place, facts.kind, facts.part, facts.version, facts.signal_id, facts.time, facts.good_signal_id,
    facts.good_time, signals.source, signals.event_id, signals.data, signals.problems,
    coalesce(signals.data_sha256, sha256(convert_to(signals.data::text, 'UTF8'))) AS data_sha256, open.tests,
    open.signal_ids, open.times, NULL::bigint AS run_number, coalesce(signals.actor, '') AS actor, facts.voice,
    facts.mixed, {TRUSTED_SIGNER} || facts.signers AS signers, signals.artifact_digest
FROM facts JOIN signals USING (signal_id)
LEFT JOIN LATERAL (
    SELECT array_agg(test) AS tests, array_agg(signal_id) AS signal_ids, array_agg(time) AS times
    FROM (
        SELECT test, signal_id, time FROM open_failures
        WHERE open_failures.fact_id = facts.fact_id AND open_failures.signal_id <> facts.signal_id LIMIT $5
    ) AS found
) AS open ON true
WHERE facts.site = $1 AND facts.subject = $2 AND facts.version = ANY ($3::text[]) AND facts.kind = ANY ($4::text[])
    AND (facts.voice = '' OR EXISTS (
        SELECT FROM unnest($8::text[], $9::text[]) AS heard (kind, actors)
        WHERE heard.kind = facts.kind AND facts.voice LIKE heard.actors
    ))
UNION ALL
SELECT 'unread', heads.kind, signals.part, heads.version, heads.signal_id, heads.time, heads.good_signal_id,
    heads.good_time, signals.source, signals.event_id, signals.data, signals.problems,
    coalesce(signals.data_sha256, sha256(convert_to(signals.data::text, 'UTF8'))), NULL, NULL, NULL, NULL,
    coalesce(signals.actor, ''), heads.voice, false, {TRUSTED_SIGNER}, signals.artifact_digest
FROM report_heads AS heads JOIN signals USING (signal_id)
WHERE heads.site = $1 AND heads.subject = $2 AND heads.version = ANY ($3::text[]) AND heads.kind = ANY ($4::text[])
    AND NOT heads.readable AND (heads.voice = '' OR EXISTS (
        SELECT FROM unnest($8::text[], $9::text[]) AS heard (kind, actors)
        WHERE heard.kind = heads.kind AND heads.voice LIKE heard.actors
    ))
UNION ALL
SELECT 'baseline', signals.kind, signals.part, signals.version, signals.signal_id,
    least(signals.time, signals.received_at), NULL, NULL, signals.source, signals.event_id, signals.data,
    signals.problems, coalesce(signals.data_sha256, sha256(convert_to(signals.data::text, 'UTF8'))), NULL, NULL, NULL,
    runs.run_number, coalesce(signals.actor, ''), '', false, {TRUSTED_SIGNER}, signals.artifact_digest
FROM gate_lines JOIN runs ON runs.run_id = gate_lines.last_go_run_id
CROSS JOIN LATERAL unnest(runs.fact_signals) AS used (signal_id)
JOIN signals ON signals.signal_id = used.signal_id
WHERE gate_lines.gate = $6 AND gate_lines.site = $1 AND gate_lines.subject = $2 AND gate_lines.line = $10
UNION ALL
SELECT 'waiver', '', '', '', waiver_id, NULL, NULL, NULL, '', '', to_jsonb(waivers), '[]', NULL, NULL, NULL, NULL,
    NULL, '', '', false, NULL, ''
FROM waivers
WHERE site = $1 AND gate = $6 AND subject = $2 AND state IN ('requested', 'approved') AND ends_at > $7
    AND state = 'approved'
UNION ALL
SELECT 'halt', '', '', '', halt_id, NULL, NULL, NULL, '', '', to_jsonb(halts), '[]', NULL, NULL, NULL, NULL,
    NULL, '', '', false, NULL, ''
FROM halts WHERE site IN ('global', $1) AND lifted_at IS NULL
UNION ALL
SELECT 'kind', '', '', '', NULL, NULL, NULL, NULL, '', '', to_jsonb(own_kinds), '[]', NULL, NULL, NULL, NULL,
    NULL, '', '', false, NULL, ''
FROM own_kinds WHERE name = ANY ($4::text[])
UNION ALL
SELECT 'approval', '', '', '', approval_id, NULL, NULL, NULL, '', '', to_jsonb(approvals), '[]', NULL, NULL, NULL,
    NULL, NULL, '', '', false, NULL, ''
FROM approvals
WHERE site = $1 AND gate = $6 AND subject = $2 AND version = ($3::text[])[cardinality($3::text[])]
    AND about = 'candidate' AND ref = '' AND withdrawn_at IS NULL
UNION ALL
SELECT 'retirement', '', '', '', retirement_id, NULL, NULL, NULL, '', '', to_jsonb(retirements), '[]', NULL, NULL, NULL,
    NULL, NULL, '', '', false, NULL, ''
FROM retirements WHERE site = $1 AND subject = $2 AND ended_at IS NULL AND kind = ANY ($4::text[])
UNION ALL
SELECT 'history', '', '', '', NULL, NULL, NULL, NULL, '', '', jsonb_build_object(
        'is_whole', (SELECT count(*) < {LOOKED_BACK} FROM verdicts),
        'newest_number', (SELECT coalesce(max(run_number), 0) FROM verdicts),
        'runs', (SELECT coalesce(jsonb_agg(to_jsonb(past) - 'counts' ORDER BY run_number DESC), '[]') FROM (
            (SELECT * FROM verdicts WHERE counts AND line = $10 ORDER BY run_number DESC LIMIT {MAX_RUNS})
            UNION
            (SELECT * FROM verdicts WHERE counts AND decision = 'go'
                AND version <> ($3::text[])[cardinality($3::text[])] ORDER BY run_number DESC LIMIT 1)
        ) AS past)
    ), '[]', NULL, NULL, NULL, NULL, NULL, '', '', false, NULL, ''
WHERE $11
UNION ALL
SELECT 'label', '', '', '', label_id, NULL, NULL, NULL, '', '', to_jsonb(version_labels), '[]', NULL, NULL, NULL,
    NULL, NULL, '', '', false, NULL, ''
FROM version_labels
WHERE site = $1 AND subject = $2 AND version = ($3::text[])[cardinality($3::text[])] AND removed_at IS NULL
UNION ALL
SELECT 'override', '', '', '', override_id, NULL, NULL, NULL, '', '', to_jsonb(overrides), '[]', NULL, NULL, NULL,
    NULL, NULL, '', '', false, NULL, ''
FROM overrides
WHERE site = $1 AND gate = $6 AND subject = $2 AND version = ($3::text[])[cardinality($3::text[])]
    AND revoked_at IS NULL AND ends_at > $7
UNION ALL
SELECT 'spent', '', '', '', NULL, NULL, NULL, NULL, '', '',
    jsonb_build_object('kind', kind, 'count', spent.count, 'quarter', to_char($7 AT TIME ZONE 'UTC', 'YYYY-"Q"Q')),
    '[]', NULL, NULL, NULL, NULL, NULL, '', '', false, NULL, ''
FROM unnest(ARRAY['waiver', 'override', 'forced_completion', 'baseline']) AS of (kind) CROSS JOIN LATERAL (
    SELECT count(*) FROM exception_spends AS spends
    WHERE spends.site = $1 AND spends.kind = of.kind
        AND spent_at >= date_trunc('quarter', $7 AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
        AND spent_at < (date_trunc('quarter', $7 AT TIME ZONE 'UTC') + interval '3 months') AT TIME ZONE 'UTC'
) AS spent WHERE spent.count > 0
UNION ALL
SELECT 'stage', '', '', '', NULL, NULL, NULL, NULL, '', '', jsonb_build_object('gate', gate, 'run_id', run_id,
        'since', since, 'valid_until', valid_until, 'artifact_digest', artifact_digest, 'line', line,
        'is_derived', line_derived), '[]', NULL, NULL, NULL, NULL, NULL, '', '', false, NULL, ''
FROM (
    SELECT * FROM valid_gos
    WHERE gate = ANY ($12::text[]) AND site = $1 AND subject = $2 AND version = ($3::text[])[cardinality($3::text[])]
    ORDER BY gate, line LIMIT 500
) AS stages
UNION ALL
SELECT 'artifact', '', '', version, digest_signal_id, NULL, NULL, NULL, '', '', NULL, '[]', NULL, NULL, NULL, NULL,
    NULL, '', '', false, NULL, artifact_digest
FROM versions_seen
WHERE site = $1 AND subject = $2 AND version = ($3::text[])[cardinality($3::text[])] AND artifact_digest <> ''
UNION ALL
SELECT 'accepted', '', '', '', accepted_id, NULL, NULL, NULL, '', '', to_jsonb(accepted_baselines), '[]', NULL, NULL,
    NULL, NULL, NULL, '', '', false, NULL, ''
FROM accepted_baselines
WHERE site = $1 AND gate = $6 AND subject = $2 AND line = $10 AND state IN ('requested', 'approved') AND ends_at > $7
    AND state = 'approved'
UNION ALL
SELECT 'freezes', '', '', '', NULL, NULL, NULL, NULL, '', '',
    jsonb_build_object('site', newest.site, 'content', newest.content), '[]', NULL, NULL, NULL, NULL, NULL, '',
    '', false, NULL, ''
FROM unnest(ARRAY['global', nullif($1, 'global')]) AS of (site) CROSS JOIN LATERAL (
    SELECT site, content FROM document_version WHERE kind = 'freezes' AND document_version.site = of.site
    ORDER BY version DESC LIMIT 1
) AS newest
"""  # noqa: S608 - numbers and a piece of SQL of our own
# What people decided, as `standing_of` takes it.
DECIDED = ("waiver", "halt", "freezes", "approval", "retirement", "label", "override", "spent", "accepted")
PLACES = ("current", "unread", "baseline", "kind", "history", "artifact", "stage", *DECIDED)
PACKED = ("tests_packed", "severe_packed")
INLINE_ENTRIES = 2_000  # tests and findings that are judged without a hop to a thread, which takes longer


@dataclass(frozen=True, slots=True)
class Looked:
    """A verdict with what it was made of. ``digests``: SHA-256 (hex) of the facts' data by signal id."""

    policy: Policy
    facts: Facts
    verdict: Verdict
    digests: Mapping[int, str]
    standing: Standing
    evidence: Evidence
    named_by: int | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """What a verdict is made of. ``digests``: SHA-256 (hex) of the facts' data by signal id. ``named_by``: the signal
    that says which artifact is judged, None where it was asked for by its digest or nobody names one.
    """

    facts: Facts
    standing: Standing
    digests: Mapping[int, str]
    named_by: int | None = None


async def look(connection: Connection | asyncpg.Pool, policy: Policy, target: Target, now: datetime) -> Looked:
    """Judge the facts that count now of a target that is `placed`. Nothing is stored."""
    found = await gather(connection, policy, target, now)
    verdict = await judged(policy, found.facts, now, found.standing)
    evidence = evidence_of(policy, found.facts, found.standing, verdict.rules, now)
    return Looked(policy, found.facts, verdict, found.digests, found.standing, evidence, found.named_by)


async def judged(policy: Policy, facts: Facts, now: datetime, standing: Standing) -> Verdict:
    """The verdict, made beside other work if the facts are many."""
    if _entries(facts) <= INLINE_ENTRIES:
        return judge(policy, facts, now, standing)
    # Big reports take milliseconds, which questions should not wait for.
    return await asyncio.to_thread(judge, policy, facts, now, standing)


async def gather(
    connection: Connection | asyncpg.Pool,
    policy: Policy,
    target: Target,
    now: datetime,
    until: datetime | None = None,
) -> Material:
    """The facts that count now, and what people decided; with ``until`` all freezes of until then."""
    # Approvals and the GO that is left out of the history are of the last one.
    versions, kinds = sorted({"", target.version}), sorted(policy.kinds)
    about = (target.site, target.subject, versions, kinds, MAX_READ, target.gate, now, *hears(policy))
    rows: dict[str, list[asyncpg.Record]] = {place: [] for place in PLACES}
    for row in await connection.fetch(SELECT_FACTS, *about, target.line, policy.reads_history, policy.stage_gates):
        rows[row["place"]].append(row)
    named, named_by = next(((row["artifact_digest"], row["signal_id"]) for row in rows["artifact"]), ("", None))
    facts = Facts(
        current=tuple(map(_newest, rows["current"])),
        baseline=tuple(map(_fact, rows["baseline"])),
        baseline_run=rows["baseline"][0]["run_number"] if rows["baseline"] else None,
        version=target.version,
        line=target.line,
        artifact_digest=target.artifact_digest or named,
        named_digest=named,
        unread=tuple(map(_newest, rows["unread"])),
        kinds=tuple(sorted((read_kind(row["data"]) for row in rows["kind"]), key=lambda one: one.name)),
        stages=tuple(read(StageGo, row["data"]) for row in rows["stage"]),
        history=read(History, rows["history"][0]["data"]) if rows["history"] else None,
    )
    decided = ([row["data"] for row in rows[place]] for place in DECIDED)
    standing = standing_of(policy, target, now, *decided, until=until)
    held = (*rows["current"], *rows["unread"], *rows["baseline"])
    digests = {row["signal_id"]: row["data_sha256"].hex() for row in held}
    return Material(facts, standing, digests, None if target.artifact_digest else named_by)


def _entries(facts: Facts) -> int:
    """How many tests, findings and alerts the facts list or hold as fingerprints."""
    held = [fact.data for fact in (*facts.current, *facts.baseline) if isinstance(fact.data, dict)]
    packed = sum(len(str(data.get(key) or "")) for data in held for key in PACKED)
    return packed // PRINT_CHARS + sum(
        len(value) for data in held for value in data.values() if isinstance(value, list)
    )


def _fact(row: asyncpg.Record) -> Fact:
    return Fact(
        kind=row["kind"],
        part=row["part"],
        signal_id=row["signal_id"],
        source=row["source"],
        event_id=row["event_id"],
        time=row["time"],
        data=row["data"],
        version=row["version"],
        actor=row["actor"],
        voice=row["voice"],
        mixed=row["mixed"],
        artifact_digest=row["artifact_digest"],
        data_sha256=row["data_sha256"].hex(),
        signer=row["signers"][0],
        signers=tuple(row["signers"][1:]),
    )


def hears(policy: Policy) -> tuple[list[str], list[str]]:
    """Whose facts the rules want beside the newest of all: kinds, and at the same places patterns (LIKE) of actors."""
    pairs = [(kind, _like(one)) for kind, actors in heard_kinds(policy).items() for one in actors]
    return [kind for kind, _ in pairs], [pattern for _, pattern in pairs]


def _like(pattern: str) -> str:
    """A pattern whose ``*`` stands for anything, as LIKE has it."""
    return re.sub(r"([\\%_])", r"\\\1", pattern).replace("*", "%")


def _newest(row: asyncpg.Record) -> Fact:
    """A fact with what stands beside it: the last good one, and what is still open."""
    open_ = zip(row["tests"] or (), row["signal_ids"] or (), row["times"] or (), strict=True)
    return replace(
        _fact(row),
        problems=tuple(row["problems"]),
        good=Seen(row["good_signal_id"], row["good_time"]) if row["good_time"] else None,
        open_failures=tuple(OpenFailure(test, Seen(signal_id, time)) for test, signal_id, time in open_),
    )


def summary_of(verdict: Verdict) -> GateSummary:
    """The verdict's counts as the contract has them."""
    return GateSummary.model_validate(verdict.summary, from_attributes=True)


def rules_of(verdict: Verdict) -> list[RuleResult]:
    """The verdict's rule results as the contract has them, each listing at most ``MAX_PARTS`` facts."""
    short = (replace(rule, facts_used=rule.facts_used[:MAX_PARTS]) for rule in verdict.rules)
    return [RuleResult.model_validate(rule, from_attributes=True) for rule in short]


def facts_used(facts: Facts) -> list[int]:
    """The ids of all signals that a verdict looks at beside the baseline, sorted: kept as long as the run is."""
    return sorted({fact.signal_id for fact in (*facts.current, *facts.unread)})
