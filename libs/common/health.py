"""Health, readiness and metrics pages of a service that has no other HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import prometheus_client
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from libs.common import series
from libs.common.bus import NATS_ERRORS
from libs.common.postgres import UNREACHABLE
from libs.common.running import Running

PING = "SELECT 1"
FROZEN = "can't store, a write to its disk failed (is it full?): make space on the disk of NATS, then restart NATS"
UNANSWERED = (
    "does not say that it stores: a cluster may be electing a leader, which takes seconds; if it lasts, its disk may "
    "be full: make space on the disk of NATS, then restart NATS"
)


async def readiness(running: Running) -> tuple[bool, dict[str, Any]]:
    """Whether NATS and Postgres answer within 2 s and NATS can store, and a word on each."""
    service = running.service.name
    checks: dict[str, Any] = {}
    try:
        await asyncio.wait_for(running.pool.fetchval(PING), 2)
        checks["postgres"] = "ok"
    except UNREACHABLE as error:
        checks["postgres"] = f"not reached: {type(error).__name__}"
    try:
        await running.bus.ping(2)
        checks["nats"] = await _storing(running) if running.bus.connected else "not connected"
    except NATS_ERRORS as error:
        checks["nats"] = f"not reached: {type(error).__name__}"
    for name, value in checks.items():
        series.UP.labels(service, name).set(value == "ok")
    return all(value == "ok" for value in checks.values()), checks


async def _storing(running: Running) -> str:
    """``ok``, or why NATS can't store: a server with a full disk still answers, but acknowledges nothing.

    The monitoring page of the server knows at once. Without its address, publishes that timed out tell.
    """
    if url := running.settings.nats_monitor_url:
        try:
            async with httpx2.AsyncClient(timeout=2) as client:
                answer = await client.get(f"{url.rstrip('/')}/healthz")
        except httpx2.HTTPError:
            pass  # of a cluster, perhaps only the server that is monitored is down
        else:
            return FROZEN if "write error" in answer.text else "ok"
    return UNANSWERED if running.bus.stalled else "ok"


async def read_sync(url: str | None) -> str:
    """When NATS writes to its disk: ``always``, an interval, or ``unknown``. ``url`` is its monitoring address."""
    if url is None:
        return "unknown"
    try:
        async with httpx2.AsyncClient(timeout=2) as client:
            jetstream = (await client.get(f"{url.rstrip('/')}/varz")).json()["jetstream"]["config"]
        return "always" if jetstream.get("sync_always") else str(jetstream.get("sync_interval", "unknown"))
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        return "unknown"


def metrics_page(request: Request) -> Response:
    """OpenMetrics, which has exemplars, for whoever accepts it, as Prometheus does; else the Prometheus text format."""
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(prometheus_client.REGISTRY), headers={"Content-Type": kind, "Vary": "Accept"})


def app(running: Running) -> Starlette:
    """/healthz (the process lives), /readyz (it can work), /metrics."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok", "service": running.service.name})

    async def readyz(_: Request) -> Response:
        ready, checks = await readiness(running)
        return JSONResponse({"ready": ready, "checks": checks}, 200 if ready else 503)

    async def metrics(request: Request) -> Response:
        return metrics_page(request)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
