"""The Prometheus series of every process. Alerts and dashboards may name only what stands here or in a service."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

HTTP_REQUESTS = Counter("http_requests", "HTTP requests by route template", ["service", "method", "route", "status"])
# Most of them are bounds of the latency samples, too (contracts/gateway/latency.py): thresholds of SLOs can be those.
DURATION_BUCKETS_S = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.3, 0.45, 0.5, 0.6, 0.75, 0.9, 1.5, 2, 2.5, 3, 5, 10, 30,
)  # fmt: skip
HTTP_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from request to answer",
    ["service", "method", "route"],
    buckets=DURATION_BUCKETS_S,
)
PERMISSION_CHECKS = Counter("rbac_permission_checks", "Permission checks at the edge", ["result", "role"])
COMMANDS = Counter("headgate_commands", "Commands by outcome", ["service", "operation", "outcome"])
EVENTS_HANDLED = Counter("headgate_events_handled", "Events applied", ["service", "type"])
QUERIES = Counter("headgate_queries", "Questions answered", ["service", "operation", "status"])
REDELIVERIES = Counter("headgate_redeliveries", "Messages that arrived again", ["service", "consumer"])
DUPLICATES = Counter("headgate_duplicates", "Messages that the inbox had already seen", ["service", "consumer"])
FAILURES = Counter("headgate_handler_failures", "Failed attempts to apply one message", ["service", "consumer"])
DEAD_LETTERS = Counter("headgate_dead_letters", "Messages buried", ["service", "consumer"])
DEAD_LETTERS_HELD = Gauge("headgate_dead_letters_held", "Dead letters that wait for a decision", ["service"])
UNKNOWN = Counter(
    "headgate_unknown_messages", "Messages of a type that this version does not know", ["service", "consumer"]
)
WAITING = Gauge("headgate_messages_waiting", "Messages kept for a newer version that knows them", ["service"])
OUTBOX_DEPTH = Gauge("headgate_outbox_depth", "Messages in the outbox that are not yet sent", ["service"])
OUTBOX_AGE = Gauge("headgate_outbox_oldest_age_seconds", "Age of the oldest message not yet sent", ["service"])
BATCH_SIZE = Histogram(
    "headgate_batch_messages", "Messages applied in one transaction", ["service", "consumer"],
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500),
)  # fmt: skip
LOG_LINES_LOST = Counter("headgate_log_lines_lost", "Lines of the log that the collector did not take", ["service"])
UP = Gauge("headgate_dependency_up", "1 if the service reaches it", ["service", "dependency"])


def begin_consumer(service: str, consumer: str) -> None:
    """Show the counters of a consumer at zero: no rule sees the first event of a series."""
    for counter in (REDELIVERIES, DUPLICATES, FAILURES, DEAD_LETTERS, UNKNOWN):
        counter.labels(service, consumer)
    BATCH_SIZE.labels(service, consumer)


def begin_commands(service: str, operations: Iterable[str]) -> None:
    """Show each command's outcomes at zero, for the same reason."""
    for operation in operations:
        for outcome in ("applied", "refused", "failed"):
            COMMANDS.labels(service, operation, outcome)
