"""``headgate jobs …``: what runs by the clock, what it did, and running it by hand."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.text import Text

from libs.client.errors import UsageProblem
from libs.client.generated.places import places, with_routes
from libs.client.http import read_as
from libs.client.session import Session, command
from libs.client.show import facts, table
from libs.common.contracts import SERVICES
from libs.common.contracts.base import Command
from libs.common.contracts.jobs import JobState
from libs.common.contracts.metrics.job_runs import ListedRun

jobs = typer.Typer(no_args_is_help=True, help="What runs by the clock.")


@command(jobs, "list")
def list_jobs(session: Session) -> None:
    """List the jobs of all services: when they run next, and how they ended last."""
    answers: dict[str, Any] = {name: session.client.call(f"{name}.jobs.list") for name in SERVICES}
    rows = [
        (one.job_name, one.service, _schedule(one), one.next_at, one.last_status, one.last_finished_at)
        for answer in answers.values()
        for one in read_as(list[JobState], answer)
    ]
    columns = ("job", "service", "schedule", "next at", "last status", "last run")
    session.emit(answers, table(columns, sorted(rows, key=lambda row: row[0])))


def _schedule(one: JobState) -> str:
    return f"{one.cron} {one.zone}" if one.cron else "off"


@command(jobs, "runs")
def list_runs(
    session: Session,
    job_name: Annotated[str | None, typer.Argument(metavar="[JOB]", help="Only runs of this job.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at the most.")] = 50,
    offset: Annotated[int, typer.Option(min=0, max=10_000, help="How many of the newest to leave out.")] = 0,
) -> None:
    """List runs in a site, newest first. Runs that had nothing to do are not among them."""
    fields: dict[str, Any] = {"job_name": job_name} if job_name else {}
    answer = session.client.call("metrics.job_runs.list", limit=limit, offset=offset, **session.sited, **fields)
    rows = [
        (one.id, one.job_name, one.trigger, one.actor, one.status, one.finished_at)
        for one in TypeAdapter(list[ListedRun]).validate_python(answer)
    ]
    columns = ("run", "job", "trigger", "actor", "status", "finished at")
    session.emit(answer, table(columns, rows) if rows else Text("No runs."))


@command(jobs, "run")
def run_job(
    session: Session,
    job_name: Annotated[str, typer.Argument(metavar="JOB", help="The job's name.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
) -> None:
    """Run a job by hand, with its usual options; its own command has them all."""
    found = {one.job: one for one in with_routes() if isinstance(one, Command) and one.job}
    if job_name not in found:
        raise UsageProblem(f"No job {job_name!r} runs by hand; these do: {', '.join(sorted(found))}.")
    operation = found[job_name]
    if dry_run and "dry_run" not in operation.body.model_fields:
        raise UsageProblem(f"{job_name} can't be run dry; it has no option for it.")
    fields: dict[str, Any] = {"dry_run": True} if dry_run else {}
    answer = session.client.call(operation.name, **session.sited, **fields)
    pairs = [(name, value) for name, value in answer.items() if not isinstance(value, list | dict)]
    session.emit(answer, facts(pairs), Text(f"All options: headgate {places()[operation.name]} --help"))
