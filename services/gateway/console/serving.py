"""``/console``: one page for all its addresses, and the files that it loads, which lie in ``web/`` as they are sent.

The address of a file holds the digest of all of them together: modules name each other by relative paths, so what a
browser keeps for ever is always a whole. A browser that asks for another digest (its page is of before an upgrade, or
of another gateway in the middle of one) gets the file of today and keeps it not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from libs.common.problems import NotFound
from services.gateway.access import Access
from services.gateway.bodies import path_values
from services.gateway.context import context_of
from services.gateway.static_files import FOR_EVER, KINDS, Asset, asset_of, file_answer

PAGE = "/console"
ASSETS = "/console/assets/{digest}/{name:path}"
INNER = "/console/{page:path}"
PATHS = (ASSETS, PAGE, INNER)
# What `make assets` takes from npm. Without it the page says what to do.
VENDOR = "vendor/preact.js"
# No script and no style but the files of this gateway, no markup from strings, nothing from other hosts.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
CORE = ("api/", "parts/", "router.js", "routes.js", "words/index.js")
UNBUILT = (
    "The console was not built here. Run `make assets` (it needs npm) and start the gateway again; "
    "the API, /docs and the headgate tool work without it.\n"
)
Page = Callable[[Request], Awaitable[Response]]


@cache
def files() -> dict[str, Asset]:
    """Every file of ``web/`` by its path in there. Types and pages for the checker are not served."""
    return dict(sorted(_read(resources.files("services.gateway.console") / "web", "")))


@cache
def digest() -> str:
    """Of all files together."""
    return hashlib.sha256("".join(f"{name} {one.digest}\n" for name, one in files().items()).encode()).hexdigest()[:16]


@cache
def index() -> bytes:
    """The page. Its addresses are absolute below the root, since it is the same at every path of the console.

    What every page of the console needs is asked for at once, not module after module.
    """
    text = (resources.files("services.gateway.console") / "index.html").read_text()
    needed = [name for name in files() if name.startswith(CORE) and name.endswith(".js")]
    preloads = "\n".join(f'<link rel="modulepreload" href="{{{{ assets }}}}/{name}">' for name in needed)
    return text.replace("{{ preloads }}", preloads).replace("{{ assets }}", f"/console/assets/{digest()}").encode()


def pages(access: Access) -> dict[str, Page]:
    """What answers each of `PATHS`, in their order."""
    return {ASSETS: _asset(access), PAGE: _page(access, PAGE), INNER: _page(access, INNER)}


def _page(access: Access, route: str) -> Page:
    async def show(request: Request) -> Response:
        context = context_of(request)
        context.route = route
        await access.limit_stranger(context)
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
        if VENDOR not in files():
            return Response(UNBUILT, 503, headers | {"Cache-Control": "no-store"}, media_type="text/plain")
        return Response(index(), 200, headers, media_type="text/html; charset=utf-8")

    return show


def _asset(access: Access) -> Page:
    async def asset(request: Request) -> Response:
        context = context_of(request)
        context.route = ASSETS
        values = path_values(request)
        found = files().get(values["name"])
        if found is None:
            # What there is is not counted: a page is dozens of files, and counting costs more than sending one.
            await access.limit_stranger(context)
            raise NotFound("There is no such file; load /console again.")
        return file_answer(request, found, FOR_EVER if values["digest"] == digest() else "no-store")

    return asset


def _read(folder: Traversable, path: str) -> list[tuple[str, Asset]]:
    found: list[tuple[str, Asset]] = []
    for entry in folder.iterdir():
        name = f"{path}{entry.name}"
        if entry.is_dir():
            found += _read(entry, f"{name}/")
        elif name[name.rfind(".") :] in KINDS:
            found.append((name, asset_of(name, entry.read_bytes())))
    return found
