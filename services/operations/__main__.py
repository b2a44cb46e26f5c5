"""``python -m services.operations`` runs the operations service."""

from libs.common.runtime import main
from libs.common.settings import Settings
from services.operations.service import make_service

if __name__ == "__main__":
    main(make_service(Settings()))
