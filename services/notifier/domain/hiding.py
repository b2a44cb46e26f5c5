"""Secrets of an address kept out of what people read: an answer may tell it back, as many error pages do."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

MASK = "…"
LEAST = 6  # shorter parts are words, not secrets


def hidden_parts(url: str) -> tuple[str, ...]:
    """What of an address nobody may read, the longest first: what stands behind its host, whole and in parts."""
    whole = urlsplit(url)
    behind = [whole.path + (f"?{whole.query}" if whole.query else ""), whole.path, whole.query]
    pairs = [pair.partition("=")[2] for pair in whole.query.split("&")]
    found = {url, *behind, *whole.path.split("/"), *pairs}
    every = found | {unquote(one) for one in found}
    return tuple(sorted((one for one in every if len(one) >= LEAST), key=lambda one: (-len(one), one)))


def masked(text: str, hidden: Iterable[str]) -> str:
    """The text without those parts."""
    for part in hidden:
        text = text.replace(part, MASK)
    return text
