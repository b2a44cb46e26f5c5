"""Bodies that are not one JSON object: CloudEvents over HTTP, and reports as tools wrote them.

CloudEvents: HTTP protocol binding 1.0.2 (binary, structured, batched) with the JSON event and batch formats. A batch
holds at most 500 events, so that one request stays one transaction.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any

from starlette.requests import Request

from libs.common.cloudevents import DecodeError, header_text
from libs.common.contracts.governance.signals import MAX_SIGNALS
from libs.common.problems import Invalid, Refusal, TooLarge, UnsupportedMedia
from services.gateway.bodies import media_type, parse_json, read_body, strict_json
from services.gateway.uploads import Upload, Uploads


@dataclass(frozen=True, slots=True)
class Body:
    """What a reader made of a body: fields of the operation's model, and what must be stored before it is sent."""

    fields: dict[str, Any]
    upload: Upload | None = None


Reader = Callable[[Request, Uploads], Awaitable[Body]]

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
REQUIRED = ("specversion", "id", "source", "type")
HONOURED = ("id", "source", "type", "time", "subject", "version", "artifactdigest", "part")
MAX_DISPOSITION_CHARS = 2048  # several times the longest file name; the time to parse it grows with the square
PROOFS = {"headgate-signature": "signature", "headgate-identity-token": "identity_token"}  # of who sends a report
_NAME_IT = "send it in UTF-8, or name the report with the parameter part or file"
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,50}")
_JSON = re.compile(r"(application/json|text/json|[a-z0-9.!#$&^_-]+/[a-z0-9.!#$&^_+-]+\+json)")


async def read_cloudevents(request: Request) -> dict[str, Any]:
    """The ``signals`` of a `SignalRecord`, from any of the three modes. Raises problems that name what is wrong."""
    body = await read_body(request)
    kind = media_type(request)
    if kind == BATCH:
        events = await parse_json(body)
        if not isinstance(events, list) or not events:
            raise Refusal("A batch is a JSON array of at least one CloudEvent.")
        if len(events) > MAX_SIGNALS:
            raise TooLarge(f"A batch may hold {MAX_SIGNALS} events, this one has {len(events)}; send it in parts.")
        return {"signals": [_structured(event, f"event {number}: ") for number, event in enumerate(events, 1)]}
    if kind == STRUCTURED:
        return {"signals": [_structured(await parse_json(body), "")]}
    if kind.startswith("application/cloudevents"):
        raise UnsupportedMedia(f"{kind} is not read here; send {STRUCTURED} or {BATCH}.")
    return {"signals": [await _binary(request, body, kind)]}


def _structured(event: Any, where: str) -> dict[str, Any]:
    if not isinstance(event, dict):
        raise Refusal(f"{where}a CloudEvent is a JSON object.")
    _require(event, where)
    found = {name: event[name] for name in HONOURED if event.get(name) is not None}
    if "data" in event and "data_base64" in event:
        raise Refusal(f"{where}data and data_base64 exclude each other; send one.")
    kind = event.get("datacontenttype", "application/json")
    if not isinstance(kind, str) or not _is_json(kind):
        raise UnsupportedMedia(
            f"{where}datacontenttype is {str(kind)[:100]}; only JSON data are read here. Send reports of tools to "
            "/api/signals/{format}."
        )
    if "data_base64" in event:
        found["data"] = _unpack(event["data_base64"], where)
    elif "data" in event:
        found["data"] = event["data"]
    return found


def _unpack(text: Any, where: str) -> Any:
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise Refusal(f"{where}data_base64 is not base64.") from None
    return strict_json(packed)


async def _binary(request: Request, body: bytes, kind: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for header, value in request.headers.items():
        name = header.removeprefix("ce-")
        if name == header:
            continue
        if not _ATTRIBUTE.fullmatch(name):
            raise Refusal(f"{header[:60]}: a CloudEvents attribute's name has only lower-case letters and digits.")
        if name in attributes:
            raise Refusal(f"{header} was sent twice.")
        attributes[name] = _header_text(header, value)
    if not attributes:
        raise UnsupportedMedia(
            f"This takes CloudEvents: {STRUCTURED}, {BATCH}, or binary mode with the headers ce-specversion, ce-id, "
            f"ce-source and ce-type. What came is {kind or 'without a content type'}."
        )
    _require(attributes, "", prefix="ce-")
    found = {name: attributes[name] for name in HONOURED if attributes.get(name)}
    if body:
        if kind and not _is_json(kind):
            raise UnsupportedMedia(
                f"The data are {kind}; only JSON data are read here. Send reports of tools to /api/signals/{{format}}."
            )
        found["data"] = await parse_json(body)
    return found


def _header_text(header: str, value: str) -> str:
    try:
        text = header_text(value.encode("latin-1"))  # the server's bytes; Starlette shows them as Latin-1
    except DecodeError as error:
        raise Refusal(f"{header} is {error}.") from None
    if "\x00" in text:
        raise Invalid(f"{header} may not hold the character NUL.")
    return text


def _require(attributes: Mapping[str, Any], where: str, prefix: str = "") -> None:
    missing = [prefix + name for name in REQUIRED if attributes.get(name) in (None, "")]
    if missing:
        raise Refusal(f"{where}required attribute missing: {', '.join(missing)}.", missing=missing)
    if attributes["specversion"] != "1.0":
        raise Refusal(f"{where}{prefix}specversion must be 1.0.")


def _is_json(kind: str) -> bool:
    return bool(_JSON.fullmatch(kind.partition(";")[0].strip().lower()))


async def read_report(request: Request, uploads: Uploads) -> Body:
    """The content of a `ReportRecord`, the bytes as they came, also none. Raises `Refusal`, `Unavailable`.

    ``file`` is the name in ``Content-Disposition: attachment; filename="unit.xml"`` unless the query gives one. A
    report that is too large goes on without its content: who judges must know that there is a newer one.
    """
    name = None if "file" in request.query_params else file_name(request.headers.get("content-disposition"))
    named = {"file": name} if name else {}
    named |= {field: value for header, field in PROOFS.items() if (value := request.headers.get(header))}
    try:
        upload = await uploads.read(request)
    except TooLarge as error:
        return Body({"too_large": {"max_bytes": error.extra["max_bytes"]}, **named})
    return Body(await asyncio.to_thread(upload.fields) | named, upload)


def file_name(disposition: str | None) -> str | None:
    """The file's name in a Content-Disposition header (RFC 6266, with RFC 5987 for other letters), if there is one.

    Raises `Refusal` for one that can't be read: without its name a report would take the place of another.
    """
    if not disposition:
        return None
    if len(disposition) > MAX_DISPOSITION_CHARS:
        raise Refusal(f"Content-Disposition may have {MAX_DISPOSITION_CHARS} bytes; {_NAME_IT}.")
    message = Message()
    message["Content-Disposition"] = disposition
    try:
        named = message.get_param("filename", header="content-disposition")
        if isinstance(named, str):  # else it was encoded, as RFC 5987 says
            named = _sent_text(named)
        return collapse_rfc2231_value(named).strip() or None if named else None
    except (ValueError, LookupError):  # named in a coding that decodes no text, such as idna
        raise Refusal(f"The file's name in Content-Disposition can't be read; {_NAME_IT}.") from None


def _sent_text(value: str) -> str:
    """The server's bytes, which Starlette shows as Latin-1: as UTF-8 if they are that."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


async def _read_small(request: Request, _: Uploads) -> Body:
    return Body(await read_cloudevents(request))


READERS: dict[str, Reader] = {"cloudevents": _read_small, "report": read_report}
# What each reader takes, for the OpenAPI document.
READS: dict[str, tuple[str, ...]] = {
    "cloudevents": (STRUCTURED, BATCH, "application/json"),
    "report": ("application/octet-stream", "application/xml", "application/json"),
}
