"""Expressions that several boards ask for."""

from __future__ import annotations

from deploy.dashboards.parts import Query
from libs.slo.model import NEVER_COUNTED, WATCHING

# A live stream lasts as long as its reader likes: that is no time to an answer. Nor is what a scraper waits for.
TIMED = f'http_request_duration_seconds_bucket{{route!~"{"|".join(NEVER_COUNTED)}"}}'
ASKED = f'http_requests_total{{route!~"{"|".join(WATCHING)}"}}'
PERCENTILES = tuple(
    Query(f"histogram_quantile({share}, sum by (le) (rate({TIMED}[5m])))", legend, exemplars=share == 0.99)
    for share, legend in ((0.5, "half"), (0.95, "19 of 20"), (0.99, "99 of 100"))
)
BY_STATUS = Query(f"sum by (status) (rate({ASKED}[5m]))", "{{status}}")
# What a process reads from the database of all is the same in each replica of a service: `max` first, then sums.
DEAD_LETTERS = Query("sum(max by (service) (headgate_dead_letters_held))", "held")
OUTBOX_DEPTH = Query("max by (service) (headgate_outbox_depth)", "{{service}}")
OUTBOX_AGE = Query("max by (service) (headgate_outbox_oldest_age_seconds)", "{{service}}")
DEPENDENCIES = Query("min by (service, dependency) (headgate_dependency_up)", "{{service}} {{dependency}}")
ASKED_NOTE = "HTTP requests a second by the status of the answer, without those who look whether all is well."
TIMED_NOTE = "Without live event streams and health checks. A point is a single request, which leads to its trace."
