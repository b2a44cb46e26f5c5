"""What keeps every service's message tables small, and its gauges true."""

from __future__ import annotations

from datetime import timedelta

from libs.common import deadletters, inbox, job_runs, outbox, outcomes
from libs.common.schedules import Schedule
from libs.common.service import Job, Tx

KEEP_INBOX = timedelta(days=30)  # as long as a message can come again: EVENTS keeps 30 days
KEEP_OUTCOMES = timedelta(days=30)
KEEP_SENT = timedelta(days=1)
KEEP_RUNS = timedelta(days=400)  # so that a year can be compared with the one before


async def prune(tx: Tx) -> None:
    """Drop inbox rows and outcomes after 30 days, sent outbox rows after one, job runs after 400."""
    await tx.connection.execute(inbox.PRUNE, tx.now - KEEP_INBOX)
    await tx.connection.execute(outcomes.PRUNE, tx.now - KEEP_OUTCOMES)
    await tx.connection.execute(outbox.PRUNE, tx.now - KEEP_SENT)
    await tx.connection.execute(deadletters.PRUNE_ATTEMPTS, tx.now - KEEP_OUTCOMES)
    await tx.connection.execute(job_runs.PRUNE_RUNS, tx.now - KEEP_RUNS)
    await tx.connection.execute(job_runs.PRUNE_TICKS, tx.now - KEEP_RUNS)


PRUNE_JOB = Job("prune", Schedule("17 * * * *"), prune)
