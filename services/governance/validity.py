"""Which GOs hold now. A GO perishes by the clock, by a newer fact or by what people decide, and is then revoked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from libs.common.contracts.governance.runs import GateRevoked, gate_revoked
from libs.common.service import Tx
from libs.judge.facts import Facts
from libs.judge.policy import Policy
from libs.judge.results import Verdict
from libs.judge.stages import seen
from services.governance.catalog import Target

# A fact that the verdict has not seen: the newest of a part, a report that can't be read, a failure that came late, or
# that the version is another artifact now. Of kinds that only rules with names read, that is the word of those who are
# named. For policies that read past verdicts a verdict that came since is such a fact, too (`history_number`: the last
# that was seen, null where none is read), and for those that want another gate's GO that it is not the one of then, or
# is over earlier.
HAS_UNSEEN = """(EXISTS (
    SELECT FROM facts
    WHERE facts.site = held.site AND facts.subject = held.subject AND facts.version IN ('', held.version)
        AND (facts.voice = '' AND (held.kinds IS NULL OR facts.kind = ANY (held.kinds)) OR EXISTS (
            SELECT FROM unnest(held.heard_kinds, held.heard_actors) AS heard (kind, actors)
            WHERE heard.kind = facts.kind AND facts.voice <> '' AND facts.voice LIKE heard.actors
        ))
        AND (facts.signal_id <> ALL (held.fact_signals)
            OR EXISTS (SELECT FROM open_failures WHERE open_failures.fact_id = facts.fact_id))
) OR EXISTS (
    SELECT FROM report_heads AS unread
    WHERE unread.site = held.site AND unread.subject = held.subject AND unread.version IN ('', held.version)
        AND (unread.voice = '' AND (held.kinds IS NULL OR unread.kind = ANY (held.kinds)) OR EXISTS (
            SELECT FROM unnest(held.heard_kinds, held.heard_actors) AS heard (kind, actors)
            WHERE heard.kind = unread.kind AND unread.voice <> '' AND unread.voice LIKE heard.actors
        ))
        AND NOT unread.readable AND unread.signal_id <> ALL (held.fact_signals)
) OR EXISTS (
    SELECT FROM runs AS past
    WHERE past.gate = held.gate AND past.site = held.site AND past.subject = held.subject
        AND past.run_number > held.history_number AND past.run_id <> held.run_id
        AND NOT (past.trigger = 'schedule' AND past.decision = 'go')
) OR held.artifact_digest <> '' AND EXISTS (
    SELECT FROM versions_seen AS seen
    WHERE seen.site = held.site AND seen.subject = held.subject AND seen.version = held.version
        AND seen.artifact_digest <> held.artifact_digest
) OR EXISTS (
    SELECT FROM unnest(held.stage_gates, held.stage_run_ids, held.stage_untils) AS used (gate, run_id, until)
    CROSS JOIN LATERAL (
        SELECT max(other.run_id) AS run_id, min(other.valid_until) AS until FROM valid_gos AS other
        WHERE other.gate = used.gate AND other.site = held.site AND other.subject = held.subject
            AND other.version = held.version
    ) AS there
    WHERE there.run_id IS DISTINCT FROM used.run_id
        OR coalesce(there.until, 'infinity') < coalesce(used.until, 'infinity')
))"""
# Decided by a clock that was set back since: what was young then lies in the future now, and the end of the GO too far
# ahead. ``{now}`` is the place of the time; minutes as `libs.judge.trust.MAX_FUTURE`.
IS_AHEAD = "held.decided_at > {now}::timestamptz + interval '5 minutes'"
SELECT_HELD = (
    "SELECT run_id FROM valid_gos WHERE gate = $1 AND site = $2 AND subject = $3 AND version = $4 AND line = $5"
)
STAGED = ("stage_gates", "stage_run_ids", "stage_untils")  # as `staged` gives them
HEARD = ("heard_kinds", "heard_actors")  # as `gate.hears` gives them
DROP_HELD = "DELETE FROM valid_gos WHERE gate = $1 AND site = $2 AND subject = $3 AND version = $4 AND line = $5"


# A GO that nobody has looked at for long after its time was over did not hold meanwhile: it is looked at each minute.
# Of one that lies ahead nobody knows since when it holds.
BEGAN_ANEW = "(coalesce(valid_gos.valid_until + interval '2 minutes' < {now}, false) OR valid_gos.since > {now})"


def staged(policy: Policy, facts: Facts) -> tuple[list[str], list[int | None], list[datetime | None]]:
    """What a GO rests on of other gates: their names, and at the same places what was seen of them."""
    gates = list(policy.stage_gates)
    return gates, *seen(facts.stages, gates)


def store_validity(at: Mapping[str, str]) -> str:
    """The steps of the statement that stores a run which note that its GO holds, or that an earlier one is over; ``at``
    has the places of the values.
    """
    columns = (
        "gate",
        "site",
        "subject",
        "version",
        "line",
        "artifact_digest",
        "run_id",
        "decided_at",
        "valid_until",
        "kinds",
        "fact_signals",
        "history_number",
        "line_derived",
        *HEARD,
        *STAGED,
    )
    values = ", ".join(at[name] for name in columns)
    return f"""
valid AS (
    INSERT INTO valid_gos ({", ".join(columns)}, since)
    SELECT {values}, {at["decided_at"]} WHERE {at["decision"]} = 'go'
    ON CONFLICT (gate, site, subject, version, line) DO UPDATE SET run_id = EXCLUDED.run_id,
        artifact_digest = EXCLUDED.artifact_digest,
        decided_at = EXCLUDED.decided_at, valid_until = EXCLUDED.valid_until, kinds = EXCLUDED.kinds,
        fact_signals = EXCLUDED.fact_signals, history_number = EXCLUDED.history_number,
        heard_kinds = EXCLUDED.heard_kinds, heard_actors = EXCLUDED.heard_actors,
        line_derived = EXCLUDED.line_derived, stage_gates = EXCLUDED.stage_gates,
        stage_run_ids = EXCLUDED.stage_run_ids, stage_untils = EXCLUDED.stage_untils,
        since = CASE WHEN {BEGAN_ANEW.format(now="EXCLUDED.decided_at")}
                OR valid_gos.artifact_digest <> EXCLUDED.artifact_digest
            THEN EXCLUDED.decided_at ELSE valid_gos.since END
), over AS (
    DELETE FROM valid_gos WHERE {at["decision"]} <> 'go' AND gate = {at["gate"]} AND site = {at["site"]}
        AND subject = {at["subject"]} AND version = {at["version"]} AND line = {at["line"]}
)"""  # noqa: S608 - places such as $3


def valid_until(policy: Policy, verdict: Verdict, decided_at: datetime) -> datetime | None:
    """Until when a GO that was decided then holds by this verdict: the first moment at which something that it rests on
    turns, and at most the policy's ``valid_for_hours``. None for a NO_GO, and for a GO that nothing ends.
    """
    if verdict.decision != "go":
        return None
    ends = [] if verdict.next_change_at is None else [verdict.next_change_at]
    if policy.valid_for_hours is not None:
        ends.append(decided_at + timedelta(hours=policy.valid_for_hours))
    return min(ends, default=None)


def tell_revoked(tx: Tx, target: Target, held_run_id: int, run_id: int | None, reasons: Sequence[str]) -> None:
    """Tell that the GO of a run holds no more; ``run_id`` is the run that found it out, if one was stored."""
    told = GateRevoked(
        gate=target.gate,
        site=target.site,
        subject=target.subject,
        version=target.version,
        line=target.line,
        artifact_digest=target.artifact_digest,
        revoked_run_id=held_run_id,
        run_id=run_id,
        revoked_at=tx.now,
        reasons=list(reasons),
    )
    tx.emit(gate_revoked, told, subject=str(held_run_id), site=target.site)


async def revoke(tx: Tx, target: Target, held_run_id: int, reasons: Sequence[str]) -> None:
    """End a GO without a run: of a version that is not the latest any more, or whose time is over."""
    await tx.connection.execute(DROP_HELD, *target.key)
    tell_revoked(tx, target, held_run_id, None, reasons)
