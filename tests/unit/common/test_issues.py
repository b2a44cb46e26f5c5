"""Ids of issues."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from libs.common.contracts.issues import IssueId

ISSUE = TypeAdapter(IssueId)


@pytest.mark.parametrize(
    "text", ["OPS-12", "ABC1-7", "#12", "GH-12", "!12", "GL-12", "acme/shop#12", "ENG-4", "OMS-12", "4711", " OPS-1 "]
)
def test_ids_of_trackers_are_issues(text: str) -> None:
    assert ISSUE.validate_python(text) == text.strip()


@pytest.mark.parametrize(
    "text", ["UTF-8", "SHA-256", "ISO-8601", "CVE-2024", "ops-12", "A-1", "OPS-0", "fixes OPS-12", "#", "", "0", "OPS-"]
)
def test_what_only_looks_like_one_is_not(text: str) -> None:
    with pytest.raises(ValidationError):
        ISSUE.validate_python(text)
