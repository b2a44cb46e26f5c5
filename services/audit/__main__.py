"""``python -m services.audit`` runs the audit service. Settings that can't be used stop it with one sentence."""

import sys
from functools import partial

from libs.common.outbound import Outbound
from libs.common.runtime import StartError, main
from libs.common.settings import Settings
from services.audit.archives.stamping import Authority
from services.audit.erasing import read_retention
from services.audit.keys import read_signer
from services.audit.service import make_service
from services.audit.witnesses import read_witnesses


def run() -> None:
    """Read keys and witnesses, then serve until stopped."""
    try:
        settings = Settings()
        signer, asked = read_signer(settings), read_witnesses(settings.audit_witnesses)
        retention = read_retention(settings.audit_retention)
        calls = partial(Outbound, settings.outbound_networks, settings.outbound_ports)
        outbound = calls() if asked else None
        authority = Authority(settings.audit_tsa_url, calls) if settings.audit_tsa_url else None
    except (StartError, ValueError) as error:
        sys.stderr.write(f"headgate audit: {error}\n")
        sys.exit(1)
    main(make_service(signer, asked, outbound, retention, authority))


if __name__ == "__main__":
    run()
