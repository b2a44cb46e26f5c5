"""Sends the latency of requests to the metrics service, ten seconds at a time."""

from __future__ import annotations

import asyncio

from libs.common.bus import NATS_ERRORS
from libs.common.latency import LatencyRecorder
from libs.common.running import Running
from libs.common.telemetry import log

EVERY_S = 10.0
SUBJECT = "gateway.latency.sampled"


async def publish_latency(running: Running, recorder: LatencyRecorder) -> None:
    """Every 10 s until cancelled. What can't be sent is lost: samples are many, and none of them is a promise."""
    while True:
        await asyncio.sleep(EVERY_S)
        payload = recorder.drain(running.clock())
        if not payload:
            continue
        try:
            await running.bus.js.publish(running.bus.topology.telemetry_subject(SUBJECT), payload, timeout=5)
        except NATS_ERRORS as error:
            log.warning("latency samples not sent", error=repr(error))
