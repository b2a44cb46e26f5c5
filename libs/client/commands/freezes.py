"""``headgate freezes import FILE.ics``: a calendar program's file as a freeze calendar."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from libs.client.errors import UsageProblem
from libs.client.files import read_input
from libs.client.http import read_as
from libs.client.session import Session, command
from libs.client.show import clean, counted, facts, table
from libs.common.contracts.governance.freezes import FreezesImported

freezes = typer.Typer(no_args_is_help=True, help="Freeze calendars: when no gate says GO.")


@command(freezes, "import")
def import_file(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The iCalendar file (.ics); - is standard input.")],
    name: Annotated[str, typer.Option("--name", help="The freeze calendar's name, such as year-end.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, in a line; it stays in the history.")],
    gates: Annotated[list[str] | None, typer.Option("--gates", help="Gates that it freezes (* for all).")] = None,
    subjects: Annotated[list[str] | None, typer.Option("--subjects", help="Which subjects (else: all).")] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="Where days and times without a zone are.")] = None,
    skip_refused: Annotated[bool, typer.Option("--skip-refused", help="Publish the rest where some can't.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be published.")] = False,
) -> None:
    """Make a freeze calendar of a site (else: global) of an iCalendar file, and publish it."""
    try:
        content = read_input(file).decode()
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{file} is not UTF-8; export it anew.") from error
    given: dict[str, Any] = {"gates": gates, "subjects": subjects, "zone": zone}
    answer = session.client.call(
        "governance.freezes.import",
        name=name,
        content=content,
        reason=reason,
        skip_refused=skip_refused,
        dry_run=dry_run,
        **{key: value for key, value in given.items() if value},
        **session.sited,
    )
    done = read_as(FreezesImported, answer)
    pairs: list[tuple[str, Any]] = [
        ("calendar", done.calendar.name),
        ("version", "none, as this is a dry run" if done.version is None else done.version),
        ("windows", len(done.calendar.windows)),
        ("freezes", ", ".join(done.calendar.gates) or "the gates whose policy names it"),
        ("left out", f"{done.past_count} over, {done.cancelled_count} called off, {len(done.refused)} refused"),
    ]
    rows = [(one.uid, one.summary, one.why) for one in done.refused]
    refused = [clean(f"{counted(len(rows), 'event')} can't be kept:"), table(("UID", "event", "why"), rows)]
    session.emit(answer, facts(pairs), *(refused if rows else ()))
