"""Runs one service: `start` builds it from its table of contents, `main` adds the process around it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import asyncpg
import prometheus_client
import uvicorn
import uvloop
from starlette.types import ASGIApp

from libs.common import (
    contracts,
    deadletters,
    health,
    jobs,
    log_export,
    migrations,
    outcomes,
    preflight,
    series,
    topology,
    vitals,
)
from libs.common.asking import Asker
from libs.common.bus import NATS_ERRORS, connect
from libs.common.dispatch import Applied, Dispatcher
from libs.common.housekeeping import PRUNE_JOB
from libs.common.http_server import server_config
from libs.common.loop import BatchConsumer, CommandConsumer, Consumer, EventConsumer
from libs.common.migrations import MigrationError
from libs.common.outbox import Relay
from libs.common.postgres import UNREACHABLE, make_pool
from libs.common.preflight import Lookout
from libs.common.problems import Unavailable
from libs.common.queries import QueryServer
from libs.common.running import Running, spawn
from libs.common.schedules import Schedule, ScheduleError, chosen
from libs.common.security_headers import Secured
from libs.common.service import Clock, Delivered, Service, wall_clock
from libs.common.settings import Settings
from libs.common.telemetry import log, setup_logs, setup_tracing, stop_tracing
from libs.common.tls import Renewal, TlsError, files_of
from libs.common.topology import Topology, TopologyError

GC_THRESHOLDS = (20_000, 20, 20)
AWAY: tuple[type[BaseException], ...] = (*UNREACHABLE, *NATS_ERRORS)
NO_DATABASE: tuple[type[BaseException], ...] = (*UNREACHABLE, asyncpg.PostgresError)
NOT_READY: tuple[type[BaseException], ...] = (MigrationError, TopologyError, *AWAY)


class StartError(RuntimeError):
    """The service can't start; the message is one sentence for the operator."""


def _consumers(running: Running, dispatcher: Dispatcher) -> list[Consumer]:
    service, names = running.service, running.bus.topology
    shared = (running.pool, running.bus, running.relay, dispatcher, running.clock)
    found: list[Consumer] = [CommandConsumer(*shared, names.commands_stream, f"{service.name}-commands")]
    if service.events:
        found.append(EventConsumer(*shared, names.events_stream, f"{service.name}-events"))
    if service.batch:
        found += [
            BatchConsumer(service.batch, *shared, names.stream(stream), f"{service.name}-{stream}")
            for stream in service.batch.streams
        ]
    return found


def _complete(service: Service, asker: Asker, schedules: Mapping[str, Schedule | None], lookout: Lookout) -> Service:
    """The service with the handlers that all services share. Checks that every operation has a handler."""

    async def replay(connection: Any, consumer: str, message: Any, payload: bytes, now: Any, into: Applied) -> None:
        if consumer.endswith("-commands"):
            await dispatcher.command(connection, message, now, into)
        elif whole.batch and consumer in {f"{service.name}-{stream}" for stream in whole.batch.streams}:
            into.staged += await whole.batch.handler(connection, [Delivered(message, payload)], now)
        else:
            waiting = await outcomes.due(connection, [message]) if whole.resumes else {}
            await dispatcher.event(connection, message, now, into, waiting.get(message.causationid, ()))

    commands, queries = deadletters.handlers(service, replay)
    whole = replace(service, commands={**service.commands, **commands}, jobs=(*service.jobs, PRUNE_JOB))
    shared = {**queries, **jobs.handlers(whole, schedules), **lookout.handlers(), **vitals.handlers(service.name)}
    whole = replace(whole, queries={**service.queries, **shared})
    dispatcher = Dispatcher(whole, asker)
    missing = [
        declared.name
        for declared in whole.contract.operations()
        if declared not in whole.commands and declared not in whole.queries
    ]
    if missing:
        raise StartError(f"{service.name} has no handler for {', '.join(missing)}")
    _check_hearing(whole)
    return whole


def _schedules(service: Service, settings: Settings) -> dict[str, Schedule | None]:
    """When each job runs: by itself, or by the settings. Raises `StartError` for a setting that says nothing."""
    own = {job.name: job.schedule for job in (*service.jobs, PRUNE_JOB)}
    try:
        return chosen(service.name, own, settings.schedules)
    except ScheduleError as error:
        raise StartError(f"HEADGATE_SCHEDULES: {error}") from error


def _check_hearing(service: Service) -> None:
    """Raise `StartError` unless the service handles exactly the events that its contract says it hears."""
    batched: tuple[str, ...] = service.batch.streams if service.batch else ()
    if service.contract.hears_records != ("records" in batched):
        raise StartError(f"{service.name} must both hear records (in its contract) and handle them")
    handled = {event.name for event in service.events} | contracts.refusals(service.name)
    for stream in ("events", "telemetry"):
        names = set(contracts.heard(service.name, stream))
        if stream in batched:
            if not names:
                raise StartError(f"{service.name} has a handler for {stream}, but its contract hears nothing there")
        elif stream == "telemetry" and names:
            raise StartError(f"{service.name} hears {', '.join(sorted(names))}, but has no handler for telemetry")
        elif stream == "events" and (odd := sorted(names ^ handled)):
            raise StartError(f"{service.name} must both hear (in its contract) and handle {', '.join(odd)}")


async def start(service: Service, settings: Settings, *, clock: Clock = wall_clock, speaks: bool = False) -> Running:
    """Connect, compare schema and topology with what this version needs, and begin to consume and answer.

    ``speaks``: tell first, by an event, what the preflight found, as every process does. Raises `StartError` with a
    sentence if something is missing or different, or the preflight is in error and the settings say that this counts.
    """
    name = service.name
    if settings.database_url is None or settings.nats_url is None:
        raise StartError("HEADGATE_DATABASE_URL and HEADGATE_NATS_URL must be set; `headgate up` derives them")
    schedules, asker = _schedules(service, settings), Asker(name)
    lookout = Lookout(service, settings, clock)
    whole = _complete(service, asker, schedules, lookout)
    instance = f"{name}-{secrets.token_hex(4)}"
    setup_tracing(name)
    try:
        pool = await make_pool(
            settings.database_url.get_secret_value(), schema=name, size=settings.pool_size, application=instance
        )
    except NO_DATABASE as error:
        raise StartError(f"PostgreSQL can't be reached: {error}") from error
    try:
        bus = await connect(settings.nats_url.get_secret_value(), Topology(settings.namespace), name, name=instance)
    except Unavailable as error:
        pool.terminate()
        raise StartError(error.detail) from error
    try:
        if bus.nats.max_payload < topology.MAX_PAYLOAD_BYTES:
            raise TopologyError(f"NATS takes only {bus.nats.max_payload} bytes a message; set `max_payload: 8MB` there")
        await migrations.compare(pool, name)
        await topology.compare(bus.js, bus.topology, name)
    except NOT_READY as error:
        await bus.close()
        pool.terminate()
        raise StartError(str(error) or repr(error)) from error
    asker.bus = bus
    lookout.bind(pool, bus, instance)
    for bucket in whole.buckets:
        bucket.bind(bus)
    relay = Relay(pool, bus, name)
    queries = QueryServer(pool, bus, name, whole.queries, clock)
    running = Running(whole, settings, pool, bus, relay, clock, instance, queries)
    running.consumers = _consumers(running, Dispatcher(whole, asker))
    running.jobs = jobs.Jobs(pool, bus, relay, whole, clock, schedules)
    spawn(running, "relay", relay.run())
    if speaks:
        await _speak(running, lookout)
    await queries.start()
    await running.jobs.put_schedules()
    spawn(running, "jobs", running.jobs.run())
    spawn(running, "upkeep", _upkeep(running))
    running.workers = [make(pool, clock, relay.nudge) for make in whole.workers]
    for number, worker in enumerate(running.workers):
        spawn(running, f"worker {number}", worker.run())
    for consumer in running.consumers:
        consumer.committed = running.wake_workers
        spawn(running, f"consumer {consumer.durable}", consumer.run())
    return running


async def _speak(running: Running, lookout: Lookout) -> None:
    """Tell what the preflight found; end the start if that is asked for and there is an error."""
    report = await lookout.tell()
    running.relay.nudge()
    for check in report.checks:
        if check.status != "ok":
            log.warning("preflight", check=check.id, status=check.status, found=check.message)
    if report.error_count and running.settings.preflight_fail_on_error:
        await running.stop()  # sends what was told
        raise StartError(preflight.sentence(report))


async def _upkeep(running: Running) -> None:
    """Every second: end deferred commands that waited too long; every fifth: gauges."""
    turn = 0
    while True:
        await asyncio.sleep(1)
        turn += 1
        try:
            if running.service.resumes:
                await _expire(running)
            if turn % 5 == 0:
                await health.readiness(running)  # keeps `headgate_dependency_up` true if nobody else asks
                await running.relay.measure()
                for letters in await running.pool.fetch(deadletters.COUNT_OPEN):
                    series.DEAD_LETTERS_HELD.labels(running.service.name).set(letters["held"])
                    series.WAITING.labels(running.service.name).set(letters["waiting"])
                if running.service.gauges:
                    await running.service.gauges(running.pool, prometheus_client.REGISTRY)
        except AWAY as error:
            log.warning("upkeep waits", error=repr(error))


async def _expire(running: Running) -> None:
    async with running.pool.acquire() as connection, connection.transaction():
        ended = await outcomes.expire(connection, running.clock())
    await outcomes.tell(running.bus, running.service.name, ended)


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers of its own: `main` decides in which order things stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _settle() -> None:
    """Take what was made at start out of the garbage collector's sight, and let it look less often.

    A batch makes thousands of objects: by default it would walk through all modules and models again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def serve(
    service: Service, settings: Settings, app: Callable[[Running], ASGIApp] | None = None, clock: Clock = wall_clock
) -> None:
    """Run until SIGTERM or SIGINT; then stop taking requests, finish what is in hand, and end."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        tls = files_of(settings) if app else None
    except TlsError as error:
        raise StartError(str(error)) from None
    running = await start(service, settings, clock=clock, speaks=True)
    config = server_config(
        app(running) if app else Secured(health.app(running)),
        host=settings.http_host,
        port=settings.port_of(service.name),
        lifespan=app is not None,
        tls=tls,
        trusted_proxies=[str(network) for network in settings.trusted_proxies] if app else (),
    )
    server = _Server(config)
    _settle()
    serving = asyncio.create_task(server.serve())
    if tls is not None:
        spawn(running, "tls renewal", Renewal(*tls).keep(config))
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    running.stopping.set()  # open event streams end, so that the server need not wait for them
    server.should_exit = True
    await asyncio.gather(serving, return_exceptions=True)
    waiting.cancel()
    await running.stop()
    stop_tracing()
    if not stopping.is_set():
        if server.started:
            raise StartError("the HTTP server ended by itself; the log says why")
        raise StartError(f"port {settings.port_of(service.name)} can't be listened on; set HEADGATE_HTTP_PORT")


def main(service: Service, app: Callable[[Running], ASGIApp] | None = None, clock: Clock = wall_clock) -> None:
    """The process of one service: `python -m services.<name>`. Exit code 1 with one sentence if it can't start."""
    settings = Settings()
    setup_logs(service.name, settings.log_level, settings.log_format)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(service, settings, app, clock))
    except (StartError, Unavailable) as error:
        sys.stderr.write(f"headgate {service.name}: {error}\n")
        sys.exit(1)
    finally:
        log_export.stop()
