"""Run metrics: ``python -m services.metrics``. An SLO that can't be used stops it with one sentence."""

import sys

from libs.common.runtime import StartError, main
from libs.common.settings import Settings
from services.metrics.service import make_service
from services.metrics.startup import read_slos, read_watched


def run() -> None:
    """Read the SLOs and the routes to watch, then serve until stopped."""
    try:
        settings = Settings()
        service = make_service(read_slos(settings.slo_dir), read_watched(settings.watched_routes))
    except StartError as error:
        sys.stderr.write(f"headgate metrics: {error}\n")
        sys.exit(1)
    main(service)


if __name__ == "__main__":
    run()
