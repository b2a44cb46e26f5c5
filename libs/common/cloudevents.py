"""CloudEvents 1.0 for the NATS protocol binding: structured JSON out, structured and binary in.

Format: CloudEvents JSON event format 1.0.2 and NATS protocol binding 1.0.2 (binary mode: headers ``ce-<attribute>``).
Only the envelope is read here; the data stay as parsed JSON until a contract's model validates them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

CONTENT_TYPE = "application/cloudevents+json"
EXTENSIONS = (
    "site", "actor", "correlationid", "causationid", "traceparent", "replyto", "digest", "clientaddress", "clientagent",
)  # fmt: skip
_TEXTS = ("id", "source", "type", "subject", *EXTENSIONS)
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_KNOWN = frozenset({"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"})


class DecodeError(ValueError):
    """The bytes are not a CloudEvent that we can read; the message says why."""


@dataclass(slots=True)
class CloudEvent:
    """One envelope: ``data`` is parsed JSON, ``subject`` the entity's id, ``digest`` a command body's hex SHA-256.

    ``clientaddress`` and ``clientagent`` say where a command came from. They stand in commands only, never in an event.

    ``document`` is the whole as parsed, if it came in structured mode: what indexes it need not parse it again.
    """

    id: str
    source: str
    type: str
    data: Any = None
    subject: str = ""
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    site: str = "global"
    actor: str = ""
    correlationid: str = ""
    causationid: str = ""
    traceparent: str = ""
    replyto: str = ""
    digest: str = ""
    clientaddress: str = ""
    clientagent: str = ""
    document: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The contract's name: the type without ``headgate.`` and ``.v1``."""
        return self.type.removeprefix("headgate.").removesuffix(".v1")

    def encode(self, data: bytes | None = None) -> bytes:
        """Structured JSON. ``data`` are ready-made JSON bytes that stand in for ``self.data``."""
        document: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "time": format_time(self.time),
            "datacontenttype": "application/json",
        }
        if self.subject:
            document["subject"] = self.subject
        for name in EXTENSIONS:
            if value := getattr(self, name):
                document[name] = value
        document["data"] = self.data if data is None else orjson.Fragment(data)
        return orjson.dumps(document, default=str)


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC with microseconds and ``Z``."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: Any) -> datetime:
    """An RFC 3339 time with its zone; raises `DecodeError`."""
    try:
        value = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise DecodeError("time is not an RFC 3339 time such as 2026-03-01T09:00:00Z") from error
    if value.tzinfo is None:
        raise DecodeError("time has no zone; write it like 2026-03-01T09:00:00Z")
    if not 1970 <= value.year <= 9000:  # beyond, databases and zones can't follow
        raise DecodeError("time does not lie in the years 1970 to 9000")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def decode(payload: bytes, headers: Mapping[str, str] | None = None) -> CloudEvent:
    """Read a message in structured or binary mode; raises `DecodeError` naming what is missing or wrong."""
    # Structured mode says so in its content type, which is how our own messages come.
    if headers and headers.get("Content-Type") != CONTENT_TYPE:
        lower = {name.lower(): value for name, value in headers.items()}
        if "ce-specversion" in lower:
            return _from_attributes(_binary(payload, lower))
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise DecodeError("a CloudEvent is a JSON object")
    event = _from_attributes(document)
    event.document = document
    return event


def header_text(value: bytes) -> str:
    """The text of an attribute in a header (CloudEvents HTTP protocol binding 1.0.2, 3.1.3.2).

    A value that is one quoted string (RFC 7230, 3.2.6) is unquoted first; then one round of percent-decoding follows,
    and the bytes are read as UTF-8. A ``%`` without two hex digits stays as it is, and so do bytes that a sender should
    have encoded and did not. Raises `DecodeError` for bytes that are no UTF-8, overlong forms among them.
    """
    if quoted := _QUOTED.fullmatch(value):
        value = _QUOTED_PAIR.sub(rb"\1", quoted[1])
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise DecodeError("not percent-encoded UTF-8") from None


def _binary(payload: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in headers.items():
        if name.startswith("ce-") and name != "ce-data":
            try:
                document[name[3:]] = header_text(value.encode("utf-8", "surrogateescape"))
            except DecodeError as error:
                raise DecodeError(f"{name}: {error}") from None
    if payload:
        try:
            document["data"] = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise DecodeError(f"data are not JSON: {error}") from error
    return document


def _from_attributes(document: dict[str, Any]) -> CloudEvent:
    missing = [name for name in ("specversion", "id", "source", "type") if not document.get(name)]
    if missing:
        raise DecodeError(f"required attribute missing: {', '.join(missing)}")
    if document["specversion"] != "1.0":
        raise DecodeError("specversion must be 1.0")
    texts: dict[str, str] = {}
    for name in _TEXTS:
        value = document.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise DecodeError(f"{name} must be a string")
        texts[name] = value
    time = document.get("time")
    return CloudEvent(**texts, data=document.get("data"), time=parse_time(time) if time else datetime.now(UTC))


def extensions_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an outside event that the core specification does not name."""
    return {name: value for name, value in document.items() if name not in _KNOWN and name != "data_base64"}
