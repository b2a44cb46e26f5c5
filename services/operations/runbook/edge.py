"""Checks of what callers meet: how fast the API answers, and whether their tokens live on."""

from __future__ import annotations

from libs.common.contracts.preflight import Overall, PreflightCheck
from libs.common.edge_checks import RATE_LIMIT_COUNTERS, RATE_LIMIT_STORE, TLS_CERTIFICATE
from libs.slo.model import WATCHING
from services.operations.runbook.found import Check, Found, some
from services.operations.runbook.readings import Readings


def api_latency_p95(at: Readings) -> Found:
    """The worst watched route of the last hour."""
    watched = [one for one in at.of("latency").endpoints if one.watched and one.route not in WATCHING]
    bad = [one for one in watched if one.status in ("warning", "critical")]
    word: Overall = "critical" if any(one.status == "critical" for one in bad) else "warning" if bad else "ok"
    slowest = max((one.p95_ms for one in watched if one.p95_ms is not None), default=None)
    figures = {"slowest_p95_ms": slowest}
    text = some([f"{one.endpoint_key} p95 {one.p95_ms:.0f} ms" for one in bad if one.p95_ms is not None])
    judged = sum(one.status != "no_data" for one in watched)
    if not judged:
        return "warning", f"none of {len(watched)} routes had 8 requests in the last hour, so nothing is known", figures
    return word, text or f"{judged} routes are quick enough", figures


def api_burn_rate(at: Readings) -> Found:
    """The SLOs: what pages is critical; what wants a ticket, or has no budget left, is not."""
    found = at.of("slos")
    bad = [one for one in found.items if one.status in ("page", "spent", "ticket")]
    unknown = [one.name for one in found.items if one.status == "no_data"]
    lefts = [one.budget_left_percent for one in found.items if one.budget_left_percent is not None]
    figures = {
        "status": found.status,
        "slos": {one.name: one.status for one in found.items},
        "lowest_budget_left_percent": min(lefts, default=None),
    }
    if bad:
        word: Overall = "critical" if any(one.status == "page" for one in bad) else "warning"
        return word, some([f"{one.name}: {one.message}" for one in bad]), figures
    if len(unknown) == len(found.items):
        return "warning", "no SLO had 8 requests in the last hour, so nothing is known", figures
    said = f"; nothing is known of {some(unknown)}" if unknown else ""
    return "ok", f"{len(found.items) - len(unknown)} SLOs are met{said}", figures


def token_expiry_pressure(at: Readings) -> Found:
    """Tokens that stop working soon."""
    found = at.of("tokens")
    figures = {"expiring_count": found.expiring_count, "live_count": found.live_count, "token_ids": found.token_ids}
    if not found.expiring_count:
        return "ok", f"none of {found.live_count} live tokens stops working within 3 days", figures
    numbers = some([str(number) for number in found.token_ids])
    return "warning", f"{found.expiring_count} of {found.live_count} stop working within 3 days: {numbers}", figures


def _said_by_the_gateway(at: Readings, check: str) -> PreflightCheck | None:
    """What its own preflight says of one thing; None: the settings name no such thing. Raises `LookupError`."""
    report = at.of("preflight")
    mine = [one for one in report.services if one.service == "gateway"]
    if not mine or not any(one.service == "gateway" and one.id == "schema" for one in report.checks):
        raise LookupError("the gateway does not say")
    return next((one for one in report.checks if one.service == "gateway" and one.id == check), None)


def rate_limit_backend(at: Readings) -> Found:
    """What the gateway says of where requests are counted; without a word each gateway counts by itself."""
    if (found := _said_by_the_gateway(at, RATE_LIMIT_STORE)) is not None:
        word: Overall = "ok" if found.status == "ok" else "critical" if found.status == "error" else "warning"
        return word, found.message, {"backend": "redis" if word == "ok" else "memory"}
    if (found := _said_by_the_gateway(at, RATE_LIMIT_COUNTERS)) is not None:
        return "ok", found.message, {"backend": "nats"}
    return "ok", "each gateway counts by itself, as the settings say", {"backend": "memory"}


def tls_certificate(at: Readings) -> Found:
    """How long the certificate lasts with which the gateway itself speaks TLS; also if it is another one by now."""
    found = _said_by_the_gateway(at, TLS_CERTIFICATE)
    if found is None:
        return "ok", "the gateway speaks no TLS by itself", {}
    word: Overall = "critical" if found.status == "error" else "warning" if found.status == "warning" else "ok"
    return word, found.message, {}


CHECKS: tuple[Check, ...] = (
    rate_limit_backend,
    tls_certificate,
    api_latency_p95,
    api_burn_rate,
    token_expiry_pressure,
)
