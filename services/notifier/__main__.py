"""Run the notifier: ``python -m services.notifier``. Settings that can't work stop it with one sentence."""

import sys
from datetime import timedelta

from libs.common.outbound import Outbound
from libs.common.runtime import main
from libs.common.settings import Settings
from libs.common.vault import VaultError, vault_of
from services.notifier.domain.circuits import Policy
from services.notifier.kinds.mail import post_of
from services.notifier.service import make_service


def run() -> None:
    """Read the keys, then serve until stopped."""
    settings = Settings()
    try:
        vault = vault_of(settings)
        outbound = Outbound(settings.outbound_networks, settings.outbound_ports)
        post = post_of(settings)
    except (VaultError, ValueError) as error:
        sys.stderr.write(f"headgate notifier: {error}\n")
        sys.exit(1)
    policy = Policy(settings.guard_failures, timedelta(minutes=settings.guard_quarantine_minutes))
    base_url = settings.public_url or ""
    main(make_service(outbound, vault, base_url, pagerduty_url=settings.pagerduty_url, post=post, policy=policy))


if __name__ == "__main__":
    run()
