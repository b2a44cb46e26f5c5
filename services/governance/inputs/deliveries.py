"""Deliveries of webhooks: what another system told becomes a signal, or is said to be ignored."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256

from libs.common.contracts.governance import deliveries as contract
from libs.common.contracts.governance.deliveries import (
    DeliveryIgnored,
    DeliveryReceipt,
    DeliveryRecord,
    delivery_ignored,
)
from libs.common.problems import Invalid
from libs.common.service import Table, Tx
from libs.judge.report_base import BadReport
from services.governance.catalog import Catalog
from services.governance.domain.webhooks.delivery import Ignored, Mapped, Told
from services.governance.domain.webhooks.github import read_github
from services.governance.domain.webhooks.gitlab import read_gitlab
from services.governance.inputs.signals import NewSignal, receipt, store

READERS = {"github": read_github, "gitlab": read_gitlab}

SELECT_DEPLOYMENT = """
SELECT signals.data->>'run_id' AS deployment_id, signals.data->>'status' AS status, facts.time
FROM facts JOIN signals USING (signal_id)
WHERE facts.site = $1 AND facts.subject = $2 AND facts.version = $3 AND facts.kind = $4 AND facts.part = $5
    AND facts.voice = ''
"""


async def record_delivery(catalog: Catalog, tx: Tx, body: DeliveryRecord) -> DeliveryReceipt:
    """Store what the delivery tells as a signal. Raises `Invalid` for a body that can't be read, `Conflict`.

    What is not to be judged is told in an event and answered with the reason.
    """
    mapping = body.mapping
    mapped = Mapped(mapping.subjects, mapping.version_from, tuple(mapping.refs), mapping.drop_prefix)
    try:
        told = READERS[body.system](body.event, body.payload)
        subject, version = mapped.target(told)
        told = await _among_deployments(tx, told, subject, version)
    except Ignored as ignored:
        data = DeliveryIgnored(webhook=body.webhook, event=body.event, why=ignored.why)
        tx.emit(delivery_ignored, data, subject=body.webhook)
        return DeliveryReceipt(ignored=ignored.why)
    except BadReport as error:
        raise Invalid(f"The body of {body.event} can't be read: {error.message}") from None
    await catalog.check_version(tx.connection, told.kind, version, f"The webhook's event {body.event}")
    receipts = await store(tx, [_signal(tx, body, told, subject, version)])
    return DeliveryReceipt(items=receipts.items)


def _signal(tx: Tx, body: DeliveryRecord, told: Told, subject: str, version: str) -> NewSignal:
    # A clock that runs ahead must not hold back what is told later: no time is later than the receipt.
    time = receipt(tx) if told.time is None else min(told.time, receipt(tx))
    content = json.dumps([told.kind, told.part, subject, version, told.data], sort_keys=True).encode()
    source = f"/webhooks/{body.system}/{told.repository}"[:512]
    return NewSignal(
        source, body.key, told.kind, told.part, subject, version, time, told.data, sha256(content).digest()
    )


async def _among_deployments(tx: Tx, told: Told, subject: str, version: str) -> Told:
    """The deployment's word where others of that version went to the same environment before or after.

    That an earlier one is inactive now says only that a later one took its place, and comes within the same second as
    that one's success. Raises `Ignored` for it; where it came first, the later one counts as newer.
    """
    if told.deployment_id is None:
        return told
    row = await tx.connection.fetchrow(SELECT_DEPLOYMENT, tx.site, subject, version, told.kind, told.part)
    known = row["deployment_id"] if row is not None else None
    if row is None or not known or not known.isdigit() or int(known) == told.deployment_id:
        return told
    if told.replaced and told.deployment_id < int(known):
        raise Ignored(f"deployment {told.deployment_id} is inactive, as {known} of that version took its place")
    if row["status"] == "removed" and told.deployment_id > int(known) and told.time is not None:
        return replace(told, time=max(told.time, row["time"] + timedelta(microseconds=1)))
    return told


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    return Table(commands={contract.record_delivery: partial(record_delivery, catalog)})
