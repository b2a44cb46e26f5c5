"""``headgate gate baseline accept``: the same as ``headgate baselines accept``, where one looks for it at a gate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from libs.client.completion import gates as gates_there
from libs.client.http import read_as
from libs.client.moments import HINT, moment
from libs.client.session import Session, command
from libs.client.show import counted, facts
from libs.client.targets import target_fields
from libs.common.contracts.governance.baselines import Baseline

baselines = typer.Typer(no_args_is_help=True, help="Accepted baselines: known findings that may be there until a day.")


def add_to(app: typer.Typer) -> None:
    """Add the group to the gates'."""
    app.add_typer(baselines, name="baseline")


@command(baselines, "accept")
def accept(
    session: Session,
    which: Annotated[str, typer.Argument(metavar="SUBJECT@VERSION", help="Whose findings and vanished tests of now.")],
    until: Annotated[str, typer.Option("--until", help=f"When it ends. {HINT}")],
    reason: Annotated[str, typer.Option("--reason", help="Why they may be there, in a line; every verdict shows it.")],
    gate: Annotated[str, typer.Option("--gate", help="The gate's name.", autocompletion=gates_there)] = "release",
    issue: Annotated[str | None, typer.Option("--issue", help="The issue that ends it for good.")] = None,
    line: Annotated[str | None, typer.Option("--line", help="Its line, where the policy does not tell it.")] = None,
) -> None:
    """Ask that the findings and vanished tests of now are accepted until a day; somebody else approves it."""
    more = {name: value for name, value in (("issue", issue), ("line", line)) if value is not None}
    answer = session.client.call(
        "governance.baseline.request",
        gate=gate,
        **target_fields(which, None, None),
        ends_at=moment(until, datetime.now(UTC)),
        reason=reason,
        **more,
        **session.sited,
    )
    made = read_as(Baseline, answer)
    what = f"{counted(made.finding_count, 'finding')}, {counted(made.vanished_count, 'vanished test')}"
    pairs = [("baseline", made.accepted_id), ("state", made.state), ("holds", what), ("until", made.ends_at)]
    session.emit(answer, facts(pairs), f"Somebody else approves it: headgate baselines approve {made.accepted_id}")
