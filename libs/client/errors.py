"""What can go wrong between a caller and the gateway. Every message is one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ClientError(Exception):
    """Base; ``exit_code`` is what the command-line tool ends with."""

    exit_code: ClassVar[int] = 2


class UsageProblem(ClientError):
    """The call itself makes no sense: an unknown operation or field, a file that can't be read, no token."""


class Unreachable(ClientError):
    """No answer came: refused connection, bad TLS, time-out. Whether a changing request was applied is not known."""


class BadAnswer(ClientError):
    """Something answered, but not as Headgate does."""


class Contradicted(ClientError):
    """What was answered can't be true beside what was signed or kept before: a log that was cut, forked or forged."""

    exit_code = 1


class StillPending(ClientError):
    """The command is stored and will be applied, but its outcome did not come in time; ``reference`` finds it later."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"The command is accepted but not applied yet; look later with: headgate command {reference}")
        self.reference = reference


class ApiError(ClientError):
    """The gateway refused: HTTP ``status`` and the RFC 9457 ``problem`` document."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        super().__init__(self._sentence())

    @property
    def refused(self) -> bool:
        """Whether the request was judged and refused (4xx), rather than left unanswered by a fault (5xx)."""
        return 400 <= self.status < 500

    def _sentence(self) -> str:
        text = str(self.problem.get("detail") or self.problem.get("title") or f"The gateway answered {self.status}")
        trace = self.problem.get("trace_id")
        return f"{text} (trace {trace})" if trace and self.status >= 500 else text
