"""Audit's table of contents: every event into the log, questions about it."""

from __future__ import annotations

from libs.common.contracts.audit import CONTRACT
from libs.common.contracts.audit.chain import verify_chain
from libs.common.contracts.audit.entries import list_entries
from libs.common.service import Batch, Service
from services.audit import entries, log, verify

SERVICE = Service(
    contract=CONTRACT,
    queries={list_entries: entries.list_entries, verify_chain: verify.verify_chain},
    batch=Batch(log.append, stream="events"),
    gauges=log.measure,
)
