"""Run the notifier: ``python -m services.notifier``. Keys that can't be read stop it with one sentence."""

import sys

from libs.common.outbound import Outbound
from libs.common.runtime import main
from libs.common.settings import Settings
from libs.common.vault import VaultError, vault_of
from services.notifier.service import make_service


def run() -> None:
    """Read the keys, then serve until stopped."""
    settings = Settings()
    try:
        vault = vault_of(settings)
        outbound = Outbound(settings.outbound_networks, settings.outbound_ports)
    except (VaultError, ValueError) as error:
        sys.stderr.write(f"headgate notifier: {error}\n")
        sys.exit(1)
    main(make_service(outbound, vault, settings.public_url or ""))


if __name__ == "__main__":
    run()
