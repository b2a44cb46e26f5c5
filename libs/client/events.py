"""The live event stream (server-sent events) that goes on after a break where it ended."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence

import httpx2

from libs.client.errors import ApiError, BadAnswer, ClientError
from libs.client.http import Client
from libs.client.transport import explain

READ_TIMEOUT_S = 45.0  # the server sends a sign of life every 15 s
MAX_EVENT_BYTES = 32 * 1024 * 1024
GIVE_UP_AFTER = 8  # attempts in a row without anything heard
RETRY_S = 2.0


class Events:
    """Iterate to get events; ``position`` is the id to go on after. Ends only by an error or by the caller.

    Raises `ApiError` when the gateway refuses, and the last network error once nothing was heard for several attempts.
    """

    def __init__(self, client: Client, *, site: str | None, types: Sequence[str], after: str | None) -> None:
        self.position = after
        self._client = client
        self._params: list[tuple[str, str | int | float | bool | None]] = [("type", name) for name in types]
        if site:
            self._params.append(("site", site))

    def __iter__(self) -> Iterator[httpx2.ServerSentEvent]:
        failures, wait_s = 0, RETRY_S
        while True:
            problem: ClientError | None = None
            try:
                for event in self._connection():
                    failures = 0
                    if event.id:
                        self.position = event.id
                    if event.retry is not None:
                        wait_s = min(event.retry / 1000, 30.0)
                    if event.data:
                        yield event
            except ApiError as error:
                if error.refused and error.status != 429:
                    raise
                problem = error
            except (httpx2.HTTPError, ssl.SSLError, OSError) as error:
                problem = explain(self._client.base_url, error, READ_TIMEOUT_S)
            failures += 1
            if problem is not None and failures >= GIVE_UP_AFTER:
                raise problem
            if problem is not None and failures == 1 and self.position is None:
                raise problem  # it never worked: say so at once
            self._client.sleep(wait_s if failures > 1 or problem else 0.1)

    def _connection(self) -> Iterator[httpx2.ServerSentEvent]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.position:
            headers["Last-Event-ID"] = self.position
        timeout = httpx2.Timeout(self._client.timeout_s, read=READ_TIMEOUT_S)
        with self._client.http.stream(
            "GET", "/api/events", params=self._params, headers=headers, timeout=timeout
        ) as answer:
            if not answer.is_success:
                answer.read()
                raise self._client.refusal(answer)
            if answer.headers.get("content-type", "").partition(";")[0].strip() != "text/event-stream":
                raise BadAnswer(f"{self._client.base_url} sends no event stream; is this Headgate?")
            yield from httpx2.EventSource(answer, max_event_size=MAX_EVENT_BYTES)
