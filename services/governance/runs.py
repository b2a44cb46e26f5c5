"""Runs: a verdict that is stored, numbered and told. A GO that time has turned is run again by the schedule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
from orjson import Fragment
from prometheus_client import Counter
from pydantic import TypeAdapter

from libs.common.contracts.base import Page
from libs.common.contracts.governance import runs as contract
from libs.common.contracts.governance.runs import (
    ApprovalShown,
    GateDecided,
    GateRun,
    GateTarget,
    Hold,
    OverrideUsed,
    RuleResult,
    RunFilter,
    RunKey,
    gate_decided,
)
from libs.common.listing import Listing, newest
from libs.common.problems import NotFound
from libs.common.service import Closing, Read, Table, Tx
from libs.judge.plain import plain
from libs.judge.policy import settings_view
from libs.judge.results import Verdict
from libs.judge.voices import anybodys_kinds
from services.governance.capsules import CAPSULE_VALUES, Scribe, Sealed, store_capsule
from services.governance.catalog import Catalog, Target
from services.governance.gate import facts_used, hears, look, rules_of, summary_of
from services.governance.lines import store_head
from services.governance.narrowing import narrow
from services.governance.validity import (
    HEARD,
    SELECT_HELD,
    STAGED,
    staged,
    store_validity,
    tell_revoked,
    valid_until,
)

_RULES = TypeAdapter(list[RuleResult])
_HOLDS = TypeAdapter(list[Hold])
_APPROVALS = TypeAdapter(list[ApprovalShown])
GATE_DECISIONS = Counter(
    "headgate_gate_decisions",
    "Attempts to store a verdict; one that is rolled back and done again counts twice",
    ["gate", "decision"],
)

# The row lock puts runs of one subject in order, whatever their lines: a later number has seen the facts of an earlier
# one. It is a statement of its own, since one that waits for a lock goes on reading what there was before it waited. It
# brings along which versions of the policy are in force, so that a run costs no round trip more for them.
LOCK_HEAD = """
INSERT INTO gate_heads (gate, site, subject, run_number) VALUES ($1, $2, $3, 1)
ON CONFLICT (gate, site, subject) DO UPDATE SET run_number = gate_heads.run_number + 1
RETURNING run_number, nextval('job_run_id') AS run_id,
    (SELECT version FROM policies AS of WHERE of.gate = $1 AND of.site = 'global' ORDER BY version DESC LIMIT 1)
        AS policy_version,
    (SELECT version FROM policies AS of WHERE of.gate = $1 AND of.site = $2 ORDER BY version DESC LIMIT 1)
        AS site_policy_version
"""
RUN_COLUMNS = (
    "gate", "site", "subject", "line", "version", "artifact_digest", "artifact_signal_id", "run_number", "trigger",
    "actor", "decision", "status", "decided_at",
    "summary", "rules", "reasons", "policy_digest", "settings", "baseline_run", "next_change_at", "fact_signals",
    "command_id", "run_id", "holds", "unused_waivers", "policy_version", "site_policy_version", "capsule_sha256",
    "valid_until", "evidence", "evidence_sha256", "approvals", "labels", "override", "decided_event",
)  # fmt: skip
_BESIDE = ("kinds", "history_number", "line_derived", *HEARD, *STAGED)
_AT = {name: f"${place}" for place, name in enumerate((*RUN_COLUMNS, *_BESIDE, *CAPSULE_VALUES), 1)}
STORE_RUN = Closing(
    f"""
run AS (
    INSERT INTO runs ({", ".join(RUN_COLUMNS)}) OVERRIDING SYSTEM VALUE
    VALUES ({", ".join(_AT[name] for name in RUN_COLUMNS)})
), {store_head(_AT)}, {store_capsule(_AT)}, {store_validity(_AT)}
"""  # noqa: S608 - names of columns and places such as $3
)
LIST_RUNS = Listing(
    table="runs",
    columns="*",
    scope={"gate": "text", "site": "text"},
    filters={"subject": "text", "version": "text", "line": "text"},
    readings=(("subject",),),
    order=newest("run_id"),
)
SELECT_RUN = "SELECT * FROM runs WHERE gate = $1 AND site = $2 AND run_id = $3"


def begin_series(gates: Iterable[str]) -> None:
    """Show each gate's decisions at zero, so that its first one is an increase that an alert can see."""
    for gate in gates:
        for decision in ("go", "no_go"):
            GATE_DECISIONS.labels(gate, decision)


async def run_gate(judging: Judging, tx: Tx, body: GateTarget) -> GateRun:
    """Judge now, store the verdict and tell it. Raises `NotFound`, `Invalid`."""
    target = await judging.catalog.target(tx.connection, body, tx.site)
    return to_run(await run_asked(judging, tx, target))


async def run_asked(judging: Judging, tx: Tx, target: Target, trigger: str | None = None) -> dict[str, Any]:
    """A run that the command in hand asks for: the columns of its row. ``trigger``: what made it, else who asks."""
    trigger = trigger or (tx.actor if tx.actor.startswith("service:") else "api")
    row, sealed = await _judge(judging, tx, target, trigger, tx.message_id)
    tx.close_with(STORE_RUN, *_stored(row, sealed))
    return row


def _stored(row: dict[str, Any], sealed: Sealed) -> Iterable[Any]:
    """The values of `STORE_RUN`."""
    plain = {
        "summary": row["summary"].model_dump(),
        "rules": Fragment(_RULES.dump_json(row["rules"])),
        "holds": Fragment(_HOLDS.dump_json(row["holds"])),
        "override": None if row["override"] is None else row["override"].model_dump(mode="json"),
        "approvals": Fragment(_APPROVALS.dump_json(row["approvals"])),
    }
    values = row | plain | sealed.values
    return [values[name] for name in _AT]


@dataclass(frozen=True, slots=True)
class Judging:
    """What a run needs: the policies, and what writes decisions down."""

    catalog: Catalog
    scribe: Scribe


async def _judge(
    judging: Judging, tx: Tx, target: Target, trigger: str, command_id: UUID | None
) -> tuple[dict[str, Any], Sealed]:
    """Judge, sign and tell: the columns of the run's row, which the caller stores; ``summary`` and ``rules`` as
    models.
    """
    head = await tx.connection.fetchrow(LOCK_HEAD, target.gate, target.site, target.subject)
    assert head is not None  # noqa: S101 - an upsert without a condition always returns its row
    versions = head["policy_version"] or 0, head["site_policy_version"] or 0
    in_force = await judging.catalog.at_versions(tx.connection, target.gate, target.site, *versions)
    policy = in_force.policy(target.subject)
    target = target.placed(policy)
    looked = await look(tx.connection, policy, target, tx.now)
    verdict = looked.verdict
    if verdict.decision == "go":
        await narrow(tx, looked)
    row: dict[str, Any] = {
        "gate": target.gate,
        "site": target.site,
        "subject": target.subject,
        "line": target.line,
        "version": target.version,
        "artifact_digest": looked.facts.artifact_digest,
        "artifact_signal_id": looked.named_by,
        "run_number": head["run_number"],
        "trigger": trigger,
        "actor": tx.actor,
        "decision": verdict.decision,
        "status": verdict.status,
        "decided_at": tx.now,
        "summary": summary_of(verdict),
        "rules": rules_of(verdict),
        "reasons": list(verdict.reasons),
        "policy_digest": policy.digest,
        "settings": settings_view(policy),
        "baseline_run": verdict.baseline_run,
        "next_change_at": verdict.next_change_at,
        "fact_signals": facts_used(looked.facts),
        "command_id": command_id,
        "run_id": head["run_id"],
        "holds": [Hold.model_validate(hold, from_attributes=True) for hold in verdict.holds],
        "unused_waivers": list(verdict.unused_waivers),
        "policy_version": in_force.common_version,
        "site_policy_version": in_force.own_version,
        "valid_until": valid_until(policy, verdict, tx.now),
        "evidence": plain(looked.evidence),
        "evidence_sha256": looked.evidence.sha256,
        "labels": list(verdict.labels),
        "override": _override(verdict),
        "approvals": [ApprovalShown.model_validate(one, from_attributes=True) for one in verdict.approvals],
        "kinds": anybodys_kinds(policy),
        "history_number": head["run_number"] if policy.reads_history else None,
        "line_derived": bool(policy.line_pattern),
        **dict(zip(HEARD, hears(policy), strict=True)),
        **dict(zip(STAGED, staged(policy, looked.facts), strict=True)),
    }
    sealed = await judging.scribe.seal(tx.connection, looked, row)
    row["capsule_sha256"] = sealed.sha256
    told = GateDecided(**{name: row[name] for name in GateDecided.model_fields})
    row["decided_event"] = tx.emit(gate_decided, told, subject=str(row["run_id"]), site=target.site)
    if verdict.decision != "go":
        held = await tx.connection.fetchval(SELECT_HELD, *target.key)
        if held is not None:
            tell_revoked(tx, target, held, row["run_id"], verdict.reasons)
    GATE_DECISIONS.labels(target.gate, verdict.decision).inc()
    return row, sealed


def _override(verdict: Verdict) -> OverrideUsed | None:
    found = verdict.override
    return None if found is None else OverrideUsed.model_validate(found, from_attributes=True)


def to_run(row: asyncpg.Record | dict[str, Any]) -> GateRun:
    """A row of the table runs as the contract has it."""
    return GateRun.model_validate(dict(row))


async def list_runs(catalog: Catalog, read: Read, wanted: RunFilter) -> Page[GateRun]:
    """A page of a gate's runs in this site, newest first. Raises `NotFound`, `Invalid`."""
    await catalog.check(read.pool, wanted.gate, read.site)
    given = {"gate": wanted.gate, "site": read.site, **wanted.model_dump(include={"subject", "version", "line"})}
    found = await LIST_RUNS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[GateRun](items=[to_run(row) for row in found.rows], next_cursor=found.next_cursor)


async def get_run(catalog: Catalog, read: Read, key: RunKey) -> GateRun:
    """One run. Raises `NotFound`, also for one of another gate or site."""
    await catalog.check(read.pool, key.gate, read.site)
    row = await read.pool.fetchrow(SELECT_RUN, key.gate, read.site, key.run_id)
    if row is None:
        raise NotFound(f"The gate {key.gate} has no run {key.run_id} in this site.")
    return to_run(row)


async def run_on_schedule(judging: Judging, tx: Tx, target: Target) -> int:
    """A run that nobody asked for but the clock; returns its number."""
    row, sealed = await _judge(judging, tx, target, "schedule", None)
    await tx.connection.execute(STORE_RUN.alone, *_stored(row, sealed))
    return int(row["run_id"])


def table(judging: Judging) -> Table:
    """What this module answers, by the policies of the catalog."""
    catalog = judging.catalog
    return Table(
        commands={contract.run_gate: partial(run_gate, judging)},
        queries={contract.list_runs: partial(list_runs, catalog), contract.get_run: partial(get_run, catalog)},
    )
