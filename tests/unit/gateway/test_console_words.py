"""The console's catalogues say the same in every language and have all that pages ask for; its files stay small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.gateway.console import serving
from services.gateway.static_files import KINDS, asset_of

WEB = Path(serving.__file__).parent / "web"
OURS = sorted(path for path in WEB.rglob("*.js") if "vendor" not in path.parts)
ENTRY = re.compile(r'^\s*"((?:[^"\\]|\\.)+)":\s*"((?:[^"\\]|\\.)*)",?$')
LITERAL = re.compile(r"""\bt\(\s*"([^"`$]+)"\s*[,)]""")
CHOSEN = re.compile(r'\bt\([^`(){},]*\? "([^"]+)" : "([^"]+)"')  # one of two
BUILT = re.compile(r"\b(?:t|word)\(`([^`$]+)\$\{")  # its end is a value
FAMILY = re.compile(r'\bword\("([^"]+)"')  # what the API may extend
COUNTED = re.compile(r"\.(one|other)$")
MAX_LINES = 400
MAX_SENT_BYTES = 150_000
LATER = ("vendor/editor.js", "vendor/qr.js")  # only where somebody edits, or sets up a second factor


def _catalogue(language: str) -> dict[str, str]:
    """All words of a language. Fails for a key that stands twice, and for a line that is neither words nor frame."""
    found: dict[str, str] = {}
    for path in sorted((WEB / "words" / language).glob("*.js")):
        if path.name == "index.js":
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := ENTRY.match(line):
                assert match[1] not in found, f"{path.name} says {match[1]} again"
                found[match[1]] = match[2]
            else:
                assert line.strip() in ("", "export default {", "};") or line.startswith("//"), f"{path.name}: {line}"
    return found


def _bare(keys: set[str]) -> set[str]:
    return {COUNTED.sub("", key) for key in keys}


def test_both_languages_say_the_same() -> None:
    english, korean = _catalogue("en"), _catalogue("ko")
    assert _bare(set(english)) ^ _bare(set(korean)) == set()
    for key, text in korean.items():
        assert text, key
        twin = english.get(key) or english[f"{key}.other"]
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", twin)), key


def test_each_page_has_its_words_in_both_indexes() -> None:
    pages = {path.stem for path in (WEB / "words" / "en").glob("*.js")} - {"index"}
    for language in ("en", "ko"):
        index = (WEB / "words" / language / "index.js").read_text(encoding="utf-8")
        assert set(re.findall(r'from "\./(\w+)\.js"', index)) == pages
        assert set(re.findall(r"import (\w+) from", index)) == set(re.findall(r"\.\.\.(\w+)", index))


def test_whatever_pages_say_is_there() -> None:
    words = set(_catalogue("en"))
    known = words | _bare(words)
    said = {(path.name, key) for path in OURS for key in LITERAL.findall(path.read_text(encoding="utf-8"))}
    said |= {
        (path.name, key) for path in OURS for two in CHOSEN.findall(path.read_text(encoding="utf-8")) for key in two
    }
    assert len(said) > 100
    assert sorted((name, key) for name, key in said if key not in known) == []


def test_what_pages_put_together_has_a_beginning_that_is_there() -> None:
    words = _catalogue("en")
    begun = {(path.name, start) for path in OURS for start in BUILT.findall(path.read_text(encoding="utf-8"))}
    begun |= {(path.name, f"{key}.") for path in OURS for key in FAMILY.findall(path.read_text(encoding="utf-8"))}
    assert len(begun) > 30
    assert sorted((name, start) for name, start in begun if not any(key.startswith(start) for key in words)) == []


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(WEB)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_a_browser_loads_little() -> None:
    """Whatever page it begins with, even where the sources are served and nothing was built of them.

    What few need is loaded when they do, and so are the parts of each page.
    """
    paths = [path for path in WEB.rglob("*") if path.suffix in KINDS and path.name != "licences.txt"]
    sent = {str(path.relative_to(WEB)): asset_of(path.name, path.read_bytes()).sent_bytes for path in paths}
    pages: dict[str, int] = {}
    for name, size in sent.items():
        if name.startswith("pages/"):
            page = name.split("/")[1].removesuffix(".js")
            pages[page] = pages.get(page, 0) + size
    vendor = sum(size for name, size in sent.items() if name.startswith("vendor/") and name not in LATER)
    other = ("pages/", "vendor/", "words/en/")  # a reader has one language: the larger one
    frame = sum(size for name, size in sent.items() if not name.startswith(other))
    # What comes from npm is not there before `make assets`; it has 30,422 bytes.
    assert frame + max(vendor, 31_000) + max(pages.values()) <= MAX_SENT_BYTES


def test_nothing_makes_markup_of_strings() -> None:
    for path in OURS:
        text = path.read_text(encoding="utf-8")
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert forbidden not in text, path.name
