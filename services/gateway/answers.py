"""Answers: JSON with an ETag, CSV as a download, pages with a Link, problems with the headers that belong to them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from libs.common.bus import Reply
from libs.common.cells import table
from libs.common.contracts.base import Csv, Http
from libs.common.problems import PROBLEM_JSON, Invalid, Refusal, Unavailable
from services.gateway.bodies import read_query
from services.gateway.context import context_of

RETRY_AFTER_S = 5
_TAG = re.compile(r'(?:W/)?"([0-9]{1,9})-[0-9a-f]{32}"')


def etag_of(body: bytes, revision: str | None = None) -> str:
    """A strong validator: half of the SHA-256 of the bytes; before it the field ``revision`` of the JSON, if named."""
    counted = orjson.loads(body).get(revision) if revision else None
    begin = f"{counted}-" if isinstance(counted, int) else ""
    return f'"{begin}{hashlib.sha256(body).hexdigest()[:32]}"'


def unchanged(request: Request, etag: str) -> bool:
    """Whether ``If-None-Match`` names this representation (weak comparison, RFC 9110, 13.1.2)."""
    header = request.headers.get("if-none-match")
    if not header:
        return False
    return header.strip() == "*" or etag in (part.strip().removeprefix("W/") for part in header.split(","))


def named_revision(request: Request) -> int | None:
    """The revision that ``If-Match`` names; None if it names none, 0 (which nothing has) for tags that are not ours.

    A tag is compared by its revision alone, also where something on the way has made it a weak one (as a server that
    packs answers does): a run that finds nothing new changes what is shown, but not what a person decides on. Raises
    `Invalid` if it names several.
    """
    header = ",".join(request.headers.getlist("if-match")).strip()
    if header in ("", "*"):
        return None
    found = {int(match[1]) for tag in header.split(",") if (match := _TAG.fullmatch(tag.strip()))}
    if len(found) > 1:
        raise Invalid("If-Match names several revisions; send the ETag of what you read last.")
    return found.pop() if found else 0


def json_answer(request: Request, body: bytes, *, status: int = 200, revision: str | None = None) -> Response:
    """JSON bytes handed on as they are; 304 if the caller has them already. See `etag_of` for ``revision``."""
    if status != 200 or request.method not in ("GET", "HEAD"):
        return Response(body, status, media_type="application/json")
    etag = etag_of(body, revision)
    headers = {"ETag": etag, "Vary": "Accept, Authorization"}
    if unchanged(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, media_type="application/json")


def csv_answer(request: Request, body: bytes, csv: Csv, now: datetime) -> Response:
    """The same result as CSV to download."""
    document = orjson.loads(body)
    if callable(csv.rows):
        rows = csv.rows(document)
    else:
        rows = document.get(csv.rows, []) if isinstance(document, dict) else document
    text = table(csv.columns, csv.filled(rows)).encode()
    etag = etag_of(text)
    headers = {
        "Content-Disposition": f'attachment; filename="{csv.filename}-{now:%Y%m%dT%H%M%SZ}.csv"',
        "ETag": etag,
        "Vary": "Accept, Authorization",
    }
    if unchanged(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(text, 200, headers, media_type="text/csv")


def wants_csv(request: Request) -> bool:
    """Whether the ``Accept`` header prefers CSV to JSON."""
    weights = {"text/csv": 0.0, "application/json": 0.0, "*/*": 0.0}
    for part in request.headers.get("accept", "").lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name in weights:
            weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
            try:
                weights[name] = float(weight)
            except ValueError:
                weights[name] = 0.0
    return weights["text/csv"] > max(weights["application/json"], 0.0)


def next_link(request: Request, body: bytes, allowed: frozenset[str], http: Http, limit: int | None) -> str | None:
    """The Link header of a page that has a next one. ``limit``: how many rows were asked for (see `Http.after`)."""
    page = orjson.loads(body)
    cursor = http.following(page, limit) if isinstance(page, list) else page.get("next_cursor")
    if not cursor:
        return None
    fields = {**read_query(request, allowed), "cursor": cursor}
    return f'<{request.scope["path"]}?{urlencode(fields)}>; rel="next"'


def refusal_answer(request: Request, refusal: Refusal) -> Response:
    """A refusal of the edge itself as problem+json."""
    return problem_answer(refusal.status, refusal.body(context_of(request).trace_id), refusal.extra)


def problem_answer(status: int, body: bytes, extra: Mapping[str, Any]) -> Response:
    """A problem document with ``WWW-Authenticate`` or ``Retry-After`` where the status asks for it."""
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="headgate"'
    if status in (429, 503, 504):
        headers["Retry-After"] = str(extra.get("retry_after_s", RETRY_AFTER_S))
    if status == 413:
        headers["Connection"] = "close"  # the rest of the body is thrown away, see libs.common.http_server
    if status == 415 and "accept_encoding" in extra:
        headers["Accept-Encoding"] = str(extra["accept_encoding"])  # RFC 9110, section 15.5.16
    return Response(body, status, headers, media_type=PROBLEM_JSON)


def service_problem(request: Request, status: int, body: bytes) -> Response:
    """A problem document that a service made; the trace id is added if it has none."""
    try:
        document = orjson.loads(body)
        if not isinstance(document, dict):
            raise ValueError("a problem document is an object")
    except ValueError:
        return refusal_answer(request, Unavailable("The service's answer can't be read; try again."))
    document.setdefault("trace_id", context_of(request).trace_id)
    return problem_answer(status, orjson.dumps(document), document)


def reply_answer(
    request: Request, reply: Reply, csv: Csv | None, now: datetime, *, revision: str | None = None
) -> Response:
    """A query's reply as JSON, as CSV where ``csv`` is given, or as the problem that it is."""
    if not 200 <= reply.status < 300:
        return service_problem(request, reply.status, reply.body)
    if csv is not None:
        return csv_answer(request, reply.body, csv, now)
    return json_answer(request, reply.body, revision=revision)
