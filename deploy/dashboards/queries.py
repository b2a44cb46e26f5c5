"""Expressions that several boards ask for."""

from __future__ import annotations

from deploy.dashboards.parts import Page, Query

# A live stream lasts as long as its reader likes: that is no time to an answer.
TIMED = 'http_request_duration_seconds_bucket{route!="/api/events"}'
PERCENTILES = tuple(
    Query(f"histogram_quantile({share}, sum by (le) (rate({TIMED}[5m])))", legend, exemplars=share == 0.99)
    for share, legend in ((0.5, "half"), (0.95, "19 of 20"), (0.99, "99 of 100"))
)
BY_STATUS = Query("sum by (status) (rate(http_requests_total[5m]))", "{{status}}")
# What a process reads from the database of all is the same in each replica of a service: `max` first, then sums.
DEAD_LETTERS = Query("sum(max by (service) (headgate_dead_letters_held))", "held")
OUTBOX_DEPTH = Query("max by (service) (headgate_outbox_depth)", "{{service}}")
OUTBOX_AGE = Query("max by (service) (headgate_outbox_oldest_age_seconds)", "{{service}}")
DEPENDENCIES = Query("min by (service, dependency) (headgate_dependency_up)", "{{service}} {{dependency}}")
TIMED_NOTE = "Without live event streams. A point is a single request, which leads to its trace."
STATUS = Page("Which service is down", "/api/status")
LATENCY = Page("Time to answer by route", "/api/ops/performance/api-latency")
SLOS = Page("SLOs by Headgate's own samples", "/api/ops/slo")
JOBS = Page("Runs of jobs", "/api/ops/job-runs")


def dead_letters_of(service: str) -> Page:
    """The page with a service's dead letters."""
    return Page(f"Dead letters of {service}", f"/api/dead-letters/{service}")
