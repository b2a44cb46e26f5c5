"""Run the tracker: ``python -m services.tracker``."""

from libs.common.runtime import main
from services.tracker.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
