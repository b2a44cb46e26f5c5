"""``/docs``: the API to read and to try, with Swagger UI. Everything it loads comes from here, under a strict policy.

The files of Swagger UI come unchanged from the wheel ``fastapi-swagger`` (its code is not imported); a few lines of our
own start it. Each file has the hash of its bytes in its address, so that browsers may keep it for ever.
"""

from __future__ import annotations

import secrets
from functools import cache
from importlib import resources
from importlib.machinery import PathFinder
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from services.gateway.static_files import Asset, asset_of

FOLDER = "/docs/assets"
PACKAGE = "fastapi_swagger"
STYLES = ("swagger-ui.css", "explorer.css")
SCRIPTS = ("swagger-ui-bundle.js", "explorer.js")
ICON = "favicon-32x32.png"
OURS = frozenset({"explorer.css", "explorer.js"})


class AssetsMissing(RuntimeError):
    """The files of Swagger UI are not installed; the message says what to do. Found at start, never by a caller."""


@cache
def assets() -> dict[str, Asset]:
    """Every file of the page by its plain name. Raises `AssetsMissing`."""
    return {name: asset_of(name, _read(name)) for name in (*STYLES, *SCRIPTS, ICON)}


def address_of(name: str) -> str:
    """The name of a file in its address, which holds its digest."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.{assets()[name].digest}{dot}{suffix}"


def _read(name: str) -> bytes:
    if name in OURS:
        return (resources.files("services.gateway.documents") / name).read_bytes()
    found = PathFinder.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise AssetsMissing(f"The package {PACKAGE.replace('_', '-')} is missing; install the lock again.")
    try:
        return Path(next(iter(found.submodule_search_locations)), "resources", name).read_bytes()
    except OSError as error:
        raise AssetsMissing(f"{error.filename}: {error.strerror}; install the lock again.") from error


def page() -> tuple[bytes, str]:
    """The page with a nonce of its own, and the content security policy that goes with it."""
    nonce = secrets.token_urlsafe(16)
    # Relative to /docs, so that a proxy may put a path before both.
    address = {name: f"{FOLDER.removeprefix('/')}/{address_of(name)}" for name in assets()}
    text = _template().render(
        nonce=nonce,
        icon=address[ICON],
        styles=[address[name] for name in STYLES],
        scripts=[address[name] for name in SCRIPTS],
    )
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text.encode(), policy


@cache
def _template() -> Template:
    text = (resources.files("services.gateway.documents") / "explorer.html").read_text()
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(text)
