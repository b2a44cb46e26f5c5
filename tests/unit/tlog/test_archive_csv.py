"""The CSV files of an archive beside its entries: what the service writes fits, whatever texts an entry holds."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from libs.common.cells import DANGEROUS, table
from libs.tlog.archive_csv import V1, V2, Tables
from services.audit.archives import listing
from services.audit.archives.listing import csv_head

MANIFEST: dict[str, Any] = {
    "format": 1, "month": "2026-05", "origin": "=log", "last_seq": 3, "files": [{"path": "x"}],
    "attachments": {
        "dr_rehearsal_attachment": {"included": True, "latest_in_month": {"b": 1, "a": [1, None]}, "none": None},
        "capsules": {"count": 0, "left_out": []},
    },
}  # fmt: skip
TEXTS = ("ann", "", 'a "quoted", one', "two\r\nlines", "one\nline", *(f"{one}1+1" for one in DANGEROUS), "회사")


def _entry(seq: int, text: str, version: int | None = 2) -> dict[str, Any]:
    shown: dict[str, Any] = dict.fromkeys([*V2[9:], "version"])
    return shown | {
        "seq": seq, "version": version, "type": "headgate.gateway.site.created.v1", "actor": text, "subject": text,
        "recorded_at": "2026-05-01T00:00:00Z", "prev_hash": "00", "hash": "11", "reason": text or None,
        "outcome": "refused" if version else None, "payload_bytes": -5,
    }  # fmt: skip


ENTRIES = [_entry(at + 1, text) for at, text in enumerate(TEXTS)] + [_entry(len(TEXTS) + 1, "service:x", None)]


def _files(entries: list[dict[str, Any]]) -> list[bytes]:
    rows = [listing._row(one) for one in entries]
    told = {name: value for name, value in MANIFEST.items() if name not in ("format", "files")}
    first, second = (table(columns, rows).encode() for columns in (listing.V1, listing.V2))
    return [first, csv_head({"format_version": "v2", **told}) + second]


def _fault(files: list[bytes], entries: list[dict[str, Any]], manifest: dict[str, Any] = MANIFEST) -> str | None:
    # As it is read out of the file: the order within objects is another one.
    tables = Tables([io.BytesIO(one) for one in files], json.loads(json.dumps(manifest, sort_keys=True)))
    for one in entries:
        tables.compare(one)
    return tables.end()


def test_what_the_service_writes_fits() -> None:
    assert (V1, V2) == (listing.V1, listing.V2)
    assert _fault(_files(ENTRIES), ENTRIES) is None


@pytest.mark.parametrize("at", range(len(TEXTS)))
def test_each_text_is_compared(at: int) -> None:
    others = [one | {"subject": "other"} if one["seq"] == at + 1 else one for one in ENTRIES]
    says = f"audit-archive-2026-05.csv: row {at + 2} is not what entry {at + 1} is: resource_id says 'other'"
    assert str(_fault(_files(others), ENTRIES)).startswith(says)


@pytest.mark.parametrize(
    ("number", "old", "new", "says"),
    [
        (0, b"'=1+1", b"=1+1", "row 7 is not what entry 6 is: actor_username says '=1+1'"),
        (0, b",ann,", b',"ann",', "row 2 is not what entry 1 is: it is quoted wrongly"),
        (0, b",ann,", b",ann,more,", "row 2 is not what entry 1 is: action says 'more'"),
        (0, b"denied,00,11\r\n", b"denied,00\r\n", "row 2 is not what entry 1 is: it has 8 cells, not 9"),
        (0, b"id,created_at", b"id,at", "row 1 is not the header that it has"),
        (1, b"section,key", b"section,name", "row 1 is not the header that it has"),
        (1, b"meta,origin,'=log", b"meta,origin,=log", "(meta, origin) is not what the manifest says"),
        (1, b"meta,month,", b"meta,years,", "(meta, years) is not what the manifest says"),
        (1, b"meta,month,2026-05\r\n", b"meta,month\r\n", "row 3 can't be read"),
        (1, b"\r\n\r\n", b"\r\nmeta,month,2026-05\r\n\r\n", "(meta, month) is not what the manifest says"),
        (1, b"\r\n\r\n", b"\r\n", "can't be read"),
        (1, b'""b"":1', b'""b"":2', "(dr_rehearsal_attachment, latest_in_month) is not what the manifest says"),
        (1, b",refused,", b",applied,", "-v2.csv: row 2 is not what entry 1 is: outcome says 'applied'"),
    ],
)
def test_what_was_changed_is_named(number: int, old: bytes, new: bytes, says: str) -> None:
    files = _files(ENTRIES)
    assert old in files[number]
    files[number] = files[number].replace(old, new, 1)
    assert says in str(_fault(files, ENTRIES))


def test_a_file_that_ends_within_what_stands_before_the_entries() -> None:
    first, second = _files(ENTRIES)
    assert "no empty line ends" in str(_fault([first, second[: second.index(b"\r\n\r\n") + 2]], ENTRIES))
