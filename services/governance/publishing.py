"""Approvals of a policy's text, where the policy in force wants them: bound to the text and to what is in force."""

from __future__ import annotations

from functools import partial
from hashlib import sha256

from libs.common.contracts.governance import publishing as contract
from libs.common.contracts.governance.approvals import ApprovalWanted, GivenApproval
from libs.common.contracts.governance.publishing import (
    PolicyApprovals,
    PolicyApproved,
    PolicyText,
    SealedPolicyWord,
)
from libs.common.listing import Source
from libs.common.problems import Conflict, Forbidden, NotFound
from libs.common.service import Read, Table, Tx
from libs.judge.approvals import Approved, Evidence, may_approve, void_of, weigh, who
from libs.judge.plain import plain
from libs.judge.policy import Policy
from services.governance.catalog import Catalog
from services.governance.exceptions.voters import (
    SELECT_SAID,
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
from services.governance.standing import approval_of

SELECT_WRITERS = """
SELECT saved_by AS writer FROM policy_drafts WHERE gate = $1 AND site = $2 AND digest = $3
UNION SELECT author FROM policies WHERE gate = $1 AND site = $2 AND digest = $3
"""
SELECT_WORDS = """
SELECT * FROM approvals
WHERE site = $1 AND gate = $2 AND subject = '' AND version = '' AND about = 'policy' AND ref = ''
    AND withdrawn_at IS NULL
"""


async def approve_policy(catalog: Catalog, tx: Tx, body: SealedPolicyWord) -> PolicyApprovals:
    """Approve a text. Raises `NotFound` for a text that nobody has saved, `Conflict` where none is wanted or the person
    has said it already, and `Forbidden` to who wrote it and to whoever may not.
    """
    policy = await _in_force(catalog, tx.connection, body.gate, tx.site)
    if policy is None or not policy.publish_approvals:
        raise Conflict(f"The policy of the gate {body.gate} wants no approvals of its texts; publish it.")
    thing = _thing(tx.site, body.gate)
    await lock(tx, thing)
    people = await people_of(tx.connection, tx.site)
    absent = body.on_behalf_of
    voter = speaker(tx, people, body.caller_role) if absent is None else await stand_in(tx, people, absent)
    _check_voter(policy, voter, people.humans_of(await _writers(tx.connection, tx.site, body)))
    evidence = _evidence(tx.site, policy, body.digest)
    row = await say(tx, thing, voter, "approved", body.reason, plain(evidence), evidence.sha256)
    told = PolicyApproved(**{**row, "digest": body.digest})
    tx.emit(contract.policy_approved, told, subject=told.gate)
    return await _state(tx.connection, tx.site, policy, body, tx, ())


async def check_approved(catalog: Catalog, tx: Tx, gate: str, content: str) -> None:
    """Raise `Conflict` if the text lacks approvals that the policy in force wants. Who publishes it counts for none."""
    policy = await _in_force(catalog, tx.connection, gate, tx.site)
    if policy is None or not policy.publish_approvals:
        return
    text = PolicyText(gate=gate, digest=sha256(content.encode()).hexdigest())
    await lock(tx, _thing(tx.site, gate))
    found = await _state(tx.connection, tx.site, policy, text, tx, (tx.actor,))
    if found.pending:
        raise Conflict(f"This text can't be published yet. {' '.join(found.pending)} Save it as the draft, and have it "
                       f"approved: headgate policies approve {gate} {text.digest} --reason …")  # fmt: skip


async def show_approvals(catalog: Catalog, read: Read, wanted: PolicyText) -> PolicyApprovals:
    """Where the approvals of a text stand. Raises `NotFound`."""
    policy = (await catalog.in_force(read.pool, wanted.gate, read.site)).both
    state = await _state(read.pool, read.site, policy, wanted, read, ())
    if not policy.publish_approvals:
        return state
    people = await people_of(read.pool, read.site)
    writers = people.humans_of(await _writers(read.pool, read.site, wanted))
    said = await read.pool.fetch(SELECT_SAID, *_thing(read.site, wanted.gate).key)
    evidence = _evidence(read.site, policy, wanted.digest)

    def check(voter: Voter) -> None:
        _check_voter(policy, voter, writers)
        check_unsaid(said, voter, evidence.sha256)

    return state.model_copy(update={"your_word": await your_word(read, people, check)})


async def _writers(source: Source, site: str, text: PolicyText) -> list[str]:
    return [row["writer"] for row in await source.fetch(SELECT_WRITERS, text.gate, site, text.digest)]


def _thing(site: str, gate: str) -> Thing:
    return Thing(site, gate, "", "", "policy")


def _check_voter(policy: Policy, voter: Voter, writers: frozenset[str]) -> None:
    """Raise `NotFound` if nobody wrote the text; `Forbidden` to who did, and to who lacks the role or group wanted."""
    if not writers:
        raise NotFound("No draft or version of this site has that digest; save the text as the draft first.")
    if not any(may_approve(terms, voter.role, voter.groups) for terms in policy.publish_approvals):
        raise Forbidden(f"This policy wants the word of {' and of '.join(map(who, policy.publish_approvals))}.")
    if wrote := {voter.actor, voter.person} & writers:
        raise Forbidden(f"{min(wrote)} wrote this text; somebody else must approve it.")


async def _in_force(catalog: Catalog, source: Source, gate: str, site: str) -> Policy | None:
    """The policy that says who approves the next text; None: the gate has none yet."""
    try:
        return (await catalog.in_force(source, gate, site)).both
    except NotFound:
        return None


def _evidence(site: str, policy: Policy, digest: str) -> Evidence:
    """What is approved: this text at this site, after what is in force now."""
    return Evidence(candidate=f"{site}/{policy.name}", policy=policy.digest, facts=digest, exceptions="")


async def _state(
    source: Source, site: str, policy: Policy, text: PolicyText, at: Tx | Read, uncounted: tuple[str, ...]
) -> PolicyApprovals:
    """``uncounted``: users whose word does not count, beside those who wrote the text."""
    evidence = _evidence(site, policy, text.digest)
    people = await people_of(source, site)
    barred = people.humans_of((*await _writers(source, site, text), *uncounted))
    rows = [dict(row) for row in await source.fetch(SELECT_WORDS, site, text.gate)]
    about = {row["approval_id"]: row for row in rows if row["evidence"]["facts"] == text.digest}
    given = [approval_of(row) for row in about.values()]
    counted = [one for one in given if barred.isdisjoint((one.actor, one.person))]
    approved: Approved = weigh(policy.publish_approvals, 0, counted, evidence, at.now)
    wanted = zip(policy.publish_approvals, approved.counts, strict=True)
    return PolicyApprovals(
        gate=text.gate,
        site=site,
        digest=text.digest,
        in_force_digest=policy.digest,
        wanted=[
            ApprovalWanted(count=count, have=have, roles=list(terms.roles), groups=list(terms.groups),
                           max_age_hours=terms.max_age_hours)
            for terms, (have, count) in wanted
        ],
        approvals=[GivenApproval(**about[one.approval_id], void=void_of(one, evidence)) for one in given],
        pending=list(approved.missing),
    )  # fmt: skip


def table(catalog: Catalog) -> Table:
    """What this module answers."""
    return Table(
        commands={contract.approve_policy: partial(approve_policy, catalog)},
        queries={contract.show_policy_approvals: partial(show_approvals, catalog)},
    )
