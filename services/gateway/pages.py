"""The pages that need no token: documents, the API to try, health, metrics."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from functools import cache
from importlib import resources

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from libs.common.health import metrics_page
from libs.common.problems import NotFound
from services.gateway.access import Access
from services.gateway.answers import etag_of, json_answer, unchanged
from services.gateway.bodies import path_values
from services.gateway.console import serving as console
from services.gateway.context import context_of
from services.gateway.documents import asyncapi, explorer, openapi, reference
from services.gateway.health import Health
from services.gateway.static_files import file_answer

# Everything that needs no token. /metrics holds counts by route template and no names; it is meant for the scraper on
# the same host or network, so the gateway listens on loopback unless it is told otherwise.
DOCUMENTS = ("/", "/openapi.json", "/asyncapi.json", "/reference", "/runbooks")
ASSET = explorer.FOLDER + "/{name}"
PUBLIC = (*DOCUMENTS, "/docs", ASSET, *console.PATHS, "/healthz", "/readyz", "/metrics")
HTML = "text/html; charset=utf-8"
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
Page = Callable[[Request], Awaitable[Response]]


def routes(access: Access, health: Health, public_url: str | None) -> list[Route]:
    """One route for each of `PUBLIC`. Raises `AssetsMissing`."""
    document = _document(access, public_url)
    pages: dict[str, Page] = {
        **dict.fromkeys(DOCUMENTS, document),
        "/docs": _explorer(access),
        ASSET: _asset(access),
        **console.pages(access),
        "/healthz": _healthz,
        "/readyz": _readyz(health),
        "/metrics": _metrics,
    }
    return [Route(path, pages[path], methods=["GET"]) for path in PUBLIC]


@cache
def _documents(public_url: str | None) -> tuple[dict[str, tuple[str, bytes]], dict[str, str]]:
    """The kind and the bytes of each of `DOCUMENTS`, and the policy of those that are pages.

    Whoever is on call reads the runbooks where an alert leads, perhaps without an account: they tell nothing of this
    installation.

    Made once in a process: they follow from the contracts, and the schemas of all models take a third of a second.
    """
    api = openapi.document(public_url)
    page = reference.page(api)
    runbooks = (resources.files("services.gateway.documents") / "runbooks.html").read_text(encoding="utf-8")
    documents = {
        "/": ("application/json", orjson.dumps(_index())),
        "/openapi.json": ("application/json", orjson.dumps(api)),
        "/asyncapi.json": ("application/json", orjson.dumps(asyncapi.document())),
        "/reference": (HTML, page.encode()),
        "/runbooks": (HTML, runbooks.encode()),
    }
    return documents, {"/reference": _policy_of(page), "/runbooks": _policy_of(runbooks)}


def _document(access: Access, public_url: str | None) -> Page:
    documents, policies = _documents(public_url)

    async def document(request: Request) -> Response:
        path = request.scope["path"]
        context = context_of(request)
        context.route = path
        await access.limit_stranger(context)
        kind, body = documents[path]
        headers = {"ETag": etag_of(body), "Cache-Control": "no-cache"}
        if path in policies:
            headers["Content-Security-Policy"] = policies[path]
        if unchanged(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(body, 200, headers, media_type=kind)

    return document


def _policy_of(page: str) -> str:
    """No script, nothing from elsewhere, and only the page's own style sheet, named by its hash."""
    styles = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in _STYLE.findall(page)]
    allowed = " ".join(f"'sha256-{digest}'" for digest in styles)
    return f"default-src 'none'; style-src {allowed}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def _explorer(access: Access) -> Page:
    explorer.assets()  # a missing file is found at start

    async def show(request: Request) -> Response:
        context = context_of(request)
        context.route = "/docs"
        await access.limit_stranger(context)
        body, policy = explorer.page()
        # Not kept: each answer has a nonce of its own.
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
        return Response(body, 200, headers, media_type=HTML)

    return show


def _asset(access: Access) -> Page:
    files = {explorer.address_of(name): found for name, found in explorer.assets().items()}

    async def asset(request: Request) -> Response:
        context = context_of(request)
        context.route = ASSET
        await access.limit_stranger(context)
        found = files.get(path_values(request)["name"])
        if found is None:
            raise NotFound("There is no such file; load /docs again.")
        return file_answer(request, found)

    return asset


async def _healthz(request: Request) -> Response:
    context_of(request).route = "/healthz"
    return json_answer(request, b'{"status":"ok","service":"gateway"}')


def _readyz(health: Health) -> Page:
    async def readyz(request: Request) -> Response:
        context_of(request).route = "/readyz"
        report = await health.report()
        degraded = sorted(name for name, state in report["services"].items() if state != "up")
        body = {key: report[key] for key in ("ready", "checks", "sync", "warnings")} | {"degraded": degraded}
        return Response(orjson.dumps(body), 200 if report["ready"] else 503, media_type="application/json")

    return readyz


async def _metrics(request: Request) -> Response:
    context_of(request).route = "/metrics"
    return metrics_page(request)


def _index() -> dict[str, str]:
    return {
        "name": "Headgate",
        "console": "/console",
        "docs": "/docs",
        "reference": "/reference",
        "runbooks": "/runbooks",
        "openapi": "/openapi.json",
        "asyncapi": "/asyncapi.json",
        "health": "/healthz",
        "readiness": "/readyz",
        "you": "/api/me",
    }
