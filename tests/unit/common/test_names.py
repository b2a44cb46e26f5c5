"""What a subject, a version and a part may be called."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from libs.common.contracts.names import PATTERN, Name

NAME: TypeAdapter[str] = TypeAdapter(Name)
HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def taken(text: str) -> bool:
    try:
        return NAME.validate_python(text) == text
    except ValidationError:
        return False


@pytest.mark.parametrize(
    "text",
    ["a", "acme/payments-api", "Payments_API", "web.shop", "pkg:oci/app@sha256:" + "0" * 64, "release/2026-11", "a b",
     "=1+1", "*", ">", "..", "결제 API", "e\u0301", "\U0001f680", "x" * 200, "\U0001f680" * 200],
)  # fmt: skip
def test_names_of_people_and_tools_are_taken_as_they_are(text: str) -> None:
    assert taken(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "at least 1 character"),
        ("x" * 201, "at most 200 characters"),
        (" a", "begin or end with a space"),
        ("a ", "begin or end with a space"),
        ("ab\n", r"character 3 is U\+000A \(a control character\)"),
        ("a\u202eb", r"character 2 is U\+202E \(RIGHT-TO-LEFT OVERRIDE\)"),
        ("a\u2028b", r"U\+2028 \(LINE SEPARATOR\)"),
        ("a\u00a0b", r"U\+00A0 \(NO-BREAK SPACE\)"),
        ("\uffff", r"U\+FFFF \(no character\)"),
    ],
)
def test_what_is_no_name_is_refused_with_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        NAME.validate_python(text)


@given(st.text(max_size=210))
@example("\U0001fae9")  # came with Unicode 16
@example("a\ufdd0")
def test_the_rule_is_the_one_that_is_documented(text: str) -> None:
    def printable(sign: str) -> bool:
        category = unicodedata.category(sign)
        if category == "Cn":
            return ord(sign) & 0xFFFF < 0xFFFE and not 0xFDD0 <= ord(sign) <= 0xFDEF
        return category not in HIDDEN and (category != "Zs" or sign == " ")

    wanted = 1 <= len(text) <= 200 and text == text.strip(" ") and all(map(printable, text))
    assert taken(text) is wanted


@given(st.text(min_size=1, max_size=200))
def test_the_pattern_of_the_documents_forbids_nothing_that_is_taken(text: str) -> None:
    if taken(text):
        assert re.search(PATTERN, text)


@given(st.from_regex(r"\A[a-z0-9-]{1,40}\Z") | st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._+-]{0,79}\Z"))
def test_names_that_were_taken_before_still_are(text: str) -> None:
    assert taken(text)
