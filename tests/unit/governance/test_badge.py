"""Badges are XML whatever the label holds, and their texts fit."""

from __future__ import annotations

from typing import get_args
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from services.governance.domain.badge import MAX_LABEL, SHOWN, Word, badge

SVG = "{http://www.w3.org/2000/svg}"


def number(one: Element, name: str) -> int:
    return int(one.get(name) or 0)


def texts(picture: bytes) -> list[tuple[str, int, int]]:
    """Each text with the place where it begins and ends."""
    found = fromstring(picture).iter(f"{SVG}text")
    return [(one.text or "", number(one, "x"), number(one, "x") + number(one, "textLength")) for one in found]


def boxes(picture: bytes) -> list[tuple[int, int]]:
    found = fromstring(picture).iter(f"{SVG}rect")
    return [(number(one, "x"), number(one, "x") + number(one, "width")) for one in found]


@pytest.mark.parametrize("word", get_args(Word))
@pytest.mark.parametrize("label", ["r", "release app 1.4.2", "릴리스 결제-서버 1.4.2", "x" * 400])
def test_both_texts_lie_in_their_boxes(label: str, word: Word) -> None:
    picture = badge(label, word)
    (label_box, word_box), (left, right) = boxes(picture), texts(picture)
    assert label_box[0] < left[1] < left[2] < label_box[1] == word_box[0] < right[1] < right[2] < word_box[1]
    assert number(fromstring(picture), "width") == word_box[1]
    assert right[0] == SHOWN[word][0]
    assert len(left[0]) <= MAX_LABEL
    assert fromstring(picture).get("aria-label") == f"{label}: {SHOWN[word][0]}"


@given(st.text())
def test_any_label_is_text_and_nothing_else(label: str) -> None:
    root = fromstring(badge(label, "GO"))
    assert [one.tag.removeprefix(SVG) for one in root.iter()] == [
        "svg", "title", "rect", "rect", "g", "text", "text",
    ]  # fmt: skip


def test_hostile_labels_stay_text() -> None:
    label = "a\"/><script>alert(1)</script>&amp;'\u202e{all}"
    picture = badge(label, "NO_GO")
    assert b"<script" not in picture
    assert texts(picture)[0][0] == label.replace("\u202e", "\ufffd")
