"""TLS by the gateway itself: the certificate and key that it is given, how long it lasts, and its renewal.

Crash here means: nothing is lost; the next start reads the files.
"""

from __future__ import annotations

import asyncio
import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import uvicorn
from cryptography import x509

from libs.common.settings import Settings
from libs.common.telemetry import log

WARNED = timedelta(days=21)
LOOKS_EVERY_S = 10.0


class TlsError(ValueError):
    """The settings can't be used; the message is one sentence for the operator."""


def files_of(settings: Settings) -> tuple[Path, Path] | None:
    """Certificate and key, or None without TLS. Raises `TlsError` if they can't be used together."""
    cert, key = settings.tls_cert_file, settings.tls_key_file
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise TlsError("HEADGATE_TLS_CERT_FILE and HEADGATE_TLS_KEY_FILE belong together; set both, or none")
    fitting(cert, key)
    return cert, key


def fitting(cert: Path, key: Path) -> None:
    """Raise `TlsError` unless certificate and key can be read and belong together."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise TlsError(f"TLS can't begin with {cert} and {key}: {error}; give a PEM chain and its key") from None


class Renewal:
    """Takes a certificate that was put in the place of the one in use, for connections that begin from then on.

    Both files are looked at, also behind links (certbot and Kubernetes exchange those). Until they fit together, since
    one is written after the other, or if the new ones are broken, the old certificate is served on.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._files = cert, key
        self._used: tuple[tuple[int, ...] | None, ...] = self._marks()
        self._refused = self._used

    def _marks(self) -> tuple[tuple[int, ...] | None, ...]:
        """What changes with a file's content; None: it is not there."""
        found: list[tuple[int, ...] | None] = []
        for path in self._files:
            try:
                seen = path.stat()
                found.append((seen.st_mtime_ns, seen.st_size, seen.st_ino))
            except OSError:
                found.append(None)
        return tuple(found)

    def look(self, context: ssl.SSLContext) -> bool:
        """Take a new certificate into the server's context, if there is one that can be used; says so in the log."""
        marks = self._marks()
        if marks == self._used:
            return False
        try:
            fitting(*self._files)
            ends = ends_at(self._files[0])
            self._used = ()  # should a file be exchanged in this very instant, the next look mends it
            context.load_cert_chain(*self._files)
        except (TlsError, OSError, ValueError) as error:
            if marks != self._refused:
                log.error("the new TLS certificate can't be used; the old one is served on", error=str(error))
            self._refused = marks
            return False
        self._used = marks
        log.info("a new TLS certificate is in use", ends_at=ends.isoformat())
        return True

    async def keep(self, server: uvicorn.Config) -> None:
        """Look again and again until cancelled; the server makes its context when it begins to listen."""
        while True:
            await asyncio.sleep(LOOKS_EVERY_S)
            if server.ssl is not None:
                self.look(server.ssl)


def ends_at(cert: Path) -> datetime:
    """When the first certificate of the file, which is the server's own, ends. Raises `ValueError` and `OSError`."""
    return x509.load_pem_x509_certificates(cert.read_bytes())[0].not_valid_after_utc


def judge_certificate(ends: datetime, now: datetime) -> tuple[Literal["ok", "warning", "error"], str]:
    """How long the certificate still lasts."""
    shown = f"the TLS certificate ends at {ends:%Y-%m-%d %H:%M} UTC"
    if ends <= now:
        return "error", f"{shown}, which is over; put a new one in its place"
    if ends - now <= WARNED:
        return "warning", f"{shown}; put a new one in its place"
    return "ok", shown
