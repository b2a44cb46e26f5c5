"""``headgate audit verify --server``: the server verifies the whole log, and this shows how far it is."""

from __future__ import annotations

import time
from typing import Any

from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean
from libs.common.contracts.audit.verifications import VerificationRun

LOOK_EVERY_S = 0.3


def verify_by_server(session: Session, *, incremental: bool) -> int:
    """Begin one and follow it to its end; 0: the log holds, 1: it does not. Ended here, it goes on there."""
    mode = "incremental" if incremental else "whole"
    run = read_as(VerificationRun, session.client.call("audit.verification.start", mode=mode))
    with session.progress("The server verifies", run.total_count) as done:
        while run.status == "running":
            time.sleep(LOOK_EVERY_S)
            run = read_as(VerificationRun, session.client.call("audit.verifications.get", number=run.number))
            done(run.checked_count)
    answer: dict[str, Any] = run.model_dump(mode="json")
    session.emit(answer, *_shown(run))
    return 0 if run.status == "valid" else 1


def _shown(run: VerificationRun) -> list[Text]:
    if run.status != "valid":
        return [Text(clean(f"Verification {run.number}: the log is broken: {run.problem}"), style="red")]
    said = f"Verification {run.number}: entries {run.from_seq} to {run.to_seq} ({run.checked_count}) hold"
    points = f"{run.checkpoint_count} signed checkpoints fit" if run.checkpoint_count else "nothing of them is signed"
    return [
        Text(f"{said}; {points}.", style="green" if run.checkpoint_count else "yellow"),
        Text("This is what the server says of itself; without --server you verify it here."),
    ]
