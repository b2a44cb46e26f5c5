"""Audit's table of contents: every event into the log, questions about it."""

from __future__ import annotations

from libs.common.contracts.audit import CONTRACT
from libs.common.service import Service
from services.audit import entries, log, verify

SERVICE = Service.of(
    CONTRACT,
    log.TABLE,
    entries.TABLE,
    verify.TABLE,
    gauges=log.measure,
)
