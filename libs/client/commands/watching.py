"""``headgate gate watch``: verdicts as they come, and the end of a GO."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from libs.client.errors import ApiError
from libs.client.http import read_as
from libs.client.session import Session
from libs.client.show import clean, when
from libs.client.views.gate import headline
from libs.common.contracts.governance.admission import Admission
from libs.common.contracts.governance.runs import GateRun

POLL_S = 2.0
PAGE = 50
MAX_REASONS = 5  # of one verdict


class Watch:
    """Asks every two seconds: nothing is missed by a break of the connection, and reading a gate is enough."""

    def __init__(self, session: Session, gate: str, target: dict[str, str]) -> None:
        self._session, self._gate, self._target = session, gate, target
        self._seen = 0
        self._standing: GateRun | None = None  # the newest verdict, as long as it is a GO that holds

    def verdicts(self) -> Iterator[GateRun]:
        """Print the newest verdict, then each that comes; yields what was printed. Ends only by the caller."""
        while True:
            page = self._session.client.gate_runs(self._gate, limit=PAGE, **self._target, **self._session.sited)
            new = [run for run in reversed(page.items) if run.run_id > self._seen]
            for run in new[-1:] if self._seen == 0 else new:
                if len(new) == PAGE and self._seen and run is new[0]:
                    self._session.note("headgate: more verdicts came than are shown; see: headgate gate history")
                self._print(run)
                yield run
            if new:
                self._seen = new[-1].run_id
                self._standing = new[-1] if new[-1].decision == "go" else None
            elif self._seen == 0:
                self._session.note("headgate: nothing was judged yet; waiting for the first verdict")
                self._seen = -1
            self._look_at_standing()
            self._session.client.sleep(POLL_S)

    def _print(self, run: GateRun) -> None:
        shown = [Text(f"  - {clean(reason)}") for reason in run.reasons[:MAX_REASONS]]
        if rest := len(run.reasons) - MAX_REASONS:
            shown += [Text(f"  - and {rest} more; see: headgate gate explain {self._gate} {run.run_id}")] * (rest > 0)
        until = [Text(f"  holds until {when(run.valid_until)}")] if run.valid_until is not None else []
        self._session.emit(run.model_dump(mode="json"), headline(run), *shown, *until)

    def _look_at_standing(self) -> None:
        """Tell once that a GO holds no more, where no new verdict says it."""
        run = self._standing
        if run is None:
            return
        of = {"subject": run.subject, "version": run.version} if run.version else {}
        try:
            answer = self._session.client.call("governance.gate.admit", gate=self._gate, **of, **self._session.sited)
        except ApiError as error:
            if error.refused:
                raise
            return  # the next look asks again
        found = read_as(Admission, answer)
        if found.admitted or (found.run_id or 0) > run.run_id:
            return
        self._standing = None
        line = Text.assemble(("GO IS OVER", "bold red"), f"  run {run.run_id} of {clean(run.gate)}")
        self._session.emit(answer, line, *(Text(f"  - {clean(reason)}") for reason in found.reasons[:MAX_REASONS]))
