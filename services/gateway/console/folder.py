"""What lies in the console's folder, as it is served: what `make assets` made of it, or the files themselves.

``web/`` holds the sources, which browsers load as they are. ``built/`` holds the same in few small files, beside the
digests of the sources that they were made of: whoever changes one of those gets the sources, and needs no build.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from services.gateway.static_files import KINDS, Asset, asset_of, digest_of

# What `make assets` takes from npm. Without it nothing works.
VENDOR = "vendor/preact.js"
# What every page needs is asked for at once, not module after module. (Of what is built, its own page names that.)
CORE = ("api/", "parts/", "router.js", "routes.js", "words/index.js")


@dataclass(frozen=True, slots=True)
class Files:
    """``page``: the HTML, None where `make assets` was not run; ``files`` by the path below the assets' address."""

    page: str | None
    files: dict[str, Asset]


def files_of(console: Traversable) -> Files:
    """What ``built/`` holds if it was made of exactly what lies beside it, else what ``web/`` holds."""
    page = (console / "index.html").read_bytes()
    sources = dict(sorted(_read(console / "web", "")))
    made_of = {f"web/{name}": digest_of(body) for name, body in sources.items()} | {"index.html": digest_of(page)}
    if _made_of(console) == made_of:
        built = dict(sorted(_read(console / "built", "")))
        assets = {name: asset_of(name, body, _packed(console / "built", name, body)) for name, body in built.items()}
        return Files((console / "built" / "index.html").read_text("utf-8"), assets)
    assets = {name: asset_of(name, body) for name, body in sources.items()}
    return Files(_with_preloads(page.decode(), sources) if VENDOR in sources else None, assets)


def _made_of(console: Traversable) -> object:
    """What ``built/`` says that it was made of; None where that isn't there or can't be read."""
    try:
        return json.loads((console / "built" / "sources.json").read_bytes())
    except (OSError, ValueError):
        return None


def _with_preloads(page: str, sources: dict[str, bytes]) -> str:
    needed = [name for name in sources if name.startswith(CORE) and name.endswith(".js")]
    links = "\n".join(f'<link rel="modulepreload" href="{{{{ assets }}}}/{name}">' for name in needed)
    return page.replace("{{ preloads }}", links)


def _packed(built: Traversable, name: str, body: bytes) -> bytes | None:
    """The file in gzip as `make assets` packed it, which it does better; None where it is not that of this body."""
    try:
        packed = (built / f"{name}.gz").read_bytes()
        return packed if gzip.decompress(packed) == body else None
    except (OSError, EOFError, zlib.error):  # a broken beginning is an OSError, too
        return None


def _read(folder: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    """Every file that is served. Types and pages for the checker are not."""
    for entry in folder.iterdir():
        name = f"{path}{entry.name}"
        if entry.is_dir():
            yield from _read(entry, f"{name}/")
        elif name[name.rfind(".") :] in KINDS:
            yield name, entry.read_bytes()
