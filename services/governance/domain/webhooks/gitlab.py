"""Webhooks of GitLab: pipelines.

Bodies: https://docs.gitlab.com/user/project/integrations/webhook_events/#pipeline-events
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from libs.judge.report_base import JSON, BadReport, Remarks
from libs.judge.states import FAILED, PIPELINES, RUNNING, SUCCEEDED
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

PIPELINE_HOOK = "Pipeline Hook"
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
MAX_JOBS_READ = 5_000
_JOB_TIMES = ("created_at", "started_at", "finished_at")


def read_gitlab(event: str, body: Mapping[str, JSON]) -> Told:
    """The signal of a delivery. Raises `Ignored` for events that aren't judged, BadReport for a body that is broken."""
    if event != PIPELINE_HOOK:
        raise Ignored(f"events {event} are not judged; these are: {PIPELINE_HOOK}")
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
