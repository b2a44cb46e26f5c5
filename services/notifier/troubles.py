"""Which troubles are over: a warning that comes late, after its own all-clear, must not open an incident again.

Deliveries go out in any order: one is tried again later, another was held back while its receiver failed.
"""

from __future__ import annotations

import asyncpg

from services.notifier.kinds.request import Trouble

KEEP_END = """
WITH forgotten AS (DELETE FROM trouble_end WHERE channel_id = $1 AND ended_at < $3::timestamptz - interval '31 days')
INSERT INTO trouble_end (channel_id, dedup_key, ended_at) VALUES ($1, $2, $3)
ON CONFLICT (channel_id, dedup_key) DO UPDATE SET ended_at = greatest(trouble_end.ended_at, EXCLUDED.ended_at)
"""
SELECT_END = "SELECT ended_at FROM trouble_end WHERE channel_id = $1 AND dedup_key = $2 AND ended_at >= $3"
OVER = "What it told of was over before it could be delivered; it would have opened the incident again."


async def is_over(pool: asyncpg.Pool, channel_id: int, trouble: Trouble) -> bool:
    """Whether what is about to be told of has ended since.

    If it tells of an end itself, that is kept first: so what is older is told no more, whether or not the end has been
    delivered by then.
    """
    if trouble.ends:
        await pool.execute(KEEP_END, channel_id, trouble.key, trouble.at)
        return False
    return await pool.fetchval(SELECT_END, channel_id, trouble.key, trouble.at) is not None
