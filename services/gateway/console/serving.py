"""``/console``: one page for all its addresses, and the files that it loads, as `folder` finds them.

The address of a file holds the digest of all of them together: modules name each other by relative paths, so what a
browser keeps for ever is always a whole. A browser that asks for another digest (its page is of before an upgrade, or
of another gateway in the middle of one) gets the file of today, if there is one of that name, and keeps it not.
What is built has names that are its contents' own, so a browser gets no part that does not fit: it begins again
(``web/again.js``, ``web/parts/outdated.js``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

from libs.common.problems import NotFound
from services.gateway.access import Access
from services.gateway.bodies import path_values
from services.gateway.console.folder import Files, files_of
from services.gateway.context import context_of
from services.gateway.static_files import FOR_EVER, digest_of, file_answer

PAGE = "/console"
ASSETS = "/console/assets/{digest}/{name:path}"
INNER = "/console/{page:path}"
PATHS = (ASSETS, PAGE, INNER)
# No script and no style but the files of this gateway, no markup from strings, nothing from other hosts.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
UNBUILT = (
    "The console was not built here. Run `make assets` (it needs npm) and start the gateway again; "
    "the API, /docs and the headgate tool work without it.\n"
)
Page = Callable[[Request], Awaitable[Response]]


@cache
def site() -> Files:
    """What is served, as it lay there when the gateway first needed it."""
    return files_of(resources.files("services.gateway.console"))


@cache
def digest() -> str:
    """Of all files together."""
    return digest_of("".join(f"{name} {one.digest}\n" for name, one in site().files.items()).encode())


@cache
def index() -> bytes | None:
    """The page; None if `make assets` was not run.

    Its addresses are absolute below the root, since it is the same at every path of the console.
    """
    text = site().page
    return None if text is None else text.replace("{{ assets }}", f"/console/assets/{digest()}").encode()


def pages(access: Access) -> dict[str, Page]:
    """What answers each of `PATHS`, in their order."""
    return {ASSETS: _asset(access), PAGE: _page(access, PAGE), INNER: _page(access, INNER)}


def _page(access: Access, route: str) -> Page:
    async def show(request: Request) -> Response:
        context = context_of(request)
        context.route = route
        await access.limit_stranger(context)
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
        if (page := index()) is None:
            return Response(UNBUILT, 503, headers | {"Cache-Control": "no-store"}, media_type="text/plain")
        return Response(page, 200, headers, media_type="text/html; charset=utf-8")

    return show


def _asset(access: Access) -> Page:
    async def asset(request: Request) -> Response:
        context = context_of(request)
        context.route = ASSETS
        values = path_values(request)
        found = site().files.get(values["name"])
        if found is None:
            # What there is is not counted: a page is dozens of files, and counting costs more than sending one.
            await access.limit_stranger(context)
            raise NotFound("There is no such file; load /console again.")
        return file_answer(request, found, FOR_EVER if values["digest"] == digest() else "no-store")

    return asset
