"""The notifier's table of contents. Its handlers look at addresses and open secrets, so it is built with both."""

from __future__ import annotations

from libs.common.buckets import ARCHIVES
from libs.common.contracts.notifier import CONTRACT
from libs.common.objects import Bucket
from libs.common.outbound import Outbound
from libs.common.service import Service
from libs.common.vault import Vault
from services.notifier import (
    alerting,
    alerts,
    channels,
    deliveries,
    escalations,
    intake,
    keys,
    personal,
    sending,
    subscriptions,
)
from services.notifier.domain.circuits import DEFAULT_POLICY, Policy
from services.notifier.figures import channel_kpi, integrity, mttr_slo, outages, retention, series, verdicts
from services.notifier.guarding import recovery
from services.notifier.kinds.mail import Post
from services.notifier.kinds.ways import PAGERDUTY_URL, Ways
from services.notifier.words import templates


def make_service(
    outbound: Outbound,
    vault: Vault,
    base_url: str = "",
    *,
    pagerduty_url: str = PAGERDUTY_URL,
    post: Post | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Service:
    """The service that calls addresses by ``outbound`` and opens secrets with ``vault``; the rest: see `Ways`.

    ``policy`` says when a target is left alone.
    """
    bucket, ways = Bucket(ARCHIVES.name), Ways(outbound, vault, base_url, pagerduty_url, post)
    return Service.of(
        CONTRACT,
        channels.table(ways),
        keys.table(vault),
        subscriptions.table(outbound),
        intake.TABLE,
        personal.TABLE,
        deliveries.table(),
        escalations.TABLE,
        outages.TABLE,
        templates.table(base_url),
        sending.table(ways, policy),
        retention.table(bucket),
        integrity.table(bucket),
        retention.DOCUMENT,
        retention.POLICY,
        recovery.table(policy),
        alerts.TABLE,
        alerting.TABLE,
        channel_kpi.TABLE,
        mttr_slo.table(),
        mttr_slo.DOCUMENT,
        mttr_slo.POLICY,
        verdicts.TABLE,
        verdicts.DOCUMENT,
        verdicts.POLICY,
        gauges=series.measure,
        keys=(("vault", ("vault_secret", "vault_key_file")),),
    )
