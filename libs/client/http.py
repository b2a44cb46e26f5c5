"""The typed HTTP client: any operation by its name, retried only where that is safe.

Every changing request carries an ``Idempotency-Key``, so sending it again after a lost answer applies it once.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Final, TypeVar

import httpx2
import orjson
import stamina
from pydantic import TypeAdapter, ValidationError

from libs.client.addresses import checked_url, is_loopback
from libs.client.errors import ApiError, BadAnswer, StillPending, UsageProblem
from libs.client.packing import PackedFile
from libs.client.requests import Prepared, is_command, page_of, prepare
from libs.client.transport import Asked, explain, may_retry
from libs.common.contracts.audit.chain import Verification
from libs.common.contracts.base import Page
from libs.common.contracts.gateway.federation import PATH as LOGIN_PATH
from libs.common.contracts.gateway.logins import PATH as LOGINS_PATH
from libs.common.contracts.gateway.logins import RENEW_PATH, LoginView
from libs.common.contracts.gateway.me import Me
from libs.common.contracts.gateway.tokens import TokenIssued
from libs.common.contracts.governance.plans import Plan
from libs.common.contracts.governance.runs import GateRun
from libs.common.contracts.governance.signals import SignalReceipts
from libs.common.contracts.tracker.board import SyncResult
from libs.common.contracts.tracker.completion import Completion
from libs.common.contracts.tracker.items import Item

M = TypeVar("M")

DEFAULT_TIMEOUT_S: Final = 30.0
ATTEMPTS: Final = 4
PENDING_WAIT_S: Final = 90.0  # a deferred outcome fails after 60 s, so this sees every end
POLL_S: Final = 0.5


class Client:
    """One gateway, one token. Use as a context manager; not for several threads at once.

    ``token`` may be a function that is asked before each request.
    ``timeout_s`` bounds each attempt. Every method raises `ApiError` for a refusal, `Unreachable` when no answer came,
    `BadAnswer` when something else than Headgate answered, `StillPending` when a command's outcome is not known yet.
    """

    def __init__(
        self,
        base_url: str,
        token: str | Callable[[], str] | None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        *,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = checked_url(base_url)
        self.timeout_s = timeout_s
        self.sleep = sleep
        self._attempts = attempts
        headers = {"Accept": JSON_ACCEPT, "User-Agent": "headgate-client"}
        if isinstance(token, str) and token:
            if not token.isascii() or not token.isprintable() or " " in token:
                raise UsageProblem("The token holds characters that no token has; log in again.")
            headers["Authorization"] = f"Bearer {token}"
        # Reading the trusted certificates takes 45 ms, and plain HTTP needs none: an empty context trusts nobody.
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if self.base_url.startswith("http://") else True
        self.http = httpx2.Client(
            base_url=self.base_url,
            headers=headers,
            timeout=timeout_s,
            trust_env=not is_loopback(self.base_url),
            verify=tls,
            auth=None if token is None or isinstance(token, str) else Asked(token),
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    # --- any operation ---------------------------------------------------------------------------------------------

    def call(self, name: str, /, *, idempotency_key: str | None = None, **fields: Any) -> Any:
        """Answer of the operation ``name`` (``service.noun.verb``) as parsed JSON.

        ``site=`` chooses the site where the operation concerns one. A 202 is followed until its outcome is known.
        """
        return self._run(prepare(name, fields), idempotency_key)

    def send(self, name: str, content: bytes | PackedFile, content_type: str, /, **fields: Any) -> Any:
        """The same for operations that take a body of another form (CloudEvents, reports of tools)."""
        return self._run(prepare(name, fields, content=content, content_type=content_type), None)

    def csv(self, name: str, /, **fields: Any) -> str:
        """The answer of a query as CSV text."""
        prepared = prepare(name, fields)
        answer = self._exchange(prepared, {"Accept": "text/csv"}, retry=True)
        if answer.headers.get("content-type", "").partition(";")[0] != "text/csv":
            raise UsageProblem(f"{name} has no CSV form.")
        return answer.text

    def download(self, name: str, into: IO[bytes], /, **fields: Any) -> Mapping[str, str]:
        """The answer of an operation that gives a file, written to ``into``; returns the answer's headers.

        Raises `BadAnswer` if what came is not what the server said: part of ``into`` may be written then.
        """
        prepared, digest = prepare(name, fields), hashlib.sha256()
        request = self.http.build_request(prepared.method, prepared.path, params=prepared.params)
        try:
            with contextlib.closing(self._send(request, retry=True, stream=True)) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self.refusal(answer)
                for chunk in answer.iter_bytes():
                    digest.update(chunk)
                    into.write(chunk)
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise explain(self.base_url, error, self.timeout_s) from error
        if answer.headers.get("etag") != f'"{digest.hexdigest()}"':
            raise BadAnswer(f"{self.base_url} sent a file that is not what it said; try again.")
        return answer.headers

    def pages(self, name: str, /, **fields: Any) -> Iterator[list[Any]]:
        """The items of a list, page by page, from ``cursor`` on if one is given, until the last."""
        cursor: str | None = fields.pop("cursor", None)
        while True:
            page = self.call(name, **fields, **({"cursor": cursor} if cursor else {}))
            items, following = page_of(name, page, fields)
            yield items
            if not following or following == cursor:
                return
            cursor = following

    def document(self, path: str, *, also: tuple[int, ...] = ()) -> tuple[int, Any]:
        """GET a path that is no contract, such as ``/api/status``; ``also`` are further statuses that are answers."""
        request = self.http.build_request("GET", path)
        answer = self._send(request, retry=True, also=also)
        if answer.status_code not in also and not answer.is_success:
            raise self.refusal(answer)
        return answer.status_code, self._json(answer)

    def content(self, path: str) -> bytes:
        """GET the bytes of a path that is no contract, such as ``/audit/checkpoint``."""
        answer = self._send(self.http.build_request("GET", path, headers={"Accept": "*/*"}), retry=True)
        if not answer.is_success:
            raise self.refusal(answer)
        return answer.content

    # --- typed helpers ---------------------------------------------------------------------------------------------

    def me(self) -> Me:
        """Who the token is."""
        return read_as(Me, self.call("gateway.me.get"))

    def exchange_identity(self, identity_token: str, rule: str | None = None) -> TokenIssued:
        """A token of minutes for the identity token of a job. The client needs no token of its own."""
        return read_as(TokenIssued, self.knock("POST", LOGIN_PATH, {"token": identity_token, **given(rule=rule)}))

    def knock(self, method: str, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        """The answer of a door that is asked without a token; cookies that it gave before go along.

        Of a 202 the outcome can't be followed without a token.
        """
        said = {"Content-Type": "application/json", "Prefer": f"wait={max(1, int(self.timeout_s * 0.6))}"}
        content = orjson.dumps(body)
        request = self.http.build_request(method, path, content=content, headers={**said, **(headers or {})})
        answer = self._send(request, retry=path == LOGIN_PATH)
        if not answer.is_success:
            raise self.refusal(answer)
        document = self._json(answer)
        if answer.status_code == 202:
            raise StillPending(str(document.get("command", "")))
        return document

    def open_login(self) -> LoginView:
        """A login of a program, for the token that this client has; its secrets stand in this answer only."""
        return self._login(LOGINS_PATH, {}, retry=False)

    def renew_login(self, refresh_token: str, next_sha256: str) -> LoginView:
        """The next token of a login. To ask the same once more is safe. The client needs no token of its own."""
        return self._login(RENEW_PATH, {"refresh_token": refresh_token, "next_sha256": next_sha256}, retry=True)

    def _login(self, path: str, body: Mapping[str, str], *, retry: bool) -> LoginView:
        headers = {"Content-Type": "application/json", "Prefer": f"wait={max(1, int(self.timeout_s * 0.6))}"}
        request = self.http.build_request("POST", path, content=orjson.dumps(body), headers=headers)
        answer = self._send(request, retry=retry)
        if not answer.is_success:
            raise self.refusal(answer)
        document = self._json(answer)
        if answer.status_code == 202:
            raise StillPending(str(document.get("command", "")))
        return read_as(LoginView, document)

    def run_gate(
        self, gate: str, *, subject: str | None = None, version: str | None = None, site: str | None = None
    ) -> GateRun:
        """Judge now and store the verdict."""
        return read_as(
            GateRun, self.call("governance.gate.run", gate=gate, **given(subject=subject, version=version, site=site))
        )

    def gate_runs(self, gate: str, **fields: Any) -> Page[GateRun]:
        """Verdicts, newest first; fields of `RunFilter`."""
        return read_as(Page[GateRun], self.call("governance.runs.list", gate=gate, **given(**fields)))

    def plan(self, gate: str, **fields: Any) -> Plan:
        """The remediation plan; fields of `GatePlanOptions`."""
        return read_as(Plan, self.call("governance.plan.get", gate=gate, **given(**fields)))

    def send_report(self, report_format: str, content: bytes | PackedFile, **fields: Any) -> SignalReceipts:
        """Send a report as a tool wrote it; fields: subject, version, part, source, site."""
        answer = self.send(
            "governance.report.record", content, "application/octet-stream", format=report_format, **given(**fields)
        )
        return read_as(SignalReceipts, answer)

    def send_signals(self, content: bytes, content_type: str, **fields: Any) -> SignalReceipts:
        """Send CloudEvents in a structured or batched form; fields: subject, version, site."""
        return read_as(SignalReceipts, self.send("governance.signal.record", content, content_type, **given(**fields)))

    def items(self, **fields: Any) -> list[Item]:
        """Items of a board; fields of `ItemFilter`."""
        return read_as(list[Item], self.call("tracker.items.list", **given(**fields)))

    def patch_item(self, item_id: int, **fields: Any) -> Item:
        """Change an item; fields of `ItemPatch`."""
        return read_as(Item, self.call("tracker.item.patch", item_id=item_id, **given(**fields)))

    def sync_board(self, **fields: Any) -> SyncResult:
        """Run the gate afresh and bring the board in line; fields of `SyncBody`."""
        return read_as(SyncResult, self.call("tracker.board.sync", **given(**fields)))

    def complete_board(self, **fields: Any) -> Completion:
        """Close the board; fields of `CompleteBody`. Raises `ApiError` 409 with ``blockers`` when it is not ready."""
        return read_as(Completion, self.call("tracker.board.complete", **given(**fields)))

    def verify_audit(self, from_seq: int = 1) -> Verification:
        """Have the server recompute the chain from ``from_seq`` on, as far as one answer goes."""
        return read_as(Verification, self.call("audit.chain.verify", from_seq=from_seq))

    # --- how a request goes ----------------------------------------------------------------------------------------

    def _run(self, prepared: Prepared, key: str | None) -> Any:
        if not is_command(prepared.operation):
            return self._json(self._exchange(prepared, {}, retry=True))
        wait_s = max(1, int(self.timeout_s * 0.6))
        headers = {"Idempotency-Key": key or str(uuid.uuid4()), "Prefer": f"wait={wait_s}"}
        answer = self._exchange(prepared, headers, retry=True)
        document = self._json(answer)
        return self._await_outcome(document) if answer.status_code == 202 else document

    def _exchange(self, prepared: Prepared, headers: Mapping[str, str], *, retry: bool) -> httpx2.Response:
        sent = dict(headers)
        if isinstance(prepared.content, PackedFile):
            sent |= prepared.content.headers
        if prepared.content is not None and prepared.content_type:
            sent["Content-Type"] = prepared.content_type
        request = self.http.build_request(
            prepared.method, prepared.path, params=prepared.params, content=prepared.content, headers=sent
        )
        answer = self._send(request, retry=retry)
        if not answer.is_success:
            raise self.refusal(answer)
        return answer

    def _send(
        self, request: httpx2.Request, *, retry: bool, also: tuple[int, ...] = (), stream: bool = False
    ) -> httpx2.Response:
        try:
            for attempt in stamina.retry_context(
                on=may_retry,
                attempts=self._attempts if retry else 1,
                timeout=self.timeout_s * 2,
                wait_initial=0.2,
                wait_max=3.0,
                wait_jitter=0.2,
            ):
                with attempt:
                    answer = self.http.send(request, stream=stream)
                    if answer.status_code in (429, 502, 503, 504) and answer.status_code not in also:
                        answer.read()
                        raise httpx2.HTTPStatusError("try again", request=request, response=answer)
                    return answer
        except httpx2.HTTPStatusError as error:
            return error.response
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError) as error:
            raise explain(self.base_url, error, self.timeout_s) from error
        raise AssertionError("a retry loop ends by an answer or an error")

    def _await_outcome(self, accepted: Any) -> Any:
        """Follow a 202 to its end. The secret of a new token stands only in the 202, so it is added to the result."""
        try:
            path, reference = str(accepted["status_url"]), str(accepted["command"])
        except (KeyError, TypeError):
            raise BadAnswer("The gateway accepted the command but did not say where its outcome will be.") from None
        deadline = time.monotonic() + PENDING_WAIT_S
        while time.monotonic() < deadline:
            try:
                _, outcome = self.document(path)
            except ApiError as error:  # the service may be down for a moment; the command is stored all the same
                if error.refused:
                    raise
                outcome = {}
            if outcome.get("state") in ("done", "refused"):
                return self._end_of(outcome, accepted)
            self.sleep(POLL_S)
        raise StillPending(reference)

    def _end_of(self, outcome: Mapping[str, Any], accepted: Mapping[str, Any]) -> Any:
        status, result = int(outcome.get("http_status") or 200), outcome.get("result")
        if status >= 400:
            raise ApiError(status, result if isinstance(result, dict) else {})
        if "token" not in accepted or not isinstance(result, dict):
            return result
        if result.get("fingerprint") == accepted.get("fingerprint"):
            return result | {"token": accepted["token"]}
        return result

    def _json(self, answer: httpx2.Response) -> Any:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise BadAnswer(
                f"{self.base_url} answered with {kind or 'no content type'} instead of JSON; is this Headgate?"
            )
        try:
            return orjson.loads(answer.content)
        except ValueError:
            raise BadAnswer(f"{self.base_url} answered with broken JSON; is this a Headgate gateway?") from None

    def refusal(self, answer: httpx2.Response) -> ApiError | BadAnswer:
        """What an answer that is no success says."""
        if answer.is_redirect:
            target = answer.headers.get("location", "somewhere else")
            return BadAnswer(f"{self.base_url} sends callers on to {target[:200]}; use that address.")
        try:
            problem = self._json(answer)
        except BadAnswer:
            return BadAnswer(
                f"{self.base_url} answered {answer.status_code} without a problem document; is this a Headgate gateway?"
            )
        return ApiError(answer.status_code, problem if isinstance(problem, dict) else {})


JSON_ACCEPT: Final = "application/json, application/problem+json"


def given(**fields: Any) -> dict[str, Any]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def read_as(shape: type[M], answer: Any) -> M:
    """The answer as a model of the contracts; raises `BadAnswer` when it has another shape."""
    try:
        return TypeAdapter(shape).validate_python(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BadAnswer(
            f"The answer has another shape than expected ({place}: {first['msg']}); is the client too old?"
        ) from None
