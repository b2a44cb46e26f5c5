"""The notifier's table of contents. Its handlers look at addresses and open secrets, so it is built with both."""

from __future__ import annotations

from libs.common.contracts.notifier import CONTRACT
from libs.common.outbound import Outbound
from libs.common.service import Service
from libs.common.vault import Vault
from services.notifier import deliveries, intake, outages, sending, series, subscriptions


def make_service(outbound: Outbound, vault: Vault) -> Service:
    """The service that calls addresses by ``outbound``, and opens signing secrets with ``vault``."""
    return Service.of(
        CONTRACT,
        subscriptions.table(outbound),
        intake.TABLE,
        deliveries.table(),
        outages.TABLE,
        sending.table(outbound, vault),
        gauges=series.measure,
        keys=(("vault", ("vault_secret", "vault_key_file")),),
    )
