"""Writes the page ``/runbooks`` of the gateway from docs/ops/MONITORING_GUIDE.md (`make docs`): where alerts lead.

Whoever is on call clicks `runbook_url` of an alert, and may have neither this repository nor an account at hand. The
page is made here and not by the gateway, which so needs nothing that reads Markdown.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "ops" / "MONITORING_GUIDE.md"
PAGE = ROOT / "services" / "gateway" / "documents" / "runbooks.html"
HEAD = """\
<!doctype html>
<!-- Written by `make docs` from docs/ops/MONITORING_GUIDE.md: change that, not this. -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Headgate: {title}</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; }}
  code {{ font-family: ui-monospace, monospace; font-size: 0.9em; overflow-wrap: anywhere; }}
  h2 {{ border-top: 1px solid #8884; padding-top: 1rem; }}
  h3 {{ scroll-margin-top: 1rem; overflow-wrap: anywhere; }}
  h3:target {{ outline: 2px solid #c80; outline-offset: 0.3rem; }}
</style>
</head>
<body>
<main>
"""
FOOT = "</main>\n</body>\n</html>\n"


def page(text: str) -> str:
    """The guide as HTML without scripts; each heading is a place that a link can name, in lower case as on GitHub."""
    reader = MarkdownIt("commonmark", {"html": False})
    tokens = reader.parse(text)
    headings = {_name(body.content): body.content for body in _headings(tokens)}
    if len(headings) < sum(1 for _ in _headings(tokens)):
        raise ValueError(f"{GUIDE.name} has two headings with one name")
    for opening, body in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", _name(body.content))
        elif body.type == "inline":
            body.children = list(_linked(body.children or [], headings))
    title = next(iter(headings.values()))
    return HEAD.format(title=html.escape(title)) + str(reader.renderer.render(tokens, reader.options, {})) + FOOT


def _headings(tokens: Sequence[Token]) -> Iterator[Token]:
    return (body for one, body in pairwise(tokens) if one.type == "heading_open")


def _name(heading: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def _linked(tokens: Sequence[Token], headings: dict[str, str]) -> Iterator[Token]:
    """Names of other alerts become links, links to pages that are not served the names of their files.

    What to look at and what to do begin a line each.
    """
    target = ""
    for place, one in enumerate(tokens):
        if one.type == "link_open" and not str(one.attrGet("href")).startswith(("#", "https://")):
            target = (GUIDE.parent / str(one.attrGet("href")).partition("#")[0]).resolve().relative_to(ROOT).as_posix()
        elif one.type == "link_close" and target:
            yield from (Token("text", "", 0, content=" ("), Token("code_inline", "code", 0, content=target))
            yield Token("text", "", 0, content=")")
            target = ""
        elif one.type == "softbreak" and _begins_bold(tokens[place + 1 :]):
            yield Token("hardbreak", "br", 0)
        elif one.type == "text":
            yield from _named(one.content, headings)
        else:
            yield one


def _begins_bold(tokens: Sequence[Token]) -> bool:
    following = next((one for one in tokens if one.type != "text" or one.content), None)
    return following is not None and following.type == "strong_open"


def _named(text: str, headings: dict[str, str]) -> Iterator[Token]:
    for part in re.split(r"\b(Headgate[A-Z]\w+)\b", text):
        if headings.get(part.lower()) == part:
            yield Token("link_open", "a", 1, attrs={"href": f"#{part.lower()}"})
            yield Token("text", "", 0, content=part)
            yield Token("link_close", "a", -1)
        else:
            yield Token("text", "", 0, content=part)


def main() -> None:
    """Write it."""
    PAGE.write_text(page(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
