"""Run the notifier: ``python -m services.notifier``. Settings that can't work stop it with one sentence."""

import sys

from libs.common.outbound import Outbound
from libs.common.runtime import main
from libs.common.settings import Settings
from libs.common.vault import VaultError, vault_of
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
    main(make_service(outbound, vault, settings.public_url or "", pagerduty_url=settings.pagerduty_url, post=post))


if __name__ == "__main__":
    run()
