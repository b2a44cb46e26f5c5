"""Which failures of the network may be tried again, and what each says to a person."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator

import httpx2
import orjson

from libs.client.errors import ApiError, BadAnswer, ClientError, Unreachable
from libs.common.contracts.gateway.step_up import PATH as STEP_UP_PATH

MAX_RETRY_AFTER_S = 10.0


def may_retry(error: Exception) -> bool | float:
    """For stamina: whether to try again, or after how many seconds. Only called for requests that are safe to repeat.

    A refused connection fails fast: mostly the gateway is simply not running.
    """
    if isinstance(error, httpx2.HTTPStatusError):
        return _retry_after(error.response)
    if isinstance(error, httpx2.ConnectError):
        return False
    return isinstance(error, httpx2.TransportError) and not isinstance(error, httpx2.UnsupportedProtocol)


def _retry_after(answer: httpx2.Response) -> bool | float:
    text = answer.headers.get("retry-after", "")
    if not text.isdigit():
        return answer.status_code != 429
    return float(text) if float(text) <= MAX_RETRY_AFTER_S else False


def explain(url: str, error: Exception, timeout_s: float) -> ClientError:
    """The sentence for a failure of the network."""
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return BadAnswer(f"{url} is no address that can be asked: {error}.")
    if isinstance(error, httpx2.TimeoutException):
        return Unreachable(f"{url} did not answer within {timeout_s:g} seconds; is it overloaded or unreachable?")
    root = _root(error)
    if isinstance(root, ssl.SSLCertVerificationError):
        return Unreachable(f"The certificate of {url} is not trusted: {root.verify_message}.")
    if isinstance(root, ssl.SSLError):
        return Unreachable(
            f"No TLS connection with {url}: {root.reason or root}; should the address begin with http://?"
        )
    if isinstance(root, ConnectionRefusedError):
        return Unreachable(f"Nothing listens at {url}; is the gateway running (make up, or headgate up)?")
    if isinstance(root, OSError) and root.strerror:
        return Unreachable(f"{url} can't be reached: {root.strerror}.")
    if isinstance(error, httpx2.RemoteProtocolError | httpx2.DecodingError):
        return BadAnswer(f"{url} broke off or does not speak HTTP as expected: {error}.")
    return Unreachable(f"{url} can't be reached: {str(error) or type(error).__name__}.")


def _root(error: BaseException) -> BaseException:
    """The first cause: libraries wrap the error of the operating system several times."""
    seen: BaseException = error
    for _ in range(10):
        following = seen.__cause__ or seen.__context__
        if following is None or isinstance(seen, OSError):
            return seen
        seen = following
    return seen


class Asked(httpx2.Auth):
    """Asks for the token before each request."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token()}"
        yield request


class SteppingUp(Asked):
    """The same for a login: where the gateway wants a fresh code of the second factor, the person is asked for one, and
    the request is sent once more.

    ``code`` gives what the person types; None: nobody is there to type, so the refusal stands. Raises `ApiError` for a
    code that is wrong.
    """

    def __init__(self, base_url: str, token: Callable[[], str], code: Callable[[], str | None]) -> None:
        super().__init__(token)
        self._url, self._code = f"{base_url}{STEP_UP_PATH}", code

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token()}"
        answer = yield request
        if not _wants_code(answer) or str(request.url) == self._url:
            return
        code = self._code()
        if code is None:
            return
        headers = {**{name: request.headers[name] for name in ("Authorization", "Accept", "User-Agent")}, **_JSON}
        said = yield httpx2.Request("POST", self._url, headers=headers, content=orjson.dumps({"code": code}))
        if not said.is_success:
            said.read()
            raise _refusal(said)
        yield request


_JSON = {"Content-Type": "application/json"}


def _wants_code(answer: httpx2.Response) -> bool:
    """Whether it was refused for want of a fresh second factor (RFC 9470) that can be shown now."""
    hint = answer.headers.get("www-authenticate", "")
    return answer.status_code == 403 and 'error="insufficient_user_authentication"' in hint


def _refusal(answer: httpx2.Response) -> ApiError:
    try:
        problem = orjson.loads(answer.content)
    except ValueError:
        problem = {}
    return ApiError(answer.status_code, problem if isinstance(problem, dict) else {})
