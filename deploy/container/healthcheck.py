"""A container's health check: exit code 0 if the service in it is ready. Quick: it imports next to nothing."""

import http.client
import os
import sys

from libs.common.roster import place


def main() -> int:
    """Ask /readyz of the service named by HEADGATE_SERVICE."""
    port = int(os.environ.get("HEADGATE_HTTP_PORT") or "8080") + place(os.environ.get("HEADGATE_SERVICE", "gateway"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=8)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        sys.stdout.write(answer.read(1000).decode(errors="replace"))
    except OSError as error:
        sys.stdout.write(f"no answer on port {port}: {error}")
        return 1
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
