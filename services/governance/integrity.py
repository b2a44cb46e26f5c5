"""A sample of reports and capsules, read and hashed anew."""

from __future__ import annotations

import zlib
from datetime import timedelta
from functools import partial

import asyncpg

from libs.common.contracts.governance import integrity as contract
from libs.common.contracts.integrity import SampleWanted, TableIntegrity
from libs.common.integrity import Kept, Pieces, chosen, in_bucket, in_row, rehash
from libs.common.objects import Bucket, ObjectAltered, ObjectGone
from libs.common.service import Read, Table
from libs.judge.dsse import KeyProblem, PublicKey

# What is about to be removed is no evidence any more: the bucket and the table forget it at different moments.
NEARLY_OVER = timedelta(hours=3)

_ORIGINAL = "SELECT encode(sha256, 'hex') AS sha256, size, content IS NOT NULL AS here FROM originals"
NEWEST_REPORTS = f"{_ORIGINAL} WHERE removed_at IS NULL AND stored_at > $2 ORDER BY stored_at DESC LIMIT $1"
REPORTS_ANYWHERE = f"""
{_ORIGINAL} WHERE sha256 >= $3 AND removed_at IS NULL AND stored_at > $2 ORDER BY sha256 LIMIT $1
"""
SELECT_CONTENT = "SELECT content FROM originals WHERE sha256 = $1"
_RUN = """
SELECT run_id, capsule_sha256, EXISTS (SELECT FROM capsules WHERE capsules.run_id = runs.run_id) AS here FROM runs
"""
NEWEST_RUNS = f"{_RUN} ORDER BY run_id DESC LIMIT $1"
RUNS_ANYWHERE = f"""
{_RUN} WHERE run_id >= (SELECT ($2 * max(run_id))::bigint FROM runs) ORDER BY run_id LIMIT $1
"""  # noqa: S608 - a constant of ours
SELECT_CAPSULE = """
SELECT body, statement, signature, public_key_pem FROM capsules LEFT JOIN capsule_keys USING (key_id) WHERE run_id = $1
"""


async def sample_kept(bucket: Bucket, retention: timedelta, read: Read, wanted: SampleWanted) -> list[TableIntegrity]:
    """Reports that are kept, wherever they lie, and capsules with their signatures."""
    return [
        await rehash("reports", await _reports(bucket, read, wanted, read.now - retention + NEARLY_OVER), wanted),
        await rehash("capsules", await _capsules(read.pool, wanted), wanted),
    ]


async def _reports(bucket: Bucket, read: Read, wanted: SampleWanted, after: object) -> list[Kept]:
    count, pool = wanted.sample_per_table, read.pool
    place = int(wanted.place * (2**32 - 1)).to_bytes(4, "big")
    newest = await pool.fetch(NEWEST_REPORTS, count, after)
    anywhere = await pool.fetch(REPORTS_ANYWHERE, count, after, place)

    def kept(row: asyncpg.Record) -> Kept:
        sha256 = row["sha256"]
        content = partial(pool.fetchval, SELECT_CONTENT, bytes.fromhex(sha256))
        return Kept(
            sha256, sha256, row["size"], in_row(content, packed=True) if row["here"] else in_bucket(bucket, sha256)
        )

    return chosen([kept(row) for row in newest], [kept(row) for row in anywhere], count)


async def _capsules(pool: asyncpg.Pool, wanted: SampleWanted) -> list[Kept]:
    last = await pool.fetch(NEWEST_RUNS, wanted.sample_per_table)
    others = await pool.fetch(RUNS_ANYWHERE, wanted.sample_per_table, wanted.place)
    newest, anywhere = (
        [
            Kept(f"run {row['run_id']}", row["capsule_sha256"], None, partial(_body, pool, row["run_id"]))
            for row in rows
            if row["here"] or row["capsule_sha256"] is not None  # else it is of before there were capsules
        ]
        for rows in (last, others)
    )
    return chosen(newest, anywhere, wanted.sample_per_table)


async def _body(pool: asyncpg.Pool, run_id: int) -> Pieces:
    """A capsule's body, once its signature was found to fit."""
    row = await pool.fetchrow(SELECT_CAPSULE, run_id)
    if row is None:
        raise ObjectGone
    try:
        known = row["public_key_pem"] is not None
        signed = known and PublicKey.read(row["public_key_pem"].encode()).has_signed(
            zlib.decompress(row["statement"]), row["signature"]
        )
    except KeyProblem:
        signed = False
    if not signed:
        raise ObjectAltered(str(run_id), "its signature does not fit what it says")
    yield zlib.decompress(row["body"])


def table(bucket: Bucket, report_retention_days: int) -> Table:
    """What this module answers."""
    sample = partial(sample_kept, bucket, timedelta(days=report_retention_days))
    return Table(queries={contract.sample_kept: sample}, buckets=(bucket,))
