"""``python -m services.gateway``: the HTTP edge and the gateway's own loop in one process."""

from __future__ import annotations

from libs.common.runtime import main
from services.gateway.edge import create_app
from services.gateway.service import SERVICE

if __name__ == "__main__":
    main(SERVICE, create_app)
