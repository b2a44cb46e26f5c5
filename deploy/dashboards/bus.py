"""The bus and the database, as the services see them."""

from __future__ import annotations

from deploy.dashboards.pages import LETTERS, STATUS
from deploy.dashboards.parts import COUNT, PER_SECOND, SECONDS, WHOLE, Board, Query, graph
from deploy.dashboards.queries import DEPENDENCIES, OUTBOX_AGE, OUTBOX_DEPTH

REACHED = (
    graph(
        "Servers that the services reach", "1 if the service reaches it; measured by readiness checks.", COUNT,
        DEPENDENCIES, pages=(STATUS,), width=WHOLE,
    ),
)  # fmt: skip
OUT = (
    graph("Waiting in the outboxes", "Messages that are stored and not yet sent.", COUNT, OUTBOX_DEPTH),
    graph(
        "Age of the oldest unsent message", "Above a minute the bus can't be reached, or is full.", SECONDS, OUTBOX_AGE
    ),
)
IN = (
    graph(
        "Messages in one transaction", "On average, 0 while it rests. Many at once: a backlog is worked off.", COUNT,
        Query(
            "sum by (consumer) (rate(headgate_batch_messages_sum[5m])) "
            "/ clamp_min(sum by (consumer) (rate(headgate_batch_messages_count[5m])), 1e-9)",
            "{{consumer}}",
        ),
    ),
    graph(
        "Transactions", "Batches that were committed, a second.", PER_SECOND,
        Query("sum by (consumer) (rate(headgate_batch_messages_count[5m]))", "{{consumer}}"),
    ),
    graph(
        "Events applied", "A second, by service and type.", PER_SECOND,
        Query("sum by (service, type) (rate(headgate_events_handled_total[5m]))", "{{service}} {{type}}"),
    ),
    graph(
        "Questions answered", "A second, by the status of the answer.", PER_SECOND,
        Query("sum by (service, status) (rate(headgate_queries_total[5m]))", "{{service}} {{status}}"),
    ),
    graph(
        "Messages that came again, failed or were buried",
        "A second. Some that come again are normal after a restart; what failed six times is a dead letter.",
        PER_SECOND,
        Query("sum by (consumer) (rate(headgate_redeliveries_total[5m]))", "{{consumer}} again"),
        Query("sum by (consumer) (rate(headgate_duplicates_total[5m]))", "{{consumer}} seen before"),
        Query("sum by (consumer) (rate(headgate_handler_failures_total[5m]))", "{{consumer}} failed"),
        Query("sum by (consumer) (rate(headgate_dead_letters_total[5m]))", "{{consumer}} buried"),
        pages=(LETTERS,), width=WHOLE,
    ),
)  # fmt: skip


def board() -> Board:
    """For a question such as: is it NATS, Postgres, or us?"""
    return Board(
        "bus",
        "headgate-bus",
        "Headgate: bus and database",
        "What travels over NATS into Postgres, as the services see it.",
        (("Reached", REACHED), ("Out", OUT), ("In", IN)),
    )
