"""Approvals of candidates: each of the evidence that was seen; the last one that is wanted makes the gate run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from glob import escape
from typing import TYPE_CHECKING, Any

import asyncpg

from libs.common.contracts.base import Event
from libs.common.contracts.changes import newly
from libs.common.contracts.governance import approvals as contract
from libs.common.contracts.governance.approvals import (
    ApprovalEnd,
    Approvals,
    ApprovalSaid,
    ApprovalsGranted,
    ApprovalTold,
    ApprovalWanted,
    ApprovalWithdrawn,
    GivenApproval,
    SealedWord,
    Word,
)
from libs.common.contracts.governance.runs import GateTarget
from libs.common.problems import Conflict, Forbidden, NotFound
from libs.common.service import Read, Table, Tx
from libs.judge.approvals import Evidence, differing, in_words, may_approve, terms_of, void_of, weigh, who
from libs.judge.plain import plain, read
from libs.judge.policy import Policy
from libs.judge.policy_model import ApprovalTerms
from services.governance.catalog import Target
from services.governance.exceptions.voters import (
    SELECT_SAID,
    People,
    Thing,
    Voter,
    check_unsaid,
    lock,
    people_of,
    say,
    speaker,
    stand_in,
    your_word,
)
from services.governance.gate import Looked, judged, look
from services.governance.recheck import recheck
from services.governance.runs import Judging, run_asked, to_run
from services.governance.standing import approval_of

if TYPE_CHECKING:
    from libs.common.service import Connection

MAX_SHOWN = 200

# Who asked for the decision: who ran the gate first for the version. A gate over a site has no versions, so there it is
# who ran it first over this evidence, of the newest runs.
SELECT_ASKED = """
SELECT actor FROM runs WHERE gate = $1 AND site = $2 AND subject = $3 AND version = $4 AND trigger = 'api'
ORDER BY run_id LIMIT 1
"""
SELECT_ASKED_SITE = """
SELECT actor FROM (
    SELECT run_id, actor, trigger, evidence_sha256 FROM runs
    WHERE gate = $1 AND site = $2 AND subject = $3 AND version = $4 ORDER BY run_id DESC LIMIT 200
) AS newest WHERE trigger = 'api' AND evidence_sha256 = $5 ORDER BY run_id LIMIT 1
"""
SELECT_EVIDENCE = """
SELECT evidence FROM (
    SELECT run_id, evidence, evidence_sha256 FROM runs
    WHERE gate = $1 AND site = $2 AND subject = $3 AND version = $4 ORDER BY run_id DESC LIMIT 200
) AS newest WHERE evidence_sha256 = $5 ORDER BY run_id DESC LIMIT 1
"""
SELECT_GIVEN = """
SELECT * FROM approvals
WHERE site = $1 AND gate = $2 AND subject = $3 AND version = $4 AND about = 'candidate' AND ref = ''
    AND withdrawn_at IS NULL
"""
SELECT_WORD = "SELECT * FROM approvals WHERE approval_id = $1 AND site = $2 AND about IN ('candidate', 'policy')"
WITHDRAW_WORD = """
UPDATE approvals SET withdrawn_by = $2, withdrawn_at = $3, withdraw_reason = $4
WHERE approval_id = $1 AND withdrawn_at IS NULL RETURNING *
"""


async def approve(judging: Judging, tx: Tx, body: SealedWord) -> ApprovalSaid:
    """Approve a candidate. Raises `NotFound`, `Invalid`, `Conflict` if something else than the evidence is there now or
    if approving it is no use, `Forbidden` to whoever may not.
    """
    target, policy = await _placed(judging, tx.connection, tx.site, body)
    thing = _thing(target)
    await lock(tx, thing)
    looked, voter, people = await _fits(tx, policy, target, body)
    others = _otherwise(looked)
    if others:
        raise Conflict(f"This candidate is NO-GO whoever approves it; repair it first: {' '.join(others)}")
    row = await _say(tx, thing, voter, "approved", body.reason, looked.evidence)
    _tell(tx, contract.approval_given, row)
    given = replace(looked.standing, approvals=(*looked.standing.approvals, approval_of(dict(row))))
    after = await judged(looked.policy, looked.facts, tx.now, given)
    run = None
    if _pending(looked) and not any(hold.kind == "approval" for hold in after.holds):
        counted = sorted({one.person for one in after.approvals if not one.void})
        told = ApprovalsGranted(
            gate=target.gate, site=target.site, subject=target.subject, version=target.version,
            evidence_sha256=looked.evidence.sha256, persons=counted, granted_at=tx.now,
        )  # fmt: skip
        tx.emit(contract.approval_granted, told, subject=str(row["approval_id"]))
        if after.decision == "go":
            run = to_run(await run_asked(judging, tx, target, "approval"))
    looked = replace(looked, verdict=after, standing=given)
    state = await _state(tx.connection, target, looked, people, tx.now)
    return ApprovalSaid(**dict(state), approval_id=row["approval_id"], run=run)


async def decline(judging: Judging, tx: Tx, body: SealedWord) -> ApprovalSaid:
    """Say no to a candidate: a GO over this evidence is over, until the word is withdrawn. Raises like `approve`."""
    target, policy = await _placed(judging, tx.connection, tx.site, body)
    thing = _thing(target)
    await lock(tx, thing)
    await recheck(tx, site=tx.site, subjects=escape(target.subject), gate=target.gate)
    looked, voter, people = await _fits(tx, policy, target, body)
    row = await _say(tx, thing, voter, "declined", body.reason, looked.evidence)
    _tell(tx, contract.approval_declined, row)
    given = replace(looked.standing, approvals=(*looked.standing.approvals, approval_of(dict(row))))
    looked = replace(looked, standing=given, verdict=await judged(looked.policy, looked.facts, tx.now, given))
    state = await _state(tx.connection, target, looked, people, tx.now)
    return ApprovalSaid(**dict(state), approval_id=row["approval_id"])


async def withdraw(tx: Tx, body: ApprovalEnd) -> ApprovalWithdrawn:
    """Take a word back. Raises `NotFound`, `Conflict`, and `Forbidden` to anybody but who said it."""
    known = await tx.connection.fetchrow(SELECT_WORD, body.approval_id, tx.site)
    if known is None:
        raise NotFound(f"There is no approval {body.approval_id} in this site that one could take back.")
    people = await people_of(tx.connection, tx.site)
    if people.human(tx.actor) not in (known["actor"], known["person"]):
        raise Forbidden(f"This is the word of {known['person']}, who alone can take it back.")
    await lock(tx, Thing(*(known[name] for name in ("site", "gate", "subject", "version", "about", "ref"))))
    if known["about"] == "candidate":
        await recheck(tx, site=tx.site, subjects=escape(known["subject"]), gate=known["gate"])
    row = await tx.connection.fetchrow(WITHDRAW_WORD, body.approval_id, tx.actor, tx.now, body.reason)
    if row is None:
        raise Conflict(f"The approval {body.approval_id} was withdrawn before.")
    told = ApprovalWithdrawn(**row, changes=newly(dict(row), "withdrawn_by", "withdrawn_at", "withdraw_reason"))
    tx.emit(contract.approval_withdrawn, told, subject=str(told.approval_id))
    return told


async def show(judging: Judging, read: Read, wanted: GateTarget) -> Approvals:
    """Where a candidate's approvals stand now. Raises `NotFound`, `Invalid`."""
    target, policy = await _placed(judging, read.pool, read.site, wanted)
    looked = await look(read.pool, policy, target, read.now)
    people = await people_of(read.pool, read.site)
    state = await _state(read.pool, target, looked, people, read.now)
    said = await read.pool.fetch(SELECT_SAID, *_thing(target).key)

    def check(voter: Voter) -> None:
        _check_voter(_terms(policy, target, looked), voter, frozenset(state.excluded))
        check_unsaid(said, voter, looked.evidence.sha256)

    return state.model_copy(update={"your_word": await your_word(read, people, check)})


async def _placed(
    judging: Judging, source: Connection | asyncpg.Pool, site: str, wanted: GateTarget
) -> tuple[Target, Policy]:
    """What is judged, in its line, and the policy that judges it."""
    target = await judging.catalog.target(source, wanted, site)
    policy = (await judging.catalog.in_force(source, target.gate, site)).policy(target.subject)
    return target.placed(policy), policy


def _thing(target: Target) -> Thing:
    return Thing(target.site, target.gate, target.subject, target.version, "candidate")


async def _fits(tx: Tx, policy: Policy, target: Target, body: SealedWord) -> tuple[Looked, Voter, People]:
    """What there is now, if it is what was seen, and the voter, if it may say a word on it."""
    looked = await look(tx.connection, policy, target, tx.now)
    wanted = _terms(policy, target, looked)
    if body.evidence_sha256 != looked.evidence.sha256:
        why = await _difference(tx, target, body.evidence_sha256, looked.evidence)
        raise Conflict(
            f"That is not what there is now: {why}. Run the gate, look at the new verdict, and name its evidence.",
            evidence_sha256=looked.evidence.sha256,
        )
    people = await people_of(tx.connection, target.site)
    absent = body.on_behalf_of
    voter = speaker(tx, people, body.caller_role) if absent is None else await stand_in(tx, people, absent)
    _check_voter(wanted, voter, await _excluded(tx.connection, target, looked, people))
    return looked, voter, people


def _terms(policy: Policy, target: Target, looked: Looked) -> Sequence[ApprovalTerms]:
    """Whose word is wanted. Raises `Conflict` if nobody's is."""
    wanted = terms_of(policy.approvals, int(bool(looked.standing.labels)))
    if not wanted:
        raise Conflict(f"The gate {target.gate} wants no approvals of {_named(target)}; run it.")
    return wanted


def _check_voter(wanted: Sequence[ApprovalTerms], voter: Voter, excluded: frozenset[str]) -> None:
    """Raise `Forbidden` to who has not the role or group that is wanted, or is one of those whose word can't count."""
    if not any(may_approve(terms, voter.role, voter.groups) for terms in wanted):
        words = " and of ".join(who(terms) for terms in wanted)
        raise Forbidden(f"This gate wants the word of {words}; the role of {voter.person} is {voter.role}, the groups "
                        f"are {', '.join(voter.groups) or 'none'}.")  # fmt: skip
    if barred := {voter.actor, voter.person} & excluded:
        raise Forbidden(f"{min(barred)} asked for this decision or told what it rests on; somebody else must say it.")


async def _difference(tx: Tx, target: Target, sha256: str, now: Evidence) -> str:
    row = await tx.connection.fetchrow(
        SELECT_EVIDENCE, target.gate, target.site, target.subject, target.version, sha256
    )
    if row is None:
        return "no newer run of this candidate had that evidence"
    return in_words(differing(read(Evidence, row["evidence"]), now)) or "a rule is better than it was"


async def _excluded(
    connection: Connection | asyncpg.Pool, target: Target, looked: Looked, people: People
) -> frozenset[str]:
    """The humans whose word does not count: who asked for the decision, and who told the facts that it rests on."""
    key = (target.gate, target.site, target.subject, target.version)
    if target.version:
        rows = await connection.fetch(SELECT_ASKED, *key)
    else:
        rows = await connection.fetch(SELECT_ASKED_SITE, *key, looked.evidence.sha256)
    facts = (*looked.facts.current, *looked.facts.unread)
    authors = {fact.data["author"] for fact in facts if isinstance(fact.data, dict) and _is_name(fact.data)}
    told = {fact.actor for fact in facts if fact.actor}
    labelled = {label.set_by for label in looked.standing.labels}
    return people.humans_of({row["actor"] for row in rows} | told | authors | labelled)


def _is_name(data: Any) -> bool:
    return isinstance(data.get("author"), str)


async def _say(tx: Tx, thing: Thing, voter: Voter, word: Word, reason: str, evidence: Evidence) -> asyncpg.Record:
    return await say(tx, thing, voter, word, reason, plain(evidence), evidence.sha256)


def _tell(tx: Tx, event: Event, row: asyncpg.Record) -> None:
    tx.emit(event, ApprovalTold(**row), subject=str(row["approval_id"]))


def _otherwise(looked: Looked) -> list[str]:
    """What forbids GO beside approvals, halts and freezes."""
    held = {hold.message for hold in looked.verdict.holds}
    return [reason for reason in looked.verdict.reasons if reason not in held]


def _pending(looked: Looked) -> list[str]:
    return [hold.message for hold in looked.verdict.holds if hold.kind == "approval"]


async def _state(
    connection: Connection | asyncpg.Pool, target: Target, looked: Looked, people: People, now: datetime
) -> Approvals:
    rows = await connection.fetch(SELECT_GIVEN, target.site, target.gate, target.subject, target.version)
    void = {one.approval_id: void_of(one, looked.evidence) for one in looked.standing.approvals}
    more = int(bool(looked.standing.labels))
    approved = weigh(looked.policy.approvals, more, looked.standing.approvals, looked.evidence, now)
    newest = sorted(rows, key=lambda row: row["approval_id"], reverse=True)[:MAX_SHOWN]
    wanted = zip(terms_of(looked.policy.approvals, more), approved.counts, strict=True)
    return Approvals(
        gate=target.gate,
        site=target.site,
        subject=target.subject,
        line=target.line,
        version=target.version,
        evidence_sha256=looked.evidence.sha256,
        wanted=[
            ApprovalWanted(
                count=count,
                have=have,
                roles=list(terms.roles),
                groups=list(terms.groups),
                max_age_hours=terms.max_age_hours,
            )
            for terms, (have, count) in wanted
        ],
        approvals=[GivenApproval(**{**row, "void": void.get(row["approval_id"], "")}) for row in newest],
        pending=_pending(looked),
        excluded=sorted(await _excluded(connection, target, looked, people)),
        otherwise=_otherwise(looked),
    )


def _named(target: Target) -> str:
    return f"{target.subject} {target.version}".strip()


def table(judging: Judging) -> Table:
    """What this module answers."""
    return Table(
        commands={
            contract.approve_candidate: partial(approve, judging),
            contract.decline_candidate: partial(decline, judging),
            contract.withdraw_approval: withdraw,
        },
        queries={contract.show_approvals: partial(show, judging)},
    )
