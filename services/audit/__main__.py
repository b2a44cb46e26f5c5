"""``python -m services.audit`` runs the audit service."""

from libs.common.runtime import main
from services.audit.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
