"""A container's health check: exit code 0 if the service in it is ready. Quick: it imports next to nothing."""

import http.client
import os
import sys

from libs.common.readyz import ask
from libs.common.roster import place


def main() -> int:
    """Ask /readyz of the service named by HEADGATE_SERVICE."""
    service = os.environ.get("HEADGATE_SERVICE", "gateway")
    port = int(os.environ.get("HEADGATE_HTTP_PORT") or "8080") + place(service)
    tls = service == "gateway" and bool(os.environ.get("HEADGATE_TLS_CERT_FILE"))
    try:
        status, text = ask("127.0.0.1", port, tls=tls, timeout_s=8)
    except (OSError, http.client.HTTPException) as error:
        sys.stdout.write(f"no answer on port {port}: {error}")
        return 1
    sys.stdout.write(text)
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
