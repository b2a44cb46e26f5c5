"""What is served of the console: what was built of its sources, as long as they are still those, else the sources."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from services.gateway.console.folder import Files, files_of
from services.gateway.static_files import digest_of


@pytest.fixture
def console(tmp_path: Path) -> Path:
    """A console with three sources, and what was built of them."""
    for name, text in {
        "index.html": "<p>{{ preloads }} {{ assets }}",
        "web/main.js": "// source",
        "web/parts/layout.js": "// a part",
        "web/vendor/preact.js": "// from npm",
        "web/vendor/preact.d.ts": "// types",
        "built/index.html": "<p>built {{ assets }}",
        "built/main.js": "/**/",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    sources = ("index.html", "web/main.js", "web/parts/layout.js", "web/vendor/preact.js")
    made_of = {name: digest_of((tmp_path / name).read_bytes()) for name in sources}
    (tmp_path / "built/sources.json").write_text(json.dumps(made_of))
    return tmp_path


def _bodies(files: Files) -> dict[str, bytes]:
    return {name: one.body for name, one in files.files.items()}


def test_what_was_built_is_served(console: Path) -> None:
    found = files_of(console)
    assert found.page == "<p>built {{ assets }}"
    assert _bodies(found) == {"main.js": b"/**/"}


def _change(console: Path) -> None:
    (console / "web/parts/layout.js").write_text("// a part that changed")


def _add(console: Path) -> None:
    (console / "web/parts/more.js").write_text("// more")


def _remove(console: Path) -> None:
    (console / "web/parts/layout.js").unlink()


def _change_page(console: Path) -> None:
    (console / "index.html").write_text("<p>{{ preloads }} other {{ assets }}")


def _break(console: Path) -> None:
    (console / "built/sources.json").write_text("{")


def _lose(console: Path) -> None:
    (console / "built/sources.json").unlink()


@pytest.mark.parametrize("harm", [_change, _add, _remove, _change_page, _break, _lose])
def test_sources_are_served_when_they_are_others_than_those_it_was_built_of(
    console: Path, harm: Callable[[Path], None]
) -> None:
    harm(console)
    found = files_of(console)
    assert found.page is not None
    assert "built" not in found.page
    assert _bodies(found)["main.js"] == b"// source"
    assert "vendor/preact.d.ts" not in found.files
    has_layout = "parts/layout.js" in found.files
    assert ('<link rel="modulepreload" href="{{ assets }}/parts/layout.js">' in found.page) is has_layout


def test_what_was_packed_is_sent_as_it_was_packed(console: Path) -> None:
    body = b"/* longer than what gzip adds */" * 20
    (console / "built/main.js").write_bytes(body)
    packed = gzip.compress(body, 1, mtime=7)
    (console / "built/main.js.gz").write_bytes(packed)
    assert files_of(console).files["main.js"].packed == packed


# By name: gzip holds the time, and each worker of the tests must find the same ones.
WRONG = {
    "another body": gzip.compress(b"/* another */"),
    "cut off": gzip.compress(b"x" * 900)[:-9],
    "no gzip": b"no gzip",
    "empty": b"",
    "none": None,
}


@pytest.mark.parametrize("packed", WRONG.values(), ids=WRONG)
def test_what_was_packed_of_another_body_is_packed_anew(console: Path, packed: bytes | None) -> None:
    body = b"/* longer than what gzip adds */" * 20
    (console / "built/main.js").write_bytes(body)
    if packed is not None:
        (console / "built/main.js.gz").write_bytes(packed)
    sent = files_of(console).files["main.js"].packed
    assert sent is not None
    assert gzip.decompress(sent) == body


def test_without_what_comes_from_npm_there_is_no_page(console: Path) -> None:
    (console / "web/vendor/preact.js").unlink()
    found = files_of(console)
    assert found.page is None
    assert "main.js" in found.files
