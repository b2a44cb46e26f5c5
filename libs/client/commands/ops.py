"""``headgate ops …``: the daily check of the installation."""

from __future__ import annotations

import typer
from rich.text import Text

from libs.client.http import read_as
from libs.client.session import Session, command
from libs.client.show import table
from libs.client.views.operations import check_rows, headline
from libs.common.contracts.operations.daily import DailyCheck

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
