"""A sample of the archives of removed deliveries, read and hashed anew."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import asyncpg

from libs.common.contracts.integrity import SampleWanted, TableIntegrity
from libs.common.contracts.notifier import integrity as contract
from libs.common.contracts.notifier.retention import KEPT_ARCHIVES_DAYS
from libs.common.integrity import Kept, chosen, in_bucket, rehash
from libs.common.objects import Bucket
from libs.common.service import Read, Table

NEWEST = "SELECT archive_id, sha256, size_bytes FROM archive WHERE created_at > $2 ORDER BY archive_id DESC LIMIT $1"
ANYWHERE = """
SELECT archive_id, sha256, size_bytes FROM archive
WHERE archive_id >= (SELECT ($3 * max(archive_id))::bigint FROM archive) AND created_at > $2
ORDER BY archive_id LIMIT $1
"""


async def sample_kept(bucket: Bucket, read: Read, wanted: SampleWanted) -> list[TableIntegrity]:
    """Archives of deliveries."""
    after = read.now - timedelta(days=KEPT_ARCHIVES_DAYS - 1)
    newest = await read.pool.fetch(NEWEST, wanted.sample_per_table, after)
    anywhere = await read.pool.fetch(ANYWHERE, wanted.sample_per_table, after, wanted.place)

    def kept(row: asyncpg.Record) -> Kept:
        return Kept(str(row["archive_id"]), row["sha256"], row["size_bytes"], in_bucket(bucket, row["sha256"]))

    sample = chosen([kept(row) for row in newest], [kept(row) for row in anywhere], wanted.sample_per_table)
    return [await rehash("delivery_archives", sample, wanted)]


def table(bucket: Bucket) -> Table:
    """What this module answers."""
    return Table(queries={contract.sample_kept: partial(sample_kept, bucket)}, buckets=(bucket,))
