"""What stands for an entry in the tree is spelled the same by both writers of JSON, whatever an entry holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.tlog.digests import LEFT_OUT, canonical, entry_digest, unhashed_problem

TEXTS = st.text(st.characters(codec="utf-8"))
VALUES = st.one_of(TEXTS, st.integers(), st.booleans(), st.floats(), st.none(), st.lists(TEXTS))


def slowly(entry: dict[str, Any]) -> bytes:
    """As docs/audit-log.md says it in Python."""
    kept = {name: value for name, value in entry.items() if value is not None and name not in LEFT_OUT}
    return json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


@given(st.dictionaries(TEXTS, VALUES))
def test_each_entry_has_one_spelling(entry: dict[str, Any]) -> None:
    assert canonical(entry) == slowly(entry)


def test_signs_and_numbers_at_the_edge() -> None:
    every = "".join(map(chr, range(0x300))) + "\u2028\u2029\ufeff\uffff\U0001f600\U0010ffff"
    for number in (2**53 + 1, 2**63, -(2**63) - 1, 2**64 - 1, 2**64, 2**70, True):
        entry = {"text": every, "seq": number, "\U0001f600": "a", "\uffff": "b", "payload": "left out"}
        assert canonical(entry) == slowly(entry)


def test_what_is_no_unicode_has_no_digest() -> None:
    with pytest.raises(UnicodeEncodeError):
        entry_digest({"seq": 1, "actor": "\ud800"})


@pytest.mark.parametrize(
    ("payload", "event", "same"),
    [
        ('{"a":1}', {"a": 1}, True),
        ('{ "b": 1, "a": [true, null] }', {"a": [True, None], "b": 1}, True),
        ('{"a":1}', {"a": 1.0}, False),
        ('{"a":1}', {"a": True}, False),
        ('{"a":1,"a":2}', {"a": 2}, True),
        ('{"a":1,"a":2}', {"a": 1}, False),
        ('{"a":1180591620717411303424}', {"a": 2**70}, True),
        ('{"a":"\ud800"}', {"a": "x"}, False),
        ("nonsense", {}, False),
    ],
)
def test_an_event_is_what_its_payload_says(payload: str, event: Any, same: bool) -> None:
    found = unhashed_problem({"seq": 7, "payload": payload, "event": event})
    assert (found is None) == same
