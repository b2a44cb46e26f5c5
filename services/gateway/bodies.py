"""From an HTTP request to a validated model: size, coding, content type, strict JSON, and path + query + body in one.

Strict means: UTF-8, no NaN or Infinity, no number that a 64-bit integer or a double can't hold, no lone surrogates, no
NUL, no name twice in one object (two readers could take different ones), at most 100 levels.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from libs.common.problems import Invalid, Refusal, UnsupportedMedia
from services.gateway.codings import Intake, allowance, coding_of, refuse_large

MAX_BODY_BYTES = 6 * 1024 * 1024
MAX_DEPTH = 100
MAX_QUERY_BYTES = 8 * 1024
MAX_QUERY_FIELDS = 50
MAX_ERRORS_SHOWN = 20
# Parsing more than this takes milliseconds, which other requests should not wait for.
INLINE_BYTES = 128 * 1024
_INT64 = range(-(2**63), 2**64)


class _Refused(ValueError):
    """Well-formed JSON that is refused; the message says why."""


async def read_body(request: Request, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The body without its coding, at most 6 MB (or ``max_bytes``); stops reading at the first byte too many.

    Raises `TooLarge`, `UnsupportedMedia` for an unknown coding, `Refusal` for a body that can't be unpacked.
    """
    found = bytearray()
    await receive(request, max_bytes, found.extend)
    return bytes(found)


async def receive(request: Request, max_bytes: int, sink: Callable[[bytes], object], *, threaded: bool = False) -> None:
    """Hand the body to ``sink`` piece by piece, unpacked; in a thread if ``threaded`` or packed, since that takes long.

    Raises like `read_body`.
    """
    coding = coding_of(request)
    declared = request.headers.get("content-length", "0")
    # Before the first byte is asked for: a client that expects 100 Continue has not sent any yet.
    if declared.isdigit() and int(declared) > allowance(coding, max_bytes):
        refuse_large(max_bytes, coding)
    intake = Intake(coding, max_bytes, sink)
    async for chunk in request.stream():
        if coding or threaded:
            await asyncio.to_thread(intake.take, chunk)
        else:
            intake.take(chunk)
    intake.end()


def media_type(request: Request) -> str:
    """The content type in lower case without parameters; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty object. Raises `Refusal`, `Invalid`, `UnsupportedMedia`."""
    body = await read_body(request)
    if not body:
        return {}
    kind = media_type(request)
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMedia(
            f"The body is {kind or 'without a content type'}; send JSON with `Content-Type: application/json`."
        )
    value = await parse_json(body)
    if not isinstance(value, dict):
        raise Invalid("The body must be one JSON object, such as {}.")
    return value


async def parse_json(body: bytes) -> Any:
    """Strict JSON. Raises `Refusal` (400) for what is no JSON, and `Invalid` (422) for JSON that is refused."""
    if len(body) <= INLINE_BYTES:
        return strict_json(body)
    return await asyncio.to_thread(strict_json, body)


def strict_json(body: bytes) -> Any:
    """See `parse_json`."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_number,
        )
        if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
            _check_depth(value)
        if b"\\u" in body or b"\\U" in body:
            _check_text(value)
    except UnicodeDecodeError as error:
        raise Refusal(f"The body is not UTF-8 (byte {error.start}).") from None
    except json.JSONDecodeError as error:
        raise Refusal(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise Invalid(f"The JSON is nested deeper than {MAX_DEPTH} levels.") from None
    except _Refused as error:
        raise Invalid(str(error)) from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _Refused(f"The name {twice[:100]!r} stands twice in one object; leave one out.")
    return found


def _constant(text: str) -> NoReturn:
    raise _Refused(f"{text} is not JSON; leave the field out or send null.")


def _integer(text: str) -> int:
    value = int(text) if len(text) <= 20 else None
    if value is None or value not in _INT64:
        raise _Refused(f"The number {text[:30]} does not fit 64 bits; send it as a string.")
    return value


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _Refused(f"The number {text[:30]} does not fit a double; send it as a string.")
    return value


def _walk(value: Any) -> Iterable[tuple[Any, int]]:
    waiting = [(value, 1)]
    while waiting:
        found, depth = waiting.pop()
        yield found, depth
        if isinstance(found, dict):
            waiting.extend((name, depth) for name in found)
            waiting.extend((child, depth + 1) for child in found.values())
        elif isinstance(found, list):
            waiting.extend((child, depth + 1) for child in found)


def _check_depth(value: Any) -> None:
    if any(depth > MAX_DEPTH and isinstance(found, dict | list) for found, depth in _walk(value)):
        raise _Refused(f"The JSON is nested deeper than {MAX_DEPTH} levels.")


def _check_text(value: Any) -> None:
    # Only an escape can bring these in: raw control characters are no JSON, raw surrogates no UTF-8.
    for found, _ in _walk(value):
        if isinstance(found, str):
            if "\x00" in found:
                raise _Refused("Text may not hold the character NUL (\\u0000).")
            try:
                found.encode()
            except UnicodeEncodeError:
                raise _Refused("Text holds half of a surrogate pair (\\ud800 to \\udfff).") from None


def read_query(request: Request, allowed: frozenset[str], lists: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The query string's fields: one value each, but lists for ``lists``. Raises `Invalid` naming what is unknown."""
    raw = request.scope["query_string"]
    if not raw:
        return {}
    if len(raw) > MAX_QUERY_BYTES:
        raise Invalid(f"The query string may have {MAX_QUERY_BYTES} bytes at the most.")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:  # not ASCII, not UTF-8 once decoded, or too many fields
        raise Invalid("The query string can't be read; percent-encode its values as UTF-8.") from None
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in allowed:
            known = ", ".join(sorted(allowed)) or "none"
            raise Invalid(
                f"The query parameter {name[:100]!r} is unknown here; known: {known}.",
                errors=[{"field": name[:100], "message": "unknown query parameter"}],
            )
        if "\x00" in value:
            raise Invalid(f"{name} may not hold the character NUL.")
        if name in lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise Invalid(f"The query parameter {name} was given twice; give it once.")
        else:
            found[name] = value
    return found


def path_values(request: Request) -> dict[str, str]:
    """The fields in the path; raises `Invalid` for a NUL."""
    values: Mapping[str, str] = request.path_params
    for name, value in values.items():
        if "\x00" in value:
            raise Invalid(f"{name} may not hold the character NUL.")
    return dict(values)


def merge(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """One flat set of fields; raises `Invalid` if a field stands in two places."""
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if name in merged:
                raise Invalid(
                    f"{name} was given twice: in the path, the query string or a header, and in the body.",
                    errors=[{"field": name, "message": "given twice"}],
                )
            merged[name] = value
    return merged


def validate(model: type[BaseModel], fields: Mapping[str, Any]) -> BaseModel:
    """The model; raises `Invalid` with ``errors: [{field, message}]``."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        errors = [
            {"field": ".".join(str(part) for part in row["loc"])[:200], "message": row["msg"]}
            for row in error.errors(include_url=False, include_context=False, include_input=False)[:MAX_ERRORS_SHOWN]
        ]
        first = errors[0]
        what = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise Invalid(f"{what}{more}", errors=errors) from None


def canonical(body: bytes) -> bytes:
    """JSON with sorted keys: the form that is digested, so that the order of keys makes no other request of it."""
    return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
