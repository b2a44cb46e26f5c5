"""Audit's table of contents: every event into the log, the log into its signed tree, questions about both."""

from __future__ import annotations

from libs.common.contracts.audit import CONTRACT
from libs.common.service import Service
from libs.tlog.notes import Signer
from services.audit import entries, head, log, proofs, rollovers, verify
from services.audit.guard import Guard
from services.audit.outside import Outside


def make_service(signer: Signer | None) -> Service:
    """The service that signs with this key; without one the log has no checkpoints and is written all the same."""
    outside = Outside()
    return Service.of(
        CONTRACT,
        log.table(Guard(outside)),
        entries.TABLE,
        verify.TABLE,
        head.TABLE,
        proofs.table(signer, outside),
        rollovers.table(signer, outside),
        gauges=log.measure,
        keys=(("audit", ("audit_secret", "audit_key_file")),),
    )
