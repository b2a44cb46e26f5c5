"""CSV that no spreadsheet takes for a formula, and that reads back as it was."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.cells import DANGEROUS, cell, table


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (True, "True"),
        (False, "False"),
        (-5, "-5"),
        (1.5, "1.5"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM", "'@SUM"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("plain", "plain"),
        ({"a": [1]}, '{"a":[1]}'),
    ],
)
def test_cell(value: Any, written: str) -> None:
    assert cell(value) == written


@given(st.lists(st.fixed_dictionaries({"a": st.text(st.characters(codec="utf-8", exclude_characters="\x00"))})))
def test_a_table_reads_back(rows: list[dict[str, str]]) -> None:
    read = list(csv.DictReader(io.StringIO(table(("a", "missing"), rows), newline="")))
    assert [row["a"].removeprefix("'") for row in read] == [row["a"].removeprefix("'") for row in rows]
    for row in read:
        assert not row["a"].startswith(DANGEROUS)
        assert row["missing"] == ""
