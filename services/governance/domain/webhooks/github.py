"""Webhooks of GitHub: ``workflow_run``, ``check_suite`` and ``deployment_status``.

Bodies: https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from libs.judge.report_base import JSON, BadReport, Remarks
from libs.judge.states import DEPLOYMENTS, FAILED, PIPELINES, RUNNING, SUCCEEDED
from services.governance.domain.webhooks.delivery import (
    Ignored,
    Told,
    number_in,
    object_in,
    ordered,
    part_of,
    shown_time,
    text_in,
    time_of,
)

WAITING_WORDS = frozenset({"requested", "queued", "waiting", "pending"})
# A conclusion that stands here for none of these is `unknown`: a new word of GitHub's passes nothing.
CONCLUSIONS = {
    "success": SUCCEEDED,
    **dict.fromkeys(("failure", "timed_out", "startup_failure", "action_required"), FAILED),
    "cancelled": "cancelled",
    **dict.fromkeys(("skipped", "neutral", "stale"), "skipped"),
}
DEPLOYMENT_STATES = {
    "success": SUCCEEDED,
    **dict.fromkeys(("failure", "error"), FAILED),
    **dict.fromkeys(("pending", "queued", "waiting"), "waiting"),
    "in_progress": RUNNING,
    "inactive": "removed",
}
ACTIONS_APP = "github-actions"


def read_github(event: str, body: Mapping[str, JSON]) -> Told:
    """The signal of a delivery. Raises `Ignored` for events that aren't judged, BadReport for a body that is broken."""
    if event == "ping":
        raise Ignored("a ping; the webhook works")
    reader = _READERS.get(event)
    if reader is None:
        raise Ignored(f"events {event} are not judged; these are: {', '.join(_READERS)}")
    repository = text_in(object_in(body, "repository"), "full_name")
    if not repository:
        raise BadReport("repository has no full_name.")
    return reader(body, repository)


def _workflow_run(body: Mapping[str, JSON], repository: str) -> Told:
    run = object_in(body, "workflow_run")
    whose = text_in(run, "head_repository", "full_name")
    if whose.casefold() != repository.casefold():
        # Its code and its workflow are somebody else's.
        raise Ignored(f"a run for {whose or 'a repository that is gone'}; only runs of {repository} itself count")
    path = text_in(run, "path") or text_in(body, "workflow", "path")
    # Two workflows may have one name, but not one file.
    name = path.partition("@")[0].removeprefix(".github/workflows/") or text_in(run, "name")
    if not name:
        raise BadReport("workflow_run has neither a path nor a name.")
    status, said = _standing(body, run)
    attempt = number_in(run, "run_attempt") or 1
    data = _run_data("github", name, status, said, run) | {
        "event": text_in(run, "event"),
        "run_id": str(number_in(run, "id") or ""),
        "attempt": attempt,
        "started_at": shown_time(run.get("run_started_at")),
        "ended_at": shown_time(run.get("updated_at")) if text_in(body, "action") == "completed" else None,
        **Remarks().data(f"{name}, attempt {attempt}: {said}"),
    }
    # One commit may be run for several events and branches, with other jobs each time: none speaks for another.
    part = part_of(name, text_in(run, "event"), text_in(run, "head_branch"))
    time = ordered(time_of(run.get("updated_at")), status, attempt)
    return Told(PIPELINES, part, repository, _sha(run), text_in(run, "head_branch"), time, data)


def _check_suite(body: Mapping[str, JSON], repository: str) -> Told:
    suite = object_in(body, "check_suite")
    app = text_in(suite, "app", "slug") or text_in(suite, "app", "name")
    if app == ACTIONS_APP:
        # There is one for each run of a workflow, and nothing in it says of which.
        raise Ignored("check suites of GitHub Actions don't say of which workflow; let the webhook send workflow_run")
    if not app:
        raise BadReport("check_suite has no app.")
    status, said = _standing(body, suite)
    data = _run_data("github", app, status, said, suite) | {
        "event": "check_suite",
        "run_id": str(number_in(suite, "id") or ""),
        "url": "",
        "started_at": shown_time(suite.get("created_at")),
        "ended_at": shown_time(suite.get("updated_at")) if text_in(body, "action") == "completed" else None,
        **Remarks().data(f"{app}: {said}"),
    }
    # One that is requested again still has the time and the end of the run before: it counts from its receipt.
    again = text_in(body, "action") == "rerequested"
    time = None if again else ordered(time_of(suite.get("updated_at")), status)
    part = part_of(app, "check_suite", text_in(suite, "head_branch"))
    return Told(PIPELINES, part, repository, _sha(suite), text_in(suite, "head_branch"), time, data)


def _standing(body: Mapping[str, JSON], run: Mapping[str, Any]) -> tuple[str, str]:
    """How a run stands, and GitHub's own word. It has ended only if event and run both say so."""
    action, status, conclusion = text_in(body, "action"), text_in(run, "status"), text_in(run, "conclusion")
    if action == "completed" and status == "completed":
        return CONCLUSIONS.get(conclusion, "unknown"), conclusion or "no conclusion"
    word = action if status == "completed" else status or action
    return "waiting" if word in WAITING_WORDS or action == "rerequested" else RUNNING, word or "no status"


def _run_data(system: str, name: str, status: str, said: str, run: Mapping[str, Any]) -> dict[str, JSON]:
    return {
        "system": system,
        "name": name,
        "status": status,
        "said": said,
        "ref": text_in(run, "head_branch"),
        "sha": _sha(run),
        "url": text_in(run, "html_url", max_chars=500),
    }


def _sha(run: Mapping[str, Any]) -> str:
    return text_in(run, "head_sha")


def _deployment_status(body: Mapping[str, JSON], repository: str) -> Told:
    status, deployment = object_in(body, "deployment_status"), object_in(body, "deployment")
    environment = text_in(status, "environment") or text_in(deployment, "environment")
    deployment_id = number_in(deployment, "id")
    if not environment or deployment_id is None:
        raise BadReport("The deployment has no environment, or no id.")
    said = text_in(status, "state")
    word = DEPLOYMENT_STATES.get(said, "unknown")
    task = text_in(deployment, "task")
    sha, ref = text_in(deployment, "sha"), text_in(deployment, "ref")
    at = status.get("created_at") or status.get("updated_at")
    data: dict[str, JSON] = {
        "system": "github",
        "environment": environment,
        "status": word,
        "said": said or "no state",
        "sha": sha,
        "ref": ref,
        "run_id": str(deployment_id),
        "url": text_in(status, "log_url", max_chars=500) or text_in(status, "target_url", max_chars=500),
        "started_at": shown_time(deployment.get("created_at")),
        "ended_at": None if word in ("waiting", RUNNING) else shown_time(at),
        **Remarks().data(f"{environment}, deployment {deployment_id}: {said or 'no state'}"),
    }
    return Told(
        DEPLOYMENTS,
        part_of(environment, "" if task in ("", "deploy") else task),
        repository,
        sha,
        ref,
        ordered(time_of(at), word, failed_last=True),
        data,
        deployment_id,
        replaced=word == "removed",
    )


_READERS: dict[str, Callable[[Mapping[str, JSON], str], Told]] = {
    "workflow_run": _workflow_run,
    "check_suite": _check_suite,
    "deployment_status": _deployment_status,
}
