"""``headgate ops …``: the daily check of the installation, and how risky it is run."""

from __future__ import annotations

import typer
from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session, command
from libs.client.show import table
from libs.client.views.operations import check_rows, headline
from libs.client.views.security import guard_rows, risk_line, why_rows
from libs.common.contracts.operations.daily import DailyCheck
from libs.common.contracts.operations.security import Posture

ops = typer.Typer(no_args_is_help=True, help="Operations: whether the installation is in order.")
CRITICAL = 1


@command(ops, "check")
def check(session: Session) -> int:
    """Make the daily check now and show what is not ok first; exit code 1 if anything is critical.

    It tells the gates of every site, raises an alert as the settings say, and is archived.
    """
    answer = session.client.call("operations.check.run")
    done = read_as(DailyCheck, answer)
    session.emit(answer, headline(done), Text(), table(("check", "status", "found", "do"), check_rows(done.checks)))
    return CRITICAL if done.overall_status == "critical" else 0


@command(ops, "security")
def security(session: Session) -> int:
    """Show how risky a site is run, why, and how well the installation is guarded; exit code 1 if that is critical."""
    answer = session.client.call("operations.security.posture", **session.sited)
    found = read_as(Posture, answer)
    session.emit(
        answer,
        risk_line(found),
        Text(),
        table(("rule", "points", "found", "do"), why_rows(found.risk)),
        Text(),
        table(("guard", "status", "found", "do"), guard_rows(found)),
    )
    return CRITICAL if found.risk.level == "critical" else 0
