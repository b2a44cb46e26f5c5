"""A badge as SVG: on the left what is judged, on the right what the gate says."""

from __future__ import annotations

import unicodedata
from html import escape
from typing import Literal

Word = Literal["GO", "GO_WITH_WARNINGS", "NO_GO", "EXPIRED", "UNKNOWN"]

MAX_LABEL = 80  # characters; the whole stands in the title
CHARACTER, MARGIN, HEIGHT = 7, 8, 20  # pixels
SHOWN: dict[Word, tuple[str, str]] = {  # text, and a colour on which white is read easily (contrast above 4.5)
    "GO": ("GO", "#1a7f37"),
    "GO_WITH_WARNINGS": ("GO with warnings", "#8a6100"),
    "NO_GO": ("NO-GO", "#b42318"),
    "EXPIRED": ("expired", "#57606a"),
    "UNKNOWN": ("unknown", "#57606a"),
}
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{all}" height="{height}" role="img" aria-label={spoken}>
<title>{title}</title>
<rect width="{left}" height="{height}" fill="#24292f"/>
<rect x="{left}" width="{right}" height="{height}" fill="{colour}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{margin}" y="14" textLength="{label_length}" lengthAdjust="spacingAndGlyphs">{label}</text>
<text x="{word_at}" y="14" textLength="{word_length}" lengthAdjust="spacingAndGlyphs">{word}</text>
</g>
</svg>
"""


def badge(label: str, word: Word) -> bytes:
    """The picture, in UTF-8. ``label`` may hold anything."""
    text, colour = SHOWN[word]
    label = "".join(sign if _is_shown(sign) else "\ufffd" for sign in label)
    said = f"{label}: {text}"
    short = label if len(label) <= MAX_LABEL else label[: MAX_LABEL - 1] + "…"
    label_length, word_length = _length(short), _length(text)
    left, right = label_length + 2 * MARGIN, word_length + 2 * MARGIN
    return _SVG.format(
        all=left + right,
        height=HEIGHT,
        left=left,
        right=right,
        margin=MARGIN,
        word_at=left + MARGIN,
        colour=colour,
        label_length=label_length,
        word_length=word_length,
        label=escape(short),
        word=escape(text),
        title=escape(said),
        spoken=f'"{escape(said)}"',
    ).encode()


def _length(text: str) -> int:
    """In pixels. Readers stretch or squeeze the text to it, so that it fits whatever their font is."""
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return max(1, CHARACTER * (len(text) + wide))


def _is_shown(sign: str) -> bool:
    """Whether XML takes it and it can't change how the rest is read (controls, marks of direction, half characters)."""
    return unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")
