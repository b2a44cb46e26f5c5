"""How a run, a deployment or an artifact stands: one word for each, whatever the system calls it.

Only ``succeeded`` is success. A word that nobody knows is ``unknown``, which passes nothing.
"""

PIPELINES, DEPLOYMENTS, ARTIFACTS = "ci.pipeline", "deploy.status", "artifact.step"
SAMPLES = "metric.sample"
SUCCEEDED, RUNNING, FAILED = "succeeded", "running", "failed"
UNFINISHED = ("waiting", RUNNING)
STATUSES = (*UNFINISHED, SUCCEEDED, FAILED, "cancelled", "skipped", "rolled_back", "removed", "unknown")
DELETED = "deleted"
STEPS = ("packaged", "signed", "published", DELETED)
