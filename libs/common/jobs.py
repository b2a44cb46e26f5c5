"""Scheduled jobs: each instant of a schedule is served once, whoever wakes for it.

Schedules lie on the stream SCHEDULES and their ticks wake every replica; each also looks by itself every half minute,
since NATS does not make up for ticks that it missed. Neither carries any authority, nor says what is due: that follows
from the schedule and the clock. Whoever inserts the row of (job, site, instant) runs the job, in that transaction.

- A crash before COMMIT: the row is gone with what the job did; the next look does both again.
- Several instants were missed: those of the last minute are made up one by one, of older ones only the newest.
- A clock is set back: the instants that come again have their rows already. Jobs that only look (`Job.looks`) run in
  them again, since what they look for does not wait an hour.
- A job fails: its run says so, and its own schedule tries again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import nats.js.errors
import stamina

from libs.common import outbox
from libs.common.asking import Asker
from libs.common.bus import NATS_ERRORS, Bus
from libs.common.cloudevents import CloudEvent
from libs.common.contracts.base import Nothing, Query
from libs.common.contracts.jobs import JobState, jobs_query
from libs.common.job_runs import record
from libs.common.outbox import Relay
from libs.common.postgres import LOST_RACES, UNREACHABLE
from libs.common.pull import Puller
from libs.common.schedules import Schedule
from libs.common.service import Clock, Job, JobDone, QueryHandler, Read, Service, Tx
from libs.common.telemetry import log, span

EVERYWHERE = ("global",)  # the site of a job that knows no sites
LOOK_EVERY_S = 30.0
EACH_MADE_UP = timedelta(minutes=1)  # of instants missed longer ago only the newest is made up
AHEAD = timedelta(seconds=0.5)  # how far the clock of NATS may run before ours without a tick waiting for the next look
MAX_REASON = 1000  # characters of what a failed run says

KNOW = """
INSERT INTO job_schedule (job_name, cron, zone, since)
SELECT job_name, cron, zone, $4 FROM unnest($1::text[], $2::text[], $3::text[]) AS new (job_name, cron, zone)
ORDER BY job_name
ON CONFLICT (job_name) DO UPDATE SET cron = excluded.cron, zone = excluded.zone, since = excluded.since
WHERE (job_schedule.cron, job_schedule.zone) IS DISTINCT FROM (excluded.cron, excluded.zone)
"""
SINCE = "SELECT job_name, since FROM job_schedule WHERE job_name = ANY ($1::text[])"
SERVE = "INSERT INTO job_tick (job_name, site, due_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING job_name"
# Whether an instant comes again because the clock was set back: a later one has been served, by more than clocks of
# replicas differ.
IS_SET_BACK = """
SELECT EXISTS (
    SELECT FROM job_tick WHERE job_name = $1 AND site = $2 AND due_at > $3::timestamptz + interval '1 minute'
)
"""
NEWEST = """
SELECT newest.* FROM unnest($1::text[]) AS wanted, LATERAL (
    SELECT job_name, run_id AS last_run_id, status AS last_status, finished_at AS last_finished_at
    FROM job_run WHERE job_name = wanted ORDER BY finished_at DESC, run_id DESC LIMIT 1
) AS newest
"""
_TICKS = uuid.UUID("5a4d9c55-8f1e-5a53-a3b6-6865616467a7")
AWAY: tuple[type[BaseException], ...] = (*UNREACHABLE, *NATS_ERRORS)


@dataclass(slots=True)
class _Planned:
    """A job with the schedule that it really has. ``served`` is the newest instant that is wholly done."""

    job: Job
    schedule: Schedule
    since: datetime
    served: datetime | None = None

    def instants(self, due: datetime) -> list[datetime]:
        """Those to serve now: the newest, and what came shortly before it and may have died with a replica."""
        start = max(self.since, due - EACH_MADE_UP)
        if self.served is not None and self.served < due:
            start = max(start, self.served)
        return sorted({*self.schedule.between(start, due), due})


class Jobs:
    """Puts a service's schedules, and runs its jobs when they are due. ``schedules``: None is switched off."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        bus: Bus,
        relay: Relay,
        service: Service,
        clock: Clock,
        schedules: Mapping[str, Schedule | None],
    ) -> None:
        self._pool, self._bus, self._relay, self._service, self._clock = pool, bus, relay, service, clock
        self._asker = Asker(service.name, bus)
        self._schedules = {
            job.name: schedule for job in service.jobs if (schedule := schedules.get(job.name, job.schedule))
        }
        self._planned: dict[str, _Planned] = {}
        self._puller = Puller(bus, bus.topology.schedules_stream, f"{service.name}-ticks", batch=20)
        self._stopping = asyncio.Event()

    async def put_schedules(self) -> None:
        """Put each schedule unless the very same one lies there; learn since when each job has its own."""
        topology, name = self._bus.topology, self._service.name
        # Of a job that is switched off a schedule may still lie there; its tick finds nothing that is due.
        on = {job: schedule for job in self._service.jobs if (schedule := self._schedules.get(job.name))}
        for job, schedule in on.items():
            wanted = {
                "Nats-Schedule": schedule.six_fields,
                "Nats-Schedule-Target": topology.tick_subject(name, job.name),
                "Nats-Schedule-Time-Zone": schedule.zone,
            }
            subject = topology.schedule_subject(name, job.name)
            if wanted != await self._present(subject):
                await self._bus.js.publish(subject, b"{}", headers=wanted)
        names = [job.name for job in on]
        crons, zones = [one.cron for one in on.values()], [one.zone for one in on.values()]
        await self._pool.execute(KNOW, names, crons, zones, self._clock())
        since = {row["job_name"]: row["since"] for row in await self._pool.fetch(SINCE, names)}
        self._planned = {job.name: _Planned(job, schedule, since[job.name]) for job, schedule in on.items()}

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
        """Until stopped: look for what is due at the start, at every tick, and every half minute."""
        if not self._planned:
            return
        await self._puller.start()
        look_at, loop = 0.0, asyncio.get_running_loop()
        try:
            while not self._stopping.is_set():
                try:
                    deliveries = await self._puller.next(0.5)
                    if deliveries or loop.time() >= look_at:
                        await self.run_due()
                        look_at = loop.time() + LOOK_EVERY_S
                    if deliveries:
                        await self._puller.ack(*deliveries)
                except AWAY as error:
                    log.warning("jobs wait", error=repr(error))
                    await asyncio.sleep(0.5)
        finally:
            await self._puller.stop()

    async def run_due(self) -> None:
        """Run every job whose newest instants have not been served, in each of its sites."""
        for planned in self._planned.values():
            due = planned.schedule.latest(self._clock() + AHEAD)
            is_early = due <= planned.since and not planned.job.looks  # a look that is early does no harm
            if is_early or due == planned.served or self._stopping.is_set():
                continue
            sites = await self._sites(planned.job)
            for instant in planned.instants(due):
                for site in sites:
                    await self.run_job(planned.job, instant, site)
            planned.served = due

    async def _sites(self, job: Job) -> tuple[str, ...]:
        if job.sites is None:
            return EVERYWHERE
        async with self._pool.acquire() as connection:
            return tuple(await job.sites(connection))

    async def run_job(self, job: Job, due: datetime, site: str = "global") -> bool:
        """Run a job for an instant of its schedule; returns whether it ran here, and well.

        If it has been served, or another replica is at it and ends well, nothing is done. A job that fails leaves
        nothing behind but a run that says why.
        """
        started = self._clock()
        message = CloudEvent(
            id=str(uuid.uuid5(_TICKS, f"{self._service.name} {job.name} {site} {due.isoformat()}")),
            source=f"/headgate/{self._service.name}",
            type=f"headgate.{self._service.name}.job.{job.name}",
            actor=f"service:{self._service.name}",
            time=started,
            site=site,
        )
        try:
            return await self._serve(job, due, message, started)
        except AWAY:
            raise
        except Exception as error:
            log.exception("job failed", job=job.name, site=site)
            await self._keep_failure(job, due, message, error)
            return False

    @stamina.retry(on=LOST_RACES, attempts=4, timeout=None, wait_initial=0.1, wait_max=2.0)
    async def _serve(self, job: Job, due: datetime, message: CloudEvent, started: datetime) -> bool:
        """One try. Whoever loses a deadlock tries again: nothing of the run is there, and its instant is not served."""
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(SERVE, job.name, message.site, due) is None and not (
                job.looks and await connection.fetchval(IS_SET_BACK, job.name, message.site, due)
            ):
                return False
            with span(self._service.name, f"job {job.name}") as message.traceparent:
                tx = Tx(self._service.name, connection, message, started, self._asker)
                done = await job.handler(tx)
                await tx.close()
            if not job.keeps_record:
                await self._record(tx, job, done)
            await outbox.stage(connection, tx.staged)
        self._relay.nudge()
        return True

    async def _record(self, tx: Tx, job: Job, done: JobDone | None) -> None:
        await record(tx, job.name, done, trigger="schedule", started_at=tx.now, finished_at=self._clock())

    async def _keep_failure(self, job: Job, due: datetime, message: CloudEvent, error: Exception) -> None:
        """The instant counts as served: trying again is for the job's schedule, not for every look."""
        reason = f"{type(error).__name__}: {error}"[:MAX_REASON]
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(SERVE, job.name, message.site, due) is None:
                return
            tx = Tx(self._service.name, connection, message, message.time)
            await self._record(tx, job, JobDone("failed", {"reason": reason}))
            await outbox.stage(connection, tx.staged)
        self._relay.nudge()


def handlers(service: Service, schedules: Mapping[str, Schedule | None]) -> dict[Query, QueryHandler]:
    """The handler of the list of jobs, which every service answers in the same way."""

    async def list_jobs(read: Read, _params: Nothing) -> list[JobState]:
        found = []
        rows = await read.pool.fetch(NEWEST, [job.name for job in service.jobs])
        newest = {row["job_name"]: row for row in rows}
        for job in service.jobs:
            schedule, row = schedules.get(job.name, job.schedule), newest.get(job.name)
            state = JobState(job_name=job.name, service=service.name, runs_always=job.sites is None)
            if schedule is not None:
                planned = {"cron": schedule.cron, "zone": schedule.zone, "next_at": schedule.after(read.now)}
                state = state.model_copy(update=planned)
            found.append(state if row is None else state.model_copy(update=dict(row)))
        return found

    return {jobs_query(service.name): list_jobs}
