"""Webhooks of GitLab: pipelines and deployments.

Bodies: https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
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

STATES = {
    "success": SUCCEEDED,
    "failed": FAILED,
    **dict.fromkeys(("canceled", "cancelled"), "cancelled"),
    "skipped": "skipped",
    **dict.fromkeys(("running", "canceling"), RUNNING),
    **dict.fromkeys(
        ("created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "manual", "scheduled"),
        "waiting",
    ),
}
_COMMIT = re.compile(r".*/commit/[0-9a-f]{40,64}")
MAX_JOBS_READ = 5_000
_JOB_TIMES = ("created_at", "started_at", "finished_at")


def read_gitlab(event: str, body: Mapping[str, JSON]) -> Told:
    """The signal of a delivery. Raises `Ignored` for events that aren't judged, BadReport for a body that is broken."""
    reader = _READERS.get(event)
    if reader is None:
        raise Ignored(f"events {event} are not judged; these are: {', '.join(_READERS)}")
    return reader(body)


def _pipeline(body: Mapping[str, JSON]) -> Told:
    pipeline = object_in(body, "object_attributes")
    repository = text_in(body, "project", "path_with_namespace")
    if text_in(body, "object_kind") != "pipeline" or not repository:
        raise BadReport("The body is no pipeline event of a project.")
    source = text_in(pipeline, "source") or "push"  # GitLab before 10.8 does not say
    if source == "parent_pipeline":
        raise Ignored("a child pipeline; the one that started it counts (let it wait: `strategy: depend`)")
    merge = body.get("merge_request")
    if isinstance(merge, Mapping) and merge.get("source_project_id") != merge.get("target_project_id"):
        raise Ignored(f"a pipeline for a fork; only those of {repository} itself count")
    said = text_in(pipeline, "status")
    status = STATES.get(said, "unknown")
    name = text_in(pipeline, "name") or "pipeline"
    ref, tag = text_in(pipeline, "ref"), pipeline.get("tag") is True
    data: dict[str, JSON] = {
        "system": "gitlab",
        "name": name,
        "status": status,
        "said": said or "no status",
        "event": f"{source} of a tag" if tag else source,
        "ref": ref,
        "sha": text_in(pipeline, "sha"),
        "run_id": str(number_in(pipeline, "id") or ""),
        "url": text_in(pipeline, "url", max_chars=500),
        "started_at": shown_time(pipeline.get("created_at")),
        "ended_at": None if status in ("waiting", RUNNING) else shown_time(pipeline.get("finished_at")),
        **Remarks().data(f"{name} of {ref}: {said or 'no status'}"),
    }
    # One commit may have a pipeline for its branch, its tag and by the clock, with other jobs each time.
    part = part_of(name, str(data["event"]), ref)
    time = ordered(max(_times(body, pipeline), default=None), status)
    return Told(PIPELINES, part, repository, text_in(pipeline, "sha"), ref, time, data)


def _deployment(body: Mapping[str, JSON]) -> Told:
    repository, environment = text_in(body, "project", "path_with_namespace"), text_in(body, "environment")
    if text_in(body, "object_kind") != "deployment" or not repository or not environment:
        raise BadReport("The body is no deployment of a project to an environment.")
    said = text_in(body, "status")
    status = STATES.get(said, "unknown")
    # Only the address of the commit has the whole of its name.
    address = text_in(body, "commit_url", max_chars=1_000)
    sha = address.rpartition("/")[2] if _COMMIT.fullmatch(address) else ""
    deployment_id, ref = str(number_in(body, "deployment_id") or ""), text_in(body, "ref")
    at = body.get("status_changed_at")
    data: dict[str, JSON] = {
        "system": "gitlab",
        "environment": environment,
        "status": status,
        "said": said or "no status",
        "sha": sha,
        "ref": ref,
        "run_id": deployment_id,
        "url": text_in(body, "deployable_url", max_chars=500),
        "ended_at": None if status in ("waiting", RUNNING) else shown_time(at),
        **Remarks().data(f"{environment}, deployment {deployment_id}: {said or 'no status'}"),
    }
    time = ordered(time_of(at), status, failed_last=True)
    return Told(DEPLOYMENTS, part_of(environment), repository, sha, ref, time, data)


def _times(body: Mapping[str, JSON], pipeline: Mapping[str, Any]) -> Iterator[datetime]:
    """All times in the body. A pipeline says only when it was made and when it last ended: what a job that runs again
    has to tell is later, and only the jobs show it.
    """
    jobs = body.get("builds")
    listed = jobs[:MAX_JOBS_READ] if isinstance(jobs, list) else []
    for one in (pipeline, *(job for job in listed if isinstance(job, Mapping))):
        for key in _JOB_TIMES:
            if (found := time_of(one.get(key))) is not None:
                yield found


_READERS: dict[str, Callable[[Mapping[str, JSON]], Told]] = {
    "Pipeline Hook": _pipeline,
    "Deployment Hook": _deployment,
}
