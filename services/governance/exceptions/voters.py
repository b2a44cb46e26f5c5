"""Whose word it is: the one place that knows people, and lets nobody count twice. Approvals of all kinds use it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import asyncpg

from libs.common import versions
from libs.common.contracts.governance.approvals import YourWord
from libs.common.contracts.governance.groups import GROUPS, Groups
from libs.common.listing import Source
from libs.common.problems import Conflict, Forbidden, Refusal
from libs.common.service import Read, Tx
from libs.common.versions import EVERYWHERE

MAX_WORDS = 2_000  # on one thing: each verdict reads them
MAX_STOOD_IN_FOR = 200  # persons that one is told of

# Words on one thing are said one after the other, also before there is a row to lock.
LOCK_THING = "SELECT pg_advisory_xact_lock(hashtextextended(array_to_string($1::text[], chr(31)), 0))"
INSERT_WORD = """
INSERT INTO approvals (site, gate, subject, version, about, ref, word, username, actor, person, role, groups, reason,
    given_at, evidence, evidence_sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING *
"""
SELECT_SAID = """
SELECT username, actor, person, evidence_sha256 FROM approvals
WHERE site = $1 AND gate = $2 AND subject = $3 AND version = $4 AND about = $5 AND ref = $6 AND withdrawn_at IS NULL
"""

# An account is its owner's: whoever answers for a machine can't agree with what it told.
SELECT_OWNERS = "SELECT actor, owner FROM account_owners"
# For whom somebody stands in now, each by the newest delegation.
_STANDING = "site = $1 AND to_user = $2 AND begins_at <= $3 AND ends_at > $3 AND ended_at IS NULL AND is_able"
SELECT_DELEGATION = f"""
SELECT role FROM delegations WHERE {_STANDING} AND from_user = $4 ORDER BY delegation_id DESC LIMIT 1
"""  # noqa: S608 - words of our own
SELECT_DELEGATIONS = f"""
SELECT DISTINCT ON (from_user) from_user, role FROM delegations WHERE {_STANDING}
ORDER BY from_user, delegation_id DESC LIMIT {MAX_STOOD_IN_FOR}
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Thing:
    """What a word is about. ``ref``: which one of those, such as a waiver's number."""

    site: str
    gate: str
    subject: str
    version: str
    about: str
    ref: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """The values that name it in the table."""
        return self.site, self.gate, self.subject, self.version, self.about, self.ref


@dataclass(frozen=True, slots=True)
class People:
    """The groups of a site, and the humans behind users."""

    groups: Mapping[str, frozenset[str]]
    humans: Mapping[str, str]

    def human(self, username: str) -> str:
        """The human behind a user: itself, where nobody has said that it is one of several."""
        return self.humans.get(username, username)

    def humans_of(self, usernames: Iterable[str]) -> frozenset[str]:
        """The humans behind these users."""
        return frozenset(map(self.human, usernames))

    def groups_of(self, human: str) -> tuple[str, ...]:
        """The groups that the human is in by any of its users."""
        return tuple(sorted(name for name, members in self.groups.items() if human in self.humans_of(members)))


@dataclass(frozen=True, slots=True)
class Voter:
    """Who speaks (``username``, the human ``actor`` behind it), and as whom: ``person`` with its role and groups."""

    username: str
    actor: str
    person: str
    role: str
    groups: tuple[str, ...]


async def people_of(source: Source, site: str) -> People:
    """The groups in force at a site, and who is who there. Raises `Conflict` if a document can't be read."""
    own = (await versions.current(source, GROUPS, site)).content
    common = own if site == EVERYWHERE else (await versions.current(source, GROUPS, EVERYWHERE)).content
    people = _people(own, common)
    owners = {row["actor"]: people.human(row["owner"]) for row in await source.fetch(SELECT_OWNERS)}
    return People(people.groups, {**people.humans, **owners})


def _people(own: Groups, common: Groups) -> People:
    names: dict[str, str] = {}
    for person in (*common.people, *own.people):
        # Users of two people of the two documents are one: a site can join people, and never part them.
        known = sorted({names[user] for user in (*person.users, person.name) if user in names})
        name = known[0] if known else person.name
        names = {user: name if human in known else human for user, human in names.items()}
        names |= dict.fromkeys((*person.users, person.name), name)
    return People({group.name: frozenset(group.members) for group in own.groups}, names)


def speaker(at: Tx | Read, people: People, role: str) -> Voter:
    """Who gave the command in hand, or asks, for themselves."""
    human = people.human(at.actor)
    return Voter(at.actor, human, human, role, people.groups_of(human))


async def stand_in(tx: Tx, people: People, absent: str) -> Voter:
    """Who gave the command in hand, for somebody who has delegated to them. Raises `Forbidden` if nobody has."""
    row = await tx.connection.fetchrow(SELECT_DELEGATION, tx.site, tx.actor, tx.now, absent)
    if row is None:
        raise Forbidden(f"{absent} has not delegated to you at this site, or it is over; list the delegations.")
    return _standing_in(tx, people, absent, row["role"])


def _standing_in(at: Tx | Read, people: People, absent: str, role: str) -> Voter:
    person = people.human(absent)
    return Voter(at.actor, people.human(at.actor), person, role, people.groups_of(person))


async def your_word(read: Read, people: People, check: Callable[[Voter], None]) -> YourWord | None:
    """Whether who asks would be heard, for themselves and for whom they stand in; None: their role is not known.

    ``check`` is what the order itself asks: it raises what that would be refused with.
    """
    if not read.role:
        return None
    rows = await read.pool.fetch(SELECT_DELEGATIONS, read.site, read.actor, read.now)
    others = {row["from_user"]: _standing_in(read, people, row["from_user"], row["role"]) for row in rows}
    heard = [name for name, voter in others.items() if not _refusal(check, voter)]
    return YourWord(refused=_refusal(check, speaker(read, people, read.role)), on_behalf_of=heard)


def _refusal(check: Callable[[Voter], None], voter: Voter) -> str:
    try:
        check(voter)
    except Refusal as refusal:
        return refusal.detail
    return ""


async def lock(tx: Tx, thing: Thing) -> None:
    """From here on nobody else says a word on it, until this transaction ends."""
    await tx.connection.execute(LOCK_THING, thing.key)


async def second_word(tx: Tx, thing: Thing, asked_by: str, reason: str, asked: Mapping[str, Any]) -> None:
    """Store that a second person wants what ``asked_by`` asked for (``asked``: all that it says).

    Raises `Forbidden` to whoever asked, by whichever user, and `Conflict` if there is a second word already.
    """
    people = await people_of(tx.connection, tx.site)
    voter = speaker(tx, people, "")
    if voter.actor == people.human(asked_by):
        raise Forbidden(f"You asked for this {thing.about} yourself; somebody else must approve it.")
    text = json.dumps(asked, sort_keys=True, default=str)
    await lock(tx, thing)
    await say(tx, thing, voter, "approved", reason, {"asked": text}, sha256(text.encode()).hexdigest())


async def say(
    tx: Tx, thing: Thing, voter: Voter, word: str, reason: str, evidence: Mapping[str, Any], evidence_sha256: str
) -> asyncpg.Record:
    """Store a word on evidence; the thing is locked. Raises `Conflict` if the person has said one already."""
    check_unsaid(await tx.connection.fetch(SELECT_SAID, *thing.key), voter, evidence_sha256)
    stored = await tx.connection.fetchrow(
        INSERT_WORD, *thing.key, word, voter.username, voter.actor, voter.person, voter.role, list(voter.groups),
        reason, tx.now, evidence, evidence_sha256,
    )  # fmt: skip
    assert stored is not None  # noqa: S101 - an insert returns its row
    return stored


def check_unsaid(said: Sequence[Mapping[str, Any] | asyncpg.Record], voter: Voter, evidence_sha256: str) -> None:
    """Raise `Conflict` if the words on a thing (rows as of `SELECT_SAID`) leave no room for one of this person's."""
    if len(said) >= MAX_WORDS:
        raise Conflict(f"{MAX_WORDS} words have been said on this, which is all there may be; withdraw old ones.")
    mine = {voter.actor, voter.person}
    for row in said:
        if row["evidence_sha256"] == evidence_sha256 and (twice := mine & {row["actor"], row["person"]}):
            raise Conflict(f"{min(twice)} has said a word on this already (as the user {row['username']}); "
                           "a person counts once.")  # fmt: skip
