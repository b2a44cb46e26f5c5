"""The one Prometheus that an installation may ask: its address is a setting, and nothing else is ever called.

A query is data in the body of a request to that address. Redirects are not followed, an answer has a bound in bytes and
in time, and the address, which may hold a password, stands in no sentence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

import httpx2

from libs.common.runtime import StartError
from libs.common.settings import Settings
from services.governance.domain.samples import NoNumber, Sample, read_sample

TIMEOUT_S = 3.0  # the jobs of a service run one after another, and others are due each minute
AWAY_S = 20.0  # so long nobody is asked again after nobody answered, so that other jobs have their turn
MAX_ANSWER_BYTES = 64 * 1024
TIMED_OUT = f"Prometheus did not answer within {TIMEOUT_S:g} s."
NOT_SET = "This installation may ask no Prometheus: HEADGATE_PROMETHEUS_URL is not set."


class Prometheus:
    """``url`` without a path of the API; None: there is none to ask."""

    def __init__(self, url: str | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._url = None if url is None else url.rstrip("/") + "/api/v1/query"
        self._monotonic = monotonic
        self._away_until, self._silent_count = float("-inf"), 0

    @property
    def may_be_asked(self) -> bool:
        """Whether the installation has one."""
        return self._url is not None

    async def ask(self, *queries: str, at: datetime) -> list[Sample | NoNumber]:
        """The numbers of instant queries at a time, in their order; where there is none, why."""
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
            answers = list(await asyncio.gather(*(self._ask(client, query, at) for query in queries)))
        # One slow query says nothing of others; a second site without any answer says that nobody is there.
        silent = all(isinstance(one, NoNumber) and one.why == TIMED_OUT for one in answers)
        self._silent_count = self._silent_count + 1 if silent else 0
        if self._silent_count >= 2:
            self._away_until = self._monotonic() + AWAY_S
        return answers

    async def _ask(self, client: httpx2.AsyncClient, query: str, at: datetime) -> Sample | NoNumber:
        if self._url is None:
            return NoNumber(NOT_SET)
        if self._monotonic() < self._away_until:
            return NoNumber("Prometheus can't be reached.")
        form = {"query": query, "time": f"{at.timestamp():.3f}", "timeout": f"{TIMEOUT_S:g}s"}
        try:
            async with asyncio.timeout(TIMEOUT_S), client.stream("POST", self._url, data=form) as answer:
                content = bytearray()
                async for piece in answer.aiter_bytes():
                    content += piece
                    if len(content) > MAX_ANSWER_BYTES:
                        return NoNumber(f"The answer has more than {MAX_ANSWER_BYTES} bytes; wanted one number.")
                # A query that can't be read is answered with 400 and the reason.
                if answer.status_code not in (200, 400, 422):
                    return NoNumber(f"Prometheus answers with HTTP {answer.status_code}; wanted 200.")
                return read_sample(bytes(content))
        except NoNumber as none:
            return none
        except TimeoutError:
            return NoNumber(TIMED_OUT)
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
            self._away_until = self._monotonic() + AWAY_S
            return NoNumber("Prometheus can't be reached.")


def read_prometheus(settings: Settings) -> Prometheus:
    """The Prometheus of the settings. Raises `StartError` for an address that can't be one, without showing it."""
    given = settings.prometheus_url.get_secret_value() if settings.prometheus_url else None
    if given is None:
        return Prometheus(None)
    try:
        parts = urlsplit(given)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise StartError("HEADGATE_PROMETHEUS_URL must be an address such as http://prometheus:9090, without a query")
    return Prometheus(given)
