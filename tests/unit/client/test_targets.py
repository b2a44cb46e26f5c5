"""SUBJECT@VERSION on the command line."""

from __future__ import annotations

import pytest

from libs.client.errors import UsageProblem
from libs.client.targets import split_target, target_fields


@pytest.mark.parametrize(
    ("text", "subject", "version"),
    [
        ("acme/payments-api@2", "acme/payments-api", "2"),
        ("pkg:oci/app@sha256:9f86", "pkg:oci/app", "sha256:9f86"),
        ("pkg:oci/app@sha256:9f86@1.4", "pkg:oci/app@sha256:9f86", "1.4"),
        ("web.shop", "web.shop", None),
        ("@acme/api", "@acme/api", None),
        ("@acme/api@1", "@acme/api", "1"),
        ("@", "@", None),
    ],
)
def test_the_last_at_splits(text: str, subject: str, version: str | None) -> None:
    assert split_target(text) == (subject, version)


def test_an_at_without_a_version_is_wrong_usage() -> None:
    with pytest.raises(UsageProblem, match="names no version"):
        split_target("shop@")


def test_options_say_the_same_without_splitting() -> None:
    assert target_fields(None, "a@1", None) == {"subject": "a@1"}
    assert target_fields("a@1", None, "2") == {"subject": "a@1", "version": "2"}
    assert target_fields(None, None, None) == {}
    with pytest.raises(UsageProblem, match="given twice"):
        target_fields("a@1", "a", None)
