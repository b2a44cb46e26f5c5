"""Run governance: ``python -m services.governance``. A policy that can't be used stops it with one sentence."""

import os
import sys

from libs.common.runtime import StartError, main
from libs.common.settings import Settings
from services.governance.capsules import read_signer
from services.governance.inputs.prometheus import read_prometheus
from services.governance.service import make_service
from services.governance.startup import read_policies


def run() -> None:
    """Read the policies, then serve until stopped."""
    try:
        settings = Settings()
        policies = read_policies(settings.policies_dir, os.environ)
        signer = read_signer(settings)
        days = settings.signal_retention_days, settings.report_retention_days
        service = make_service(policies, *days, signer, read_prometheus(settings))
    except StartError as error:
        sys.stderr.write(f"headgate governance: {error}\n")
        sys.exit(1)
    main(service)


if __name__ == "__main__":
    run()
