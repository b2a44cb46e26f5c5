"""Ask a service here whether it is ready. Standard library only: a container's health check starts it anew."""

from __future__ import annotations

import http.client
import ssl

READ_BYTES = 1000


def ask(host: str, port: int, *, tls: bool, timeout_s: float) -> tuple[int, str]:
    """Status and the first of the text of /readyz. Raises `OSError` and `http.client.HTTPException` without an answer.

    With `tls` the certificate is not looked at: it is the public name's, the one who asks and the one who answers are
    of one installation on one machine, and a certificate that ended must not make the process look dead.
    """
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read(READ_BYTES).decode(errors="replace")
    finally:
        connection.close()
