"""A line of the log for each HTTP request: its route, never its path, and nothing that was typed."""

from __future__ import annotations

from libs.common.telemetry import log
from services.gateway.context import Context
from services.gateway.refusals import STRANGER

EVENT = "request"
NOBODY = "anonymous"
# Probes ask every few seconds; a line says something only when they are told no.
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


def log_request(context: Context, method: str, path: str, status: int, took_ms: float) -> None:
    """Write the line; ``took_ms`` is the time until the answer's last byte was handed on.

    A 5xx is a warning, all else is information. Whoever was not recognised is anonymous: their address is in the audit
    log's counts of refusals, which not everybody may read.
    """
    if path in PROBES and status < 400:
        return
    write = log.warning if status >= 500 else log.info
    write(
        EVENT,
        method=method,
        route=context.route,
        status=status,
        ms=round(took_ms, 1),
        actor=NOBODY if context.who.startswith(STRANGER) else context.who,
        site=context.site,
        trace_id=context.trace_id,
        request_id=context.request_id,
    )
