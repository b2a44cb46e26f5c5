"""``python -m services.audit`` runs the audit service. A key that can't be used stops it with one sentence."""

import sys

from libs.common.runtime import StartError, main
from libs.common.settings import Settings
from services.audit.keys import read_signer
from services.audit.service import make_service


def run() -> None:
    """Read the key, then serve until stopped."""
    try:
        signer = read_signer(Settings())
    except StartError as error:
        sys.stderr.write(f"headgate audit: {error}\n")
        sys.exit(1)
    main(make_service(signer))


if __name__ == "__main__":
    run()
