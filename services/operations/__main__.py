"""``python -m services.operations`` runs the operations service."""

from libs.common.runtime import main
from services.operations.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
