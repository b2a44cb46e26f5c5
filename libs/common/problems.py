"""Errors that people meet: RFC 9457 problem details, raised by handlers as `Refusal` and sent by the edge.

A refusal is an answer, not a fault: it is stored as the command's outcome, is never retried and never a 500.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import orjson

PROBLEM_JSON = "application/problem+json"


class Refusal(Exception):
    """A request that can't be granted: ``detail`` is a sentence that says what to do, ``extra`` more members."""

    status: ClassVar[int] = 400
    slug: ClassVar[str] = "bad-request"
    title: ClassVar[str] = "The request can't be understood"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

    def body(self, trace_id: str = "") -> bytes:
        """The problem document as JSON bytes."""
        return problem(self.status, self.slug, self.title, self.detail, trace_id, **self.extra)


class Unauthorized(Refusal):
    status, slug, title = 401, "unauthorized", "A valid token is needed"


class Forbidden(Refusal):
    status, slug, title = 403, "forbidden", "Your role or site scope does not allow this"


class StepUpNeeded(Forbidden):
    """What the caller may do, but not without a second factor that was shown lately (RFC 9470)."""

    slug, title = "insufficient-user-authentication", "A fresh second factor is needed"


class FactorNeeded(Forbidden):
    """Who must have a second factor and has none may do nothing but begin one."""

    slug, title = "second-factor-required", "A second factor is needed"


class NotFound(Refusal):
    status, slug, title = 404, "not-found", "There is no such thing here"


class Conflict(Refusal):
    status, slug, title = 409, "conflict", "The present state does not allow this"


class PreconditionFailed(Refusal):
    status, slug, title = 412, "precondition-failed", "It has changed since you read it"


class TooLarge(Refusal):
    status, slug, title = 413, "too-large", "The body is too large"


class UnsupportedMedia(Refusal):
    status, slug, title = 415, "unsupported-media-type", "This content type is not accepted here"


class Invalid(Refusal):
    status, slug, title = 422, "invalid", "The content is not valid"


class TooMany(Refusal):
    status, slug, title = 429, "too-many-requests", "Too many requests"


class Unavailable(Refusal):
    status, slug, title = 503, "unavailable", "A part that this needs can't be reached"


class TimedOut(Refusal):
    status, slug, title = 504, "timed-out", "The answer did not come in time"


def errors_in(field: str, messages: Iterable[str]) -> list[dict[str, str]]:
    """The member ``errors`` of a problem that says several things about one field."""
    return [{"field": field, "message": message} for message in messages]


def problem(status: int, slug: str, title: str, detail: str, trace_id: str = "", **extra: Any) -> bytes:
    """A problem document (RFC 9457) as bytes: type, title, status, detail, trace_id and the extra members."""
    document = {"type": f"urn:headgate:problem:{slug}", "title": title, "status": status, "detail": detail, **extra}
    if trace_id:
        document["trace_id"] = trace_id
    return orjson.dumps(document, default=str)
