"""Scheduled jobs: schedules lie on the stream SCHEDULES, their ticks bring a service to run what service.py declares.

A tick carries no authority: it names a job, nothing more. Cron ticks that were missed while the server was down are
not made up by NATS, so a service looks at its last run when it starts and runs once if that is too long ago.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime

import asyncpg
import nats.js.errors

from libs.common import outbox
from libs.common.asking import Asker
from libs.common.bus import NATS_ERRORS, Bus
from libs.common.cloudevents import CloudEvent
from libs.common.outbox import Relay
from libs.common.postgres import UNREACHABLE
from libs.common.pull import Delivery, Puller
from libs.common.service import Clock, Job, Service, Tx
from libs.common.telemetry import log, span

CLAIM = """
INSERT INTO job_runs (tick_id, job, status, started_at, finished_at) VALUES ($1, $2, 'success', $3, $3)
ON CONFLICT DO NOTHING RETURNING tick_id
"""
LAST = "SELECT max(finished_at) FROM job_runs WHERE job = $1"
PRUNE = "DELETE FROM job_runs WHERE finished_at < $1"
_TICKS = uuid.UUID("5a4d9c55-8f1e-5a53-a3b6-6865616467a7")
AWAY: tuple[type[BaseException], ...] = (*UNREACHABLE, *NATS_ERRORS)


class Jobs:
    """Puts a service's schedules, and runs its jobs when a tick comes."""

    def __init__(self, pool: asyncpg.Pool, bus: Bus, relay: Relay, service: Service, clock: Clock) -> None:
        self._pool, self._bus, self._relay, self._service, self._clock = pool, bus, relay, service, clock
        self._asker = Asker(service.name, bus)
        self._jobs = {job.name: job for job in service.jobs}
        self._puller = Puller(bus, bus.topology.schedules_stream, f"{service.name}-ticks", batch=20)
        self._stopping = asyncio.Event()

    async def put_schedules(self) -> None:
        """Put each schedule unless the very same one lies there."""
        topology, name = self._bus.topology, self._service.name
        for job in self._service.jobs:
            subject = topology.schedule_subject(name, job.name)
            target = topology.tick_subject(name, job.name)
            wanted = {"Nats-Schedule": job.cron, "Nats-Schedule-Target": target, "Nats-Schedule-Time-Zone": "UTC"}
            if wanted != await self._present(subject):
                await self._bus.js.publish(subject, b"{}", headers=wanted)

    async def _present(self, subject: str) -> dict[str, str] | None:
        try:
            found = await self._bus.js.get_msg(self._bus.topology.schedules_stream, subject=subject, direct=True)
        except nats.js.errors.NotFoundError:
            return None
        return {k: v for k, v in (found.headers or {}).items() if k.startswith("Nats-Schedule")}

    def stop(self) -> None:
        """Finish the job in hand, then end."""
        self._stopping.set()
        self._puller.wake()

    async def run(self) -> None:
        """Until stopped: first what is overdue, then a job for each tick."""
        if not self._jobs:
            return
        await self._puller.start()
        try:
            await self._catch_up()
            while not self._stopping.is_set():
                try:
                    for delivery in await self._puller.next(0.5):
                        await self._tick(delivery)
                except AWAY as error:
                    log.warning("jobs wait", error=repr(error))
                    await asyncio.sleep(0.5)
        finally:
            await self._puller.stop()

    async def _catch_up(self) -> None:
        """Run jobs whose last run is longer ago than their usual distance: their ticks were missed."""
        for job in self._jobs.values():
            try:
                last: datetime | None = await self._pool.fetchval(LAST, job.name)
                now = self._clock()
                if last is None or now - last > job.every:
                    await self.run_job(job, uuid.uuid5(_TICKS, f"{job.name} {last and last.isoformat()}"))
            except AWAY as error:
                log.warning("job not caught up", job=job.name, error=repr(error))

    async def _tick(self, delivery: Delivery) -> None:
        job = self._jobs.get(delivery.subject.rpartition(".")[2])
        if job is not None:
            headers = delivery.headers
            named = (
                f"{headers.get('Nats-Scheduler', delivery.subject)} {headers.get('Nats-Schedule-Next', delivery.key)}"
            )
            await self.run_job(job, uuid.uuid5(_TICKS, named))
        await self._puller.ack(delivery)

    async def run_job(self, job: Job, tick_id: uuid.UUID) -> bool:
        """Run a job once for this tick; returns whether it ran (another replica may have been first).

        A job that fails is logged and waits for its next tick; its transaction leaves nothing behind.
        """
        now = self._clock()
        message = CloudEvent(
            id=str(tick_id),
            source=f"/headgate/{self._service.name}",
            type=f"headgate.{self._service.name}.job.{job.name}",
            actor=f"service:{self._service.name}",
            time=now,
        )
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                if await connection.fetchval(CLAIM, tick_id, job.name, now) is None:
                    return False
                with span(self._service.name, f"job {job.name}") as message.traceparent:
                    tx = Tx(self._service.name, connection, message, now, self._asker)
                    await job.handler(tx)
                    await tx.close()
                await outbox.stage(connection, tx.staged)
        except AWAY:
            raise
        except Exception:
            log.exception("job failed", job=job.name)
            return False
        self._relay.nudge()
        return True
