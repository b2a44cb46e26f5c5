"""How much the console is: all of it, as browsers load it from the gateway."""

from __future__ import annotations

import re

import pytest

from services.gateway.console import serving

MAX_BYTES = 150_000
MAX_FIRST_BYTES = 50_000
LANGUAGES = ("en", "ko")


def _kind(name: str) -> str:
    """Of a file that was built: its name without the digest of its contents."""
    return name.removesuffix(".js").rpartition("-")[0] or name


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_of_the_console_in_a_language_is_small(language: str) -> None:
    """In gzip, as it is sent; without the editor of policies and the drawing of QR codes: only a deed loads them."""
    files = serving.site().files
    assert "style.css" in files, "what was built is not served; run: make assets"
    kinds = [_kind(name) for name in files]
    assert {*LANGUAGES, "editor", "board", "verdict"} <= set(kinds)
    others = {"editor", "qr", "vendor/licences.txt", *LANGUAGES} - {language}
    sizes = {name: one.sent_bytes for name, one in files.items() if _kind(name) not in others}
    page = serving.index()
    assert page is not None
    assert len(page) + sum(sizes.values()) <= MAX_BYTES, sorted(sizes.items(), key=lambda one: -one[1])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_page_is_smaller(language: str) -> None:
    """The overview, with all that its page names and the words: what is seen first does not wait for the rest."""
    page, files = serving.index(), serving.site().files
    assert page is not None
    named = set(re.findall(r'/console/assets/\w+/([^"]+)', page.decode()))
    assert {"style.css", "main.js", "again.js"} < named
    loaded = named | {name for name in files if _kind(name) in ("overview", language)}
    assert len(loaded) == len(named) + 2, "the overview is in a file with other pages"
    assert len(page) + sum(files[name].sent_bytes for name in loaded) <= MAX_FIRST_BYTES
