"""Audit's table of contents: every event into the log, the log into its signed tree, questions about both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import asyncpg
from prometheus_client import CollectorRegistry

from libs.common.buckets import AUDIT_ARCHIVES
from libs.common.contracts.audit import CONTRACT
from libs.common.objects import Bucket
from libs.common.outbound import Outbound
from libs.common.service import Service
from libs.tlog.notes import Signer
from services.audit import (
    conduct,
    cosigning,
    deeds,
    entries,
    erasing,
    head,
    log,
    proofs,
    receipts,
    rollovers,
    sessions,
    traces,
    verify,
    witnesses,
)
from services.audit.archives import checking, making, reading, sampling, stamping
from services.audit.archives.stamping import Authority
from services.audit.guard import Guard
from services.audit.outside import Outside
from services.audit.verifications import asking, running
from services.audit.witnesses import WitnessAt


def make_service(
    signer: Signer | None,
    asked: Sequence[WitnessAt] = (),
    outbound: Outbound | None = None,
    retention: Mapping[str, int] | None = None,
    authority: Authority | None = None,
) -> Service:
    """The service that signs with this key; without one the log has no checkpoints and is written all the same.

    ``asked`` are the witnesses that are asked by ``outbound`` to cosign them; ``retention``: after how many days
    entries of each class lose their bodies; ``authority`` stamps archives.
    """
    outside, archives = Outside(), Bucket(AUDIT_ARCHIVES.name)

    async def measure(pool: asyncpg.Pool, registry: CollectorRegistry) -> None:
        await log.measure(pool, registry)
        await witnesses.measure(asked, pool, registry)
        await asking.measure(pool)

    return Service.of(
        CONTRACT,
        log.table(Guard(outside)),
        entries.TABLE,
        sessions.TABLE,
        traces.TABLE,
        deeds.TABLE,
        conduct.TABLE,
        verify.table(signer),
        asking.TABLE,
        running.table(signer, outside),
        head.TABLE,
        proofs.table(signer, outside, asked),
        receipts.TABLE,
        rollovers.table(signer, outside),
        witnesses.table(asked),
        cosigning.table(asked, outbound, outside),
        making.table(signer, outside, archives),
        reading.table(archives),
        checking.table(archives),
        sampling.table(archives),
        stamping.table(authority),
        erasing.table(retention or {}, archives, signer),
        gauges=measure,
        keys=(("audit", ("audit_secret", "audit_key_file")),),
    )
