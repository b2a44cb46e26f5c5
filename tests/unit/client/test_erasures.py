"""A body is gone rightly only if a later entry of the log says so: by the tool, and by the service's own arithmetic."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from libs.client.verify import verify
from services.audit.domain.retention import cover_of, covered
from tests.unit.client.conftest import Tool
from tests.unit.client.erased import LATER, TOLD, erased_log, without_body
from tests.unit.client.test_audit_tree import LOG, write

NOT_TOLD = "entry {} has no body, and no later entry says that it was removed"
FORGED: list[tuple[dict[str, Any], int]] = [
    ({"gone": (2, 5)}, 5),
    ({"first_seq": 3}, 2),
    ({"last_seq": 2}, 3),
    ({"retention_class": "metrics."}, 2),
    ({"recorded_before": "2026-03-01T09:00:02.5Z"}, 3),  # entry 3 came later than that
    ({"recorded_before": "2026-03-01T09:00:02.5"}, 2),
    ({"recorded_before": "2026-03-15T00:00:00Z"}, 2),  # younger than 90 days
    ({"first_seq": "1"}, 2),
    ({"last_seq": None}, 2),
    ({"envelope": {"source": "/headgate/tracker"}}, 2),
    ({"envelope": {"type": "headgate.audit.bodies.erased.v2"}}, 2),
    ({"later": timedelta(days=20)}, 2),
    ({"gone": (7,), "last_seq": 8, "later": LATER, "recorded_before": "2026-03-06T00:00:00Z"}, 7),  # of what is younger
    ({"gone": (2, TOLD)}, 2),  # what would say so has no body itself
]


def by_service(chain: list[dict[str, Any]]) -> int | None:
    """The first entry that the service's arithmetic finds without a word."""
    moments = [datetime.fromisoformat(one["recorded_at"]) for one in chain]
    told = [
        cover
        for one, at in zip(chain, moments, strict=True)
        if one["payload"] and (cover := cover_of(one["seq"], at, json.loads(one["payload"])))
    ]
    return next(
        (
            one["seq"]
            for one, at in zip(chain, moments, strict=True)
            if one["payload"] is None and not covered(told, one["seq"], one["type"], at)
        ),
        None,
    )


@pytest.mark.parametrize("newest_first", [False, True])
def test_what_a_later_entry_says_has_gone_may_be_gone(newest_first: bool) -> None:
    for chain in (erased_log(), erased_log(retention_class="tracker."), erased_log(first_seq=2, last_seq=3)):
        report = verify(chain[::-1] if newest_first else chain)
        assert (report.valid, report.erased_count, report.unproven_count) == (True, 2, 0), report
        assert by_service(chain) is None


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(("options", "seq"), FORGED, ids=str)
def test_a_body_that_is_gone_without_a_word_is_found(options: dict[str, Any], seq: int, newest_first: bool) -> None:
    chain = erased_log(**options)
    assert by_service(chain) == seq
    chain.append(_far_later(chain))
    report = verify(chain[::-1] if newest_first else chain)
    assert (report.valid, report.bad_seq, report.problem) == (False, seq, NOT_TOLD.format(seq))


def _far_later(chain: list[dict[str, Any]]) -> dict[str, Any]:
    """One more entry, so that the removal can't be too young for its entry to have come."""
    before, entry = chain[-1], erased_log()[-1]
    at = datetime.fromisoformat(before["recorded_at"]) + timedelta(hours=2)
    micros = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    seq = before["seq"] + 1
    link = b"headgate.audit.v1\n" + bytes.fromhex(before["hash"]) + seq.to_bytes(8, "big") + micros.to_bytes(8, "big")
    hashed = hashlib.sha256(link + bytes.fromhex(entry["payload_sha256"])).hexdigest()
    return entry | {"seq": seq, "recorded_at": at.isoformat(), "prev_hash": before["hash"], "hash": hashed}


def test_what_may_be_told_behind_the_end_is_not_proven_here(tool: Tool, tmp_path: Path) -> None:
    """The mirror ends before the entry that tells of it: that is no pass, and no accusation."""
    chain = erased_log(gone=(2, 3, 4))[: TOLD - 1]
    report = verify(chain)
    assert (report.valid, report.problem, report.unproven_count, report.unproven_seq) == (False, None, 3, 2)
    export = tmp_path / "log.ndjson"
    export.write_text("".join(json.dumps(one) + "\n" for one in chain))
    write(tmp_path / "mirror", chain)
    for where in (("--offline", str(export)), ("--folder", str(tmp_path / "mirror"), "--key", LOG.verifier.text)):
        result = tool("audit", "verify", *where, "--json")
        answer = json.loads(result.stdout)
        assert (result.exit_code, answer["valid"], answer["local"]["unproven_seq"]) == (2, False, 2), result.output
        assert "not proven here" in " ".join(tool("audit", "verify", *where).stdout.split())
    write(tmp_path / "mirror", [*chain[:-1], without_body(chain[-1], "2026-02-01T00:00:00Z")])
    result = tool("audit", "verify", "--folder", str(tmp_path / "mirror"), "--key", LOG.verifier.text, "--json")
    assert (result.exit_code, json.loads(result.stdout)["local"]["problem"]) == (1, NOT_TOLD.format(5))


def test_without_a_tree_nobody_vouches_for_what_is_shown(tool: Tool, tmp_path: Path) -> None:
    chain, export = erased_log(), tmp_path / "log.ndjson"
    export.write_text("".join(json.dumps(one) + "\n" for one in chain))
    shown = tool("audit", "verify", "--offline", str(export))
    assert (shown.exit_code, "no signed tree was looked at" in " ".join(shown.stdout.split())) == (2, True)
    write(tmp_path / "mirror", chain)
    shown = tool("audit", "verify", "--folder", str(tmp_path / "mirror"), "--key", LOG.verifier.text)
    assert (shown.exit_code, "stands in the tree" in " ".join(shown.stdout.split())) == (0, True), shown.output
