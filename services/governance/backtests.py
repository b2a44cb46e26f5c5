"""Backtests of policies: stored decisions judged again by a text, some hundred in a transaction.

The first ones are judged while the command is answered, so that a small backtest is done at once; the job `backtests`
goes on from the place that is stored, so a process that dies only does its last slice again. Judging is done in a
thread, while other messages are handled.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import asyncpg
import orjson

from libs.common.columns import listed, names_of
from libs.common.contracts.base import Page
from libs.common.contracts.governance import backtests as contract
from libs.common.contracts.governance.backtests import (
    MAX_FLIPS_KEPT,
    Backtest,
    BacktestFilter,
    BacktestKey,
    BacktestOrder,
    BacktestShown,
    Flip,
    FlipRule,
)
from libs.common.listing import Listing, newest
from libs.common.problems import Invalid, NotFound, errors_in
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Read, Table, Tx
from libs.common.versions import EVERYWHERE
from libs.judge.capsule import FACT_LISTS, digest, fact_data
from libs.judge.combine import combine
from libs.judge.policy import PolicyError, parse_policy
from services.governance.capsules import SELECT_DATA, SELECT_SOURCES
from services.governance.catalog import Catalog, InForce
from services.governance.domain.backtest import Difference, rejudge
from services.governance.policies import SELECT_DRAFT

if TYPE_CHECKING:
    from libs.common.service import Connection

CHUNK = 50  # decisions whose facts are held at once
FIRST = 100  # decisions that the command itself judges
SLICE = 500  # in one transaction of the job
MAX_KEPT = 50  # backtests of a gate at a site; older ones are dropped

_SHOWN = listed(names_of(Backtest))
# The newest decisions as they are now: what is decided later is not looked at.
SELECT_RANGE = """
SELECT count(*) AS total, count(*) FILTER (WHERE capsule_sha256 IS NULL) AS without_capsule, min(run_id) AS oldest,
    max(run_id) AS newest
FROM (
    SELECT run_id, capsule_sha256 FROM runs WHERE gate = $1 AND site = $2 ORDER BY run_id DESC LIMIT $3
) AS last
"""
INSERT_BACKTEST = """
INSERT INTO policy_backtests (gate, site, content, digest, common_version, state, last_count, oldest_run_id,
    next_before_run_id, total_count, done_count, without_capsule_count, asked_by, asked_at)
VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, $10, $10, $11, $12) RETURNING *
"""
DROP_OLD = """
DELETE FROM policy_backtests WHERE gate = $1 AND site = $2 AND state IN ('done', 'failed') AND backtest_id <= (
    SELECT backtest_id FROM policy_backtests WHERE gate = $1 AND site = $2 ORDER BY backtest_id DESC OFFSET $3 LIMIT 1
)
"""
SELECT_SITES = "SELECT DISTINCT site FROM policy_backtests WHERE state IN ('queued', 'running')"
SELECT_OPEN = """
SELECT * FROM policy_backtests WHERE site = $1 AND state IN ('queued', 'running')
ORDER BY backtest_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
SELECT_CHUNK = """
SELECT runs.run_id, runs.subject, runs.version, runs.decided_at, capsules.body
FROM runs JOIN capsules USING (run_id)
WHERE runs.gate = $1 AND runs.site = $2 AND runs.run_id < $3 AND runs.run_id >= $4 ORDER BY runs.run_id DESC LIMIT $5
"""
INSERT_FLIPS = """
INSERT INTO policy_flips (backtest_id, run_id, flip) SELECT $1, * FROM unnest($2::bigint[], $3::jsonb[])
"""
SAVE_PROGRESS = """
UPDATE policy_backtests SET state = $2, next_before_run_id = $3, done_count = $4, judged_count = $5, flip_count = $6,
    to_no_go_count = $7, to_go_count = $8, unreadable_count = $9, unbound_count = $10, unread_kinds = $11,
    finished_at = $12, reason = $13
WHERE backtest_id = $1 RETURNING *
"""
SELECT_BACKTEST = f"""
SELECT {_SHOWN} FROM policy_backtests WHERE gate = $1 AND site = $2 AND backtest_id = $3
"""  # noqa: S608 - names of our own class
SELECT_FLIPS = "SELECT flip FROM policy_flips WHERE backtest_id = $1 ORDER BY run_id DESC LIMIT $2"
LIST_BACKTESTS = Listing(
    table="policy_backtests",
    columns=_SHOWN,
    scope={"gate": "text", "site": "text"},
    order=newest("backtest_id"),
)


@dataclass(slots=True)
class _Progress:
    """The counts of a backtest, and the flips of this slice."""

    place: int
    done: int
    judged: int
    flipped: int
    to_no_go: int
    to_go: int
    unreadable: int
    unbound: int
    unread_kinds: set[str]
    flips: list[Flip] = field(default_factory=list)

    @classmethod
    def of(cls, row: asyncpg.Record) -> _Progress:
        return cls(
            place=row["next_before_run_id"],
            done=row["done_count"],
            judged=row["judged_count"],
            flipped=row["flip_count"],
            to_no_go=row["to_no_go_count"],
            to_go=row["to_go_count"],
            unreadable=row["unreadable_count"],
            unbound=row["unbound_count"],
            unread_kinds=set(row["unread_kinds"]),
        )


async def begin(catalog: Catalog, tx: Tx, body: BacktestOrder) -> Backtest:
    """Store a backtest and judge its first decisions. Raises `NotFound` without a draft, `Invalid` for a bad text."""
    content = body.content or await _draft(tx, body.gate)
    common = await _common_version(catalog, tx.connection, body.gate)
    try:
        await _as_published(catalog, tx.connection, body.gate, tx.site, content, common)
    except PolicyError as error:
        raise Invalid(
            f"The policy can't be judged by: {error.message}.", errors=errors_in("content", [error.message])
        ) from error
    found = await tx.connection.fetchrow(SELECT_RANGE, body.gate, tx.site, body.last_count)
    assert found is not None  # noqa: S101 - it always has one row
    row = await tx.connection.fetchrow(
        INSERT_BACKTEST, body.gate, tx.site, content, sha256(content.encode()).hexdigest(), common, body.last_count,
        found["oldest"] or 0, (found["newest"] or 0) + 1, found["total"], found["without_capsule"], tx.actor, tx.now,
    )  # fmt: skip
    assert row is not None  # noqa: S101 - it returns what it stores
    await tx.connection.execute(DROP_OLD, body.gate, tx.site, MAX_KEPT)
    tx.emit(contract.backtest_begun, _shown(row), subject=str(row["backtest_id"]))
    return await _advance(catalog, tx, row, FIRST)


async def _draft(tx: Tx, gate: str) -> str:
    row = await tx.connection.fetchrow(SELECT_DRAFT, gate, tx.site)
    if row is None:
        raise NotFound(f"This site has no draft of the policy {gate}; save one, or give the text as content.")
    return str(row["content"])


async def _common_version(catalog: Catalog, connection: Connection, gate: str) -> int:
    try:
        return (await catalog.in_force(connection, gate, EVERYWHERE)).common_version
    except NotFound:
        return 0  # nobody has published it everywhere, and it has no file


async def _as_published(
    catalog: Catalog, connection: Connection, gate: str, site: str, content: str, common_version: int
) -> InForce:
    """What would be in force at the site if the text were published there. Raises PolicyError."""
    draft = await asyncio.to_thread(parse_policy, content.encode(), f"{gate}.yaml")
    if draft.name != gate:
        raise PolicyError(f"{draft.file}: name is {draft.name}, and this is the policy of the gate {gate}")
    common = None
    if common_version or gate in catalog.policies:
        common = (await catalog.at_versions(connection, gate, EVERYWHERE, common_version, 0)).common
    if common is None:
        return InForce(None, 0, draft, 0, draft)
    both = combine(common, draft)  # at `global` too, for it says whether the two fit
    if site == EVERYWHERE:
        return InForce(draft, 0, None, 0, draft)
    return InForce(common, common_version, draft, 0, both)


async def _advance(catalog: Catalog, tx: Tx, row: asyncpg.Record, at_most: int) -> Backtest:
    """Judge the next decisions of a backtest, store how far it is, and tell its end."""
    reason, progress = "", _Progress.of(row)
    left = min(at_most, row["total_count"] - progress.done)
    more = left < row["total_count"] - progress.done
    try:
        in_force = await _as_published(
            catalog, tx.connection, row["gate"], row["site"], row["content"], row["common_version"]
        )
    except PolicyError as error:  # another version of Headgate may have begun it
        reason, left, more = error.message, 0, False
    judge = _Judge(in_force) if not reason else None
    while judge and left > 0:
        chunk = await tx.connection.fetch(
            SELECT_CHUNK, row["gate"], row["site"], progress.place, row["oldest_run_id"], min(CHUNK, left)
        )
        if not chunk:
            more = False
            break
        await judge.chunk(tx.connection, tx.site, chunk, progress)
        left -= len(chunk)
    return await _save(tx, row, progress, more, reason)


async def _save(tx: Tx, row: asyncpg.Record, progress: _Progress, more: bool, reason: str) -> Backtest:
    kept = progress.flips[: max(0, MAX_FLIPS_KEPT - row["flip_count"])]
    await tx.connection.execute(
        INSERT_FLIPS, row["backtest_id"], [one.run_id for one in kept], [one.model_dump(mode="json") for one in kept]
    )
    state = "failed" if reason else "running" if more else "done"
    saved = await tx.connection.fetchrow(
        SAVE_PROGRESS, row["backtest_id"], state, progress.place, progress.done, progress.judged, progress.flipped,
        progress.to_no_go, progress.to_go, progress.unreadable, progress.unbound, sorted(progress.unread_kinds),
        None if more else tx.now, reason,
    )  # fmt: skip
    assert saved is not None  # noqa: S101 - the row is locked
    shown = _shown(saved)
    if not more:
        tx.emit(contract.backtested, shown, subject=str(shown.backtest_id))
    return shown


class _Judge:
    """Judges chunks of stored decisions by one policy."""

    def __init__(self, in_force: InForce) -> None:
        self._in_force = in_force
        self._kinds: dict[str, frozenset[str]] = {}  # that the policies of then read, by the digest of their texts

    async def chunk(
        self, connection: Connection, site: str, rows: Sequence[asyncpg.Record], progress: _Progress
    ) -> None:
        """Judge these, newest first, and count what comes out."""
        bodies = await asyncio.to_thread(_unpacked, rows)
        signal_ids = {number for body in bodies for number in _signals(body)}
        texts = [one["data"] for one in await connection.fetch(SELECT_DATA, site, sorted(signal_ids))]
        layers = {str(one["source"]) for body in bodies if body for one in body["policy"]["layers"]}
        sources = await connection.fetch(SELECT_SOURCES, sorted(layers - self._kinds.keys()))
        await asyncio.to_thread(self._judge, rows, bodies, texts, sources, progress)
        progress.place = rows[-1]["run_id"]
        progress.done += len(rows)

    def _judge(
        self,
        rows: Sequence[asyncpg.Record],
        bodies: Sequence[dict[str, Any] | None],
        texts: Sequence[str],
        sources: Sequence[asyncpg.Record],
        progress: _Progress,
    ) -> None:
        self._kinds |= {one["sha256"]: _kinds_of(one["source"]) for one in sources}
        data = {digest(text.encode()): orjson.loads(text) for text in texts}
        for row, body in zip(rows, bodies, strict=True):
            self._one(row, body, data, progress)

    def _one(
        self, row: asyncpg.Record, body: dict[str, Any] | None, data: Mapping[str, Any], progress: _Progress
    ) -> None:
        try:
            policy = self._in_force.policy(row["subject"])
        except Invalid:
            progress.unbound += 1
            return
        if body is None or not fact_data(body) <= data.keys():
            progress.unreadable += 1
            return
        try:
            found = rejudge(policy, body, data)
        except (ValueError, KeyError, TypeError):  # written by another version of Headgate
            progress.unreadable += 1
            return
        then = [self._kinds.get(one["source"], frozenset()) for one in body["policy"]["layers"]]
        unread = policy.kinds - frozenset().union(*then) - {fact["kind"] for fact in body["facts"]["current"]}
        progress.unread_kinds |= unread
        progress.judged += 1
        if found is not None:
            _count(progress, row, found, sorted(unread))


def _count(progress: _Progress, row: asyncpg.Record, found: Difference, unread: list[str]) -> None:
    progress.flipped += 1
    progress.to_no_go += found.after == "NO_GO"
    progress.to_go += found.before == "NO_GO"
    rules = [FlipRule(id=name, before=was, after=now, message=message) for name, was, now, message in found.rules]
    flip = Flip(
        run_id=row["run_id"],
        subject=row["subject"],
        version=row["version"],
        decided_at=row["decided_at"],
        before=found.before,
        after=found.after,
        rules=rules,
        reasons=list(found.reasons),
        unread_kinds=unread,
    )
    progress.flips.append(flip)


def _unpacked(rows: Sequence[asyncpg.Record]) -> list[dict[str, Any] | None]:
    """The bodies; None for one that can't be read, which stops no other."""
    found: list[dict[str, Any] | None] = []
    for row in rows:
        try:
            body = orjson.loads(zlib.decompress(row["body"]))
            found.append(body if {"facts", "policy", "verdict"} <= body.keys() else None)
        except (ValueError, zlib.error):
            found.append(None)
    return found


def _signals(body: dict[str, Any] | None) -> set[int]:
    return {fact["signal_id"] for name in FACT_LISTS for fact in body["facts"].get(name, ())} if body else set()


def _kinds_of(source: str) -> frozenset[str]:
    try:
        return parse_policy(source.encode(), "then").kinds
    except PolicyError:  # an older text that this version does not read: nothing is known of it
        return frozenset()


def _shown(row: asyncpg.Record) -> Backtest:
    return Backtest(**{name: row[name] for name in names_of(Backtest)})


async def advance(catalog: Catalog, tx: Tx) -> JobDone | None:
    """The next slice of the site's oldest backtest that has not ended."""
    row = await tx.connection.fetchrow(SELECT_OPEN, tx.site)
    if row is None:
        return None
    found = await _advance(catalog, tx, row, SLICE)
    return JobDone(detail={name: getattr(found, name) for name in ("backtest_id", "done_count", "total_count")})


async def open_sites(connection: Connection) -> Sequence[str]:
    """The sites with a backtest that has not ended; with none the job does nothing and leaves no trace."""
    return sorted(row["site"] for row in await connection.fetch(SELECT_SITES))


async def show(read: Read, key: BacktestKey) -> BacktestShown:
    """A backtest with its newest flips. Raises `NotFound`."""
    row = await read.pool.fetchrow(SELECT_BACKTEST, key.gate, read.site, key.backtest_id)
    if row is None:
        raise NotFound(f"This site has no backtest {key.backtest_id} of the policy {key.gate}; list them.")
    flips = [Flip(**one["flip"]) for one in await read.pool.fetch(SELECT_FLIPS, key.backtest_id, key.limit)]
    return BacktestShown(**row, flips=flips, left_out_count=row["flip_count"] - len(flips))


async def list_backtests(read: Read, wanted: BacktestFilter) -> Page[Backtest]:
    """A page of a site's backtests, newest first. Raises `Invalid`."""
    given = {"gate": wanted.gate, "site": read.site}
    found = await LIST_BACKTESTS.page(read.pool, given, limit=wanted.limit, cursor=wanted.cursor)
    return Page[Backtest](items=[Backtest(**row) for row in found.rows], next_cursor=found.next_cursor)


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    job = Job("backtests", Schedule("*/5 * * * * *"), partial(advance, catalog), open_sites, looks=True)
    return Table(
        commands={contract.begin_backtest: partial(begin, catalog)},
        queries={contract.show_backtest: show, contract.list_backtests: list_backtests},
        jobs=(job,),
    )
