"""``python -m services.metrics`` runs the metrics service."""

from libs.common.runtime import main
from services.metrics.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
