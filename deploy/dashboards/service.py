"""One service: what it answers, applies and sends, and what its process takes."""

from __future__ import annotations

from deploy.dashboards.pages import SLOS, STATUS, dead_letters_of
from deploy.dashboards.parts import (
    BYTES,
    COUNT,
    PER_SECOND,
    REQUESTS,
    SECONDS,
    SHARE,
    THIRD,
    Board,
    Query,
    Shown,
    counted,
    graph,
    lines,
)
from deploy.dashboards.queries import (
    ASKED,
    ASKED_NOTE,
    BY_STATUS,
    PERCENTILES,
    TIMED_NOTE,
)
from libs.common.contracts import CONTRACTS

# What only the edge has.
EDGE = (
    graph("Requests by status", ASKED_NOTE, REQUESTS, BY_STATUS),
    graph("Time to answer", TIMED_NOTE, SECONDS, *PERCENTILES, pages=(SLOS,)),
    graph(
        "Requests by route", "The ten most used, a second.", REQUESTS,
        Query(f"topk(10, sum by (method, route) (rate({ASKED}[5m])))", "{{method}} {{route}}"),
    ),
    graph(
        "Permission checks", "A second, by role and result. Many denials of one role: a client is set up wrongly.",
        PER_SECOND, Query("sum by (result, role) (rate(rbac_permission_checks_total[5m]))", "{{role}} {{result}}"),
    ),
)  # fmt: skip


def _work(service: str) -> tuple[Shown, ...]:
    here = f'{{service="{service}"}}'
    return (
        graph(
            "Commands by outcome", "A second. Failed ones are ours, refused ones the caller's.", PER_SECOND,
            Query(
                f"sum by (operation, outcome) (rate(headgate_commands_total{here}[5m])) > 0",
                "{{operation}} {{outcome}}",
            ),
        ),
        graph(
            "Questions answered", "A second, by status.", PER_SECOND,
            Query(f"sum by (operation, status) (rate(headgate_queries_total{here}[5m]))", "{{operation}} {{status}}"),
        ),
        *(_heard(here) if _hears(service) else ()),
        graph(
            "Messages in one transaction", "On average, 0 while it rests. Many: a backlog is worked off.", COUNT,
            Query(
                f"sum by (consumer) (rate(headgate_batch_messages_sum{here}[5m])) "
                f"/ clamp_min(sum by (consumer) (rate(headgate_batch_messages_count{here}[5m])), 1e-9)",
                "{{consumer}}",
            ),
        ),
    )  # fmt: skip


def _hears(service: str) -> bool:
    contract = CONTRACTS.get(service)
    return contract is None or bool(contract.hears)


def _heard(here: str) -> tuple[Shown, ...]:
    return (
        graph(
            "Events applied", "A second, by type.", PER_SECOND,
            Query(f"sum by (type) (rate(headgate_events_handled_total{here}[5m]))", "{{type}}"),
        ),
    )  # fmt: skip


def _trouble(service: str) -> tuple[Shown, ...]:
    here = f'{{service="{service}"}}'
    return (
        graph(
            "Messages that came again, failed or were buried", "A second, by consumer.", PER_SECOND,
            Query(f"sum by (consumer) (rate(headgate_redeliveries_total{here}[5m]))", "{{consumer}} again"),
            Query(f"sum by (consumer) (rate(headgate_duplicates_total{here}[5m]))", "{{consumer}} seen before"),
            Query(f"sum by (consumer) (rate(headgate_handler_failures_total{here}[5m]))", "{{consumer}} failed"),
            Query(f"sum by (consumer) (rate(headgate_dead_letters_total{here}[5m]))", "{{consumer}} buried"),
            Query(f"sum by (consumer) (rate(headgate_unknown_messages_total{here}[5m]))", "{{consumer}} not known"),
        ),
        graph(
            "Dead letters and outbox", "What waits for a decision or a newer version, and what is not yet sent.", COUNT,
            Query(f"max(headgate_dead_letters_held{here})", "dead letters"),
            Query(f"max(headgate_messages_waiting{here})", "for a newer version"),
            Query(f"max(headgate_outbox_depth{here})", "outbox"), pages=(dead_letters_of(service),),
        ),
        graph(
            "Age of the oldest unsent message", "Above a minute the bus can't be reached, or is full.", SECONDS,
            Query(f"max(headgate_outbox_oldest_age_seconds{here})", "oldest"),
        ),
        graph(
            "Servers that it reaches", "1 if it does; measured by readiness checks.", COUNT,
            Query(f"min by (dependency) (headgate_dependency_up{here})", "{{dependency}}"), pages=(STATUS,),
        ),
        graph(
            "Lines of the log that got lost", "A second, on the way to the collector. Standard output has them.",
            PER_SECOND, Query(f"sum(rate(headgate_log_lines_lost_total{here}[5m]))", "lost"),
        ),
    )  # fmt: skip


def _log(service: str) -> tuple[Shown, ...]:
    here = f'{{service_name="headgate-{service}"}}'
    bad = f'{here} | severity_text=~"warning|error|critical"'
    return (
        counted(
            "Lines of the log by level", "In five minutes.",
            Query(f"sum by (severity_text) (count_over_time({here}[5m]))", "{{severity_text}}"),
        ),
        counted(
            "What it warns of most", "The ten sentences that came most often in five minutes.",
            Query(
                f'topk(10, sum by (event) (count_over_time({bad} | json event="event"[5m])))',
                "{{event}}",
            ),
        ),
        lines("Warnings and errors", "A line leads to the spans of its trace.", bad),
    )  # fmt: skip


def _process(service: str) -> tuple[Shown, ...]:
    here = f'{{job="headgate", service="{service}"}}'
    return (
        graph(
            "Memory", "Resident memory of each process.", BYTES,
            Query(f"process_resident_memory_bytes{here}", "{{instance}}"), width=THIRD,
        ),
        graph(
            "Processor", "1 is a whole core.", COUNT,
            Query(f"rate(process_cpu_seconds_total{here}[5m])", "{{instance}}"), width=THIRD,
        ),
        graph(
            "Open files", "Of those that the process may open.", SHARE,
            Query(f"process_open_fds{here} / process_max_fds{here}", "{{instance}}"), width=THIRD,
        ),
    )  # fmt: skip


def board(service: str) -> Board:
    """The board of one service of the roster."""
    rows = [("Work", _work(service)), ("Trouble", _trouble(service)), ("Log", _log(service))]
    rows.append(("Process", _process(service)))
    if service == "gateway":
        rows.insert(0, ("HTTP", EDGE))
    return Board(
        f"service-{service}",
        f"headgate-service-{service}",
        f"Headgate: {service}",
        f"What {service} answers, applies and sends, and what its process takes.",
        tuple(rows),
    )
