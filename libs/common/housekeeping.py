"""What keeps every service's message tables small, and its gauges true."""

from __future__ import annotations

from datetime import timedelta

from libs.common import deadletters, inbox, jobs, outbox, outcomes
from libs.common.service import Job, Tx

KEEP_INBOX = timedelta(days=30)  # as long as a message can come again: EVENTS keeps 30 days
KEEP_OUTCOMES = timedelta(days=30)
KEEP_SENT = timedelta(days=1)


async def prune(tx: Tx) -> None:
    """Drop inbox rows and outcomes after 30 days, sent outbox rows after one."""
    await tx.connection.execute(inbox.PRUNE, tx.now - KEEP_INBOX)
    await tx.connection.execute(outcomes.PRUNE, tx.now - KEEP_OUTCOMES)
    await tx.connection.execute(outbox.PRUNE, tx.now - KEEP_SENT)
    await tx.connection.execute(deadletters.PRUNE_ATTEMPTS, tx.now - KEEP_OUTCOMES)
    await tx.connection.execute(jobs.PRUNE, tx.now - KEEP_OUTCOMES)


PRUNE_JOB = Job("prune", "0 17 * * * *", timedelta(hours=2), prune)
