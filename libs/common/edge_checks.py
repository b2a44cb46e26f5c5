"""What the preflight of the gateway looks at besides: its TLS certificate, and the store of its rate limits."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Literal

from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from libs.common.settings import Settings
from libs.common.tls import TlsError, ends_at, files_of, judge_certificate

Word = Literal["ok", "warning", "error"]
ANSWER_S = 1.0
RATE_LIMIT_STORE = "rate_limit_store"  # a Valkey or Redis
RATE_LIMIT_COUNTERS = "rate_limit_counters"  # in NATS, without which nothing goes at all
TLS_CERTIFICATE = "tls_certificate"


async def edge_checks(settings: Settings, now: datetime) -> list[tuple[str, Word, str]]:
    """Name, word and sentence of each; of what the settings don't name there is none."""
    found: list[tuple[str, Word, str]] = []
    if settings.tls_cert_file is not None:
        found.append((TLS_CERTIFICATE, *_certificate(settings, settings.tls_cert_file, now)))
    if settings.rate_limit_place == "redis" and settings.rate_limit_url is not None:
        found.append((RATE_LIMIT_STORE, *await _store(settings)))
    elif settings.rate_limit_place == "nats":
        found.append((RATE_LIMIT_COUNTERS, "ok", "the gateways count requests together in NATS"))
    return found


def _certificate(settings: Settings, cert: Path, now: datetime) -> tuple[Word, str]:
    """Of the files as they are: what can't be used is not in use either, whatever is still served."""
    try:
        files_of(settings)
        return judge_certificate(ends_at(cert), now)
    except (TlsError, OSError, ValueError) as error:
        return "error", f"the files of TLS can't be used, so an older certificate is served, if any: {error}"[:500]


async def _store(settings: Settings) -> tuple[Word, str]:
    """A store that is away is no error, unless nobody passes then."""
    assert settings.rate_limit_url is not None  # noqa: S101  asked only if it is there
    try:
        client = Valkey.from_url(
            settings.rate_limit_url.get_secret_value(), socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                await client.ping()
        finally:
            await client.aclose()
    except (ValkeyError, OSError, ValueError, TimeoutError) as error:
        away = f"the store of rate limits does not answer ({type(error).__name__}), see HEADGATE_RATE_LIMIT_URL"
        if settings.rate_limit_away == "refuse":
            return "error", f"{away}; no request passes, as HEADGATE_RATE_LIMIT_AWAY says"
        return "warning", f"{away}; each gateway counts by itself"
    return "ok", "the gateways count requests together in Redis"
