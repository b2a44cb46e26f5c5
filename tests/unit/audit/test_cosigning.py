"""What is believed of a witness's answer: a cosignature of the very checkpoint, by the very key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.outbound import Answer, Unreachable
from libs.tlog.cosignatures import Cosigner
from libs.tlog.notes import Checkpoint, Signer, read_note
from services.audit.checkpoints import Signed
from services.audit.cosigning import Cosigning, _cosigned, _refused
from services.audit.outside import Kept
from services.audit.witnesses import WitnessAt

LOG = Signer.from_seed("log.example/audit", bytes(range(32)))
POINT = Checkpoint(LOG.verifier.name, 9, bytes(32))
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
SIGNED = Signed(LOG.sign(POINT.text), 9, bytes(32), LOG.verifier.text, NOW, 0)
COSIGNER = Cosigner.from_seed("w.example", bytes(32))
AT = WitnessAt(COSIGNER.key, "https://w.example")
TEXT = read_note(SIGNED.note).text


@pytest.mark.parametrize(("ahead_s", "shown_s"), [(-60, -60), (0, 0), (86_400, 0)])
def test_its_time_counts_but_none_ahead_of_ours(ahead_s: int, shown_s: int) -> None:
    said = _cosigned(AT, SIGNED, COSIGNER.cosign(TEXT, NOW_S + ahead_s).encode(), NOW)
    assert (said.state, said.cosigned_at) == ("cosigned", NOW + timedelta(seconds=shown_s))
    assert said.line == COSIGNER.cosign(TEXT, NOW_S + ahead_s)


def test_lines_of_others_beside_it_are_left_out() -> None:
    other = Cosigner.from_seed("x.example", bytes(31) + b"x").cosign(TEXT, NOW_S)
    said = _cosigned(AT, SIGNED, (other + COSIGNER.cosign(TEXT, NOW_S)).encode(), NOW)
    assert said.line == COSIGNER.cosign(TEXT, NOW_S)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "thanks\n",
        Cosigner.from_seed("w.example", bytes(31) + b"x").cosign(TEXT, NOW_S),  # another key of that name
        Cosigner.from_seed("x.example", bytes(32)).cosign(TEXT, NOW_S),  # the key under another name
        COSIGNER.cosign(TEXT.replace("\n9\n", "\n8\n"), NOW_S),  # of another checkpoint
        COSIGNER.cosign(TEXT, 0),
        "\n" + COSIGNER.cosign(SIGNED.note, NOW_S),  # fits a text that goes on to the log's own signature
        "\n\n" + COSIGNER.cosign(TEXT, NOW_S),  # would move what is text and what is signature
        COSIGNER.cosign(TEXT, NOW_S) + "\n" + COSIGNER.cosign(TEXT, NOW_S),
        "\xff",
    ],
)
def test_whatever_else_is_no_cosignature(answer: str) -> None:
    said = (
        _cosigned(AT, SIGNED, answer.encode("latin-1"), NOW)
        if answer == "\xff"
        else _cosigned(AT, SIGNED, answer.encode(), NOW)
    )
    assert (said.state, said.line, said.cosigned_at) == ("refused", "", None), said


def test_a_refusal_says_what_to_give_the_operator() -> None:
    assert LOG.verifier.text in (_refused(AT, SIGNED, 404, b"unknown").problem or "")
    assert LOG.verifier.text not in (_refused(AT, SIGNED, 500, b"\x1b[2J " + b"x" * 9999).problem or "")
    assert len(_refused(AT, SIGNED, 500, b"x" * 9999).problem or "") < 300


class Held:
    """What is kept in NATS."""

    def __init__(self, note: str) -> None:
        self.note = note

    async def read(self) -> Kept:
        return Kept(self.note, 1)


class Silent:
    """A witness that shows no checkpoint."""

    async def get(self, _url: str, _headers: Mapping[str, str]) -> Answer:
        raise Unreachable("There was no answer.")


@pytest.mark.parametrize(
    ("kept", "state"),
    [
        (Checkpoint(LOG.verifier.name, 12, bytes(32)), None),  # another replica has signed as much meanwhile
        (Checkpoint(LOG.verifier.name, 11, bytes(32)), "forked"),
        (Checkpoint("log.example/audit/2", 12, bytes(32)), "forked"),  # of another name
        (None, "forked"),  # NATS was set back, too
    ],
)
async def test_who_saw_more_than_was_ever_signed_saw_another_history(
    kept: Checkpoint | None, state: str | None
) -> None:
    held: Any = Held(LOG.sign(kept.text) if kept else "")
    silent: Any = Silent()
    nothing: Any = None
    asking = Cosigning([AT], silent, held, nothing, lambda: NOW, lambda: None)
    said = await asking._ahead(AT, SIGNED, 12)
    assert (said.state if said else None) == state
    if said is not None:
        assert "saw 12 entries, this log has signed only 9" in (said.problem or "")
        assert (said.seen_size, said.seen_note) == (12, None)
