"""The first look: does it run, may we release, is anything stuck."""

from __future__ import annotations

from deploy.dashboards.pages import ENTRIES, FAILED, GATE, LATE, LETTERS, NEWEST, SLOS, STATUS, TRACE
from deploy.dashboards.parts import (
    COUNT,
    PER_SECOND,
    REQUESTS,
    SECONDS,
    WHOLE,
    Board,
    Query,
    Typed,
    counted,
    graph,
    lines,
    number,
)
from deploy.dashboards.queries import (
    ASKED_NOTE,
    BY_STATUS,
    DEAD_LETTERS,
    DEPENDENCIES,
    OUTBOX_AGE,
    PERCENTILES,
    TIMED,
    TIMED_NOTE,
)

NOW = (
    number(
        "Services up", "1 if Prometheus reaches the service, 0 if not.", COUNT,
        Query('up{job="headgate"}', "{{service}}"), pages=(STATUS,), bad_below=1,
    ),
    number(
        "Dead letters held", "Messages that could not be applied in six attempts and wait for a decision.", COUNT,
        DEAD_LETTERS, pages=(LETTERS,), bad_from=1,
    ),
    number(
        "Overdue items", "Active remediation items past their due time, over all sites.", COUNT,
        Query("sum(max by (gate) (headgate_overdue_items)) or vector(0)", "overdue"), pages=(LATE,),
        bad_from=1,
    ),
    number(
        "Audit entries", "Entries in the audit log.", COUNT, Query("max(headgate_audit_head_seq)", "entries"),
        pages=(ENTRIES,),
    ),
)  # fmt: skip

WORK = (
    graph(
        "Gate decisions in the last hour", "Verdicts that were stored, by gate. One that was rolled back counts twice.",
        COUNT, Query("sum by (gate, decision) (increase(headgate_gate_decisions_total[1h]))", "{{gate}} {{decision}}"),
        pages=(NEWEST,), leads=(GATE,),
    ),
    graph(
        "Commands by outcome", "Changes that people and programs asked for, a second.", PER_SECOND,
        Query("sum by (service, outcome) (rate(headgate_commands_total[5m]))", "{{service}} {{outcome}}"),
        pages=(FAILED,),
    ),
    graph("Requests by status", ASKED_NOTE, REQUESTS, BY_STATUS),
    graph(
        "Time to answer", TIMED_NOTE, SECONDS, *PERCENTILES, pages=(SLOS,),
    ),
    graph(
        "Slowest routes", "19 of 20 requests are faster.", SECONDS,
        Query(
            f"topk(5, histogram_quantile(0.95, sum by (le, method, route) (rate({TIMED}[5m]))))", "{{method}} {{route}}"
        ),
        pages=(SLOS,),
    ),
    graph(
        "Events applied", "What services heard and applied, a second.", PER_SECOND,
        Query("sum by (service) (rate(headgate_events_handled_total[5m]))", "{{service}}"),
    ),
)  # fmt: skip

STUCK = (
    graph(
        "Age of the oldest unsent message", "Above a minute the bus can't be reached, or is full.", SECONDS, OUTBOX_AGE
    ),
    graph(
        "Servers that the services reach", "1 if the service reaches it; measured by readiness checks.", COUNT,
        DEPENDENCIES, pages=(STATUS,),
    ),
)  # fmt: skip


ALL = '{service_name=~"headgate-.+"}'
LOGGED = (
    counted(
        "Errors by service", "Lines of level error in five minutes: something is lost, or stands still.",
        Query(
            f'sum by (service_name) (count_over_time({ALL} | severity_text=~"error|critical"[5m]))',
            "{{service_name}}",
        ),
        width=WHOLE,
    ),
    lines(
        "Lines of a trace", "What all services said of the trace whose id stands above; of none, while that is empty.",
        f'{ALL} | trace_id="$trace"', pages=(TRACE,),
    ),
)  # fmt: skip


def board() -> Board:
    """Grafana's home."""
    return Board(
        "overview",
        "headgate",
        "Headgate",
        "Does it run, may we release, is anything stuck.",
        (("Now", NOW), ("Work", WORK), ("What is stuck", STUCK), ("Log", LOGGED)),
        typed=(Typed("trace", "Trace", "32 hex digits, as in the answer's traceparent or a problem document"),),
    )
