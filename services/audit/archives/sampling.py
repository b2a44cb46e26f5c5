"""A sample of the archives of months, read from the store and hashed anew."""

from __future__ import annotations

from functools import partial

import asyncpg

from libs.common.contracts.audit import integrity as contract
from libs.common.contracts.integrity import SampleWanted, TableIntegrity
from libs.common.integrity import Kept, chosen, in_bucket, rehash
from libs.common.objects import Bucket
from libs.common.service import Read, Table

# A sample's first is read whatever it weighs, so what takes longer than an answer may is left out and counted.
MAX_READ_BYTES = 128 * 1024 * 1024

NEWEST = "SELECT month, sha256, size_bytes FROM archive ORDER BY month DESC LIMIT $1"
ANYWHERE = "SELECT month, sha256, size_bytes FROM archive WHERE sha256 >= $2 ORDER BY sha256 LIMIT $1"


async def sample_kept(bucket: Bucket, read: Read, wanted: SampleWanted) -> list[TableIntegrity]:
    """Archives whose file is small enough to be read now; those that are not are in ``skipped_count``."""
    count, place = wanted.sample_per_table, f"{int(wanted.place * (2**32 - 1)):08x}"
    newest = await read.pool.fetch(NEWEST, count)
    anywhere = await read.pool.fetch(ANYWHERE, count, place)

    def kept(row: asyncpg.Record) -> Kept:
        return Kept(f"archive of {row['month']}", row["sha256"], row["size_bytes"], in_bucket(bucket, row["sha256"]))

    sample = chosen([kept(row) for row in newest], [kept(row) for row in anywhere], count)
    small = [one for one in sample if (one.size or 0) <= MAX_READ_BYTES]
    found = await rehash("audit_archives", small, wanted)
    return [found.model_copy(update={"skipped_count": found.skipped_count + len(sample) - len(small)})]


def table(bucket: Bucket) -> Table:
    """What this module answers."""
    return Table(queries={contract.sample_kept: partial(sample_kept, bucket)}, buckets=(bucket,))
