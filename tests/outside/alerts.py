"""Alerts fired by breaking the thing, on an installation of its own under a real Prometheus with the shipped rules.

Before something is broken its alert must be still. What lasts for minutes is awaited; where an alert waits for hours or
days, what the services have stored about the broken thing is moved back by so long (docs/outside.md).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import nats

from deploy.embedded import free_port
from deploy.local import LocalStack
from libs.common.contracts import SERVICES
from libs.common.topology import Topology
from tests.local_traffic import OPS, client, started
from tests.outside import audit_alerts, waiting_alerts
from tests.outside.handles import execute, signalled, subscribed
from tests.outside.waiting_alerts import LONG_S
from tests.outside.watch import WITHIN_S, Watch, titles
from tests.outside.world import World, check, until
from tests.receiver import Receiver
from tests.witnesses import WitnessProcess

BACKUPS = "/api/ops/backups"
SLOW = "/api/ops/performance/api-latency"
ADMIT = "/api/gates/release/admit"
ELSEWHERE = {"HeadgateAuditForkSeen"}  # the step about the fork of the audit log fires it
SLOS = [
    f"HeadgateSloBurns{speed} of {promise}-{measure}"
    for speed in ("Fast", "Slowly")
    for promise in ("api", "decision")
    for measure in ("availability", "latency")
]
ENVIRONMENT = {
    "HEADGATE_OUTBOUND_NETWORKS": '["127.0.0.0/8"]',
    "HEADGATE_GUARD_FAILURES": "12",  # more than ten attempts must fail before the target is left alone
    "HEADGATE_LOG_FORMAT": "json",
}


def step(world: World) -> None:
    """Break one thing after the other, and see each alert fire."""
    folder = world.folder / "alerts"
    folder.mkdir()
    with audit_alerts.witnessed(folder) as (witness, environment):
        stack = LocalStack(folder / "data", env=ENVIRONMENT | environment, keeper=True)
        with started(stack), client(stack) as http:
            watch = Watch(world.tools.prometheus, folder, stack)
            with watch.watching():
                _break(watch, stack, http, witness)
    names = titles()
    check(set(watch.fired) == names - ELSEWHERE, f"{names - ELSEWHERE ^ set(watch.fired)} did not fire, or are unknown")
    check(len(set(watch.fired)) == len(watch.fired), f"fired {watch.fired}")
    world.figure("alerts fired by breaking the thing", "Prometheus", f"{len(watch.fired)} of {len(names)}")


def _break(watch: Watch, stack: LocalStack, http: httpx2.Client, witness: WitnessProcess) -> None:
    watch.await_fired("Watchdog")
    until("all are scraped", lambda: len(watch.query('up{job="headgate"} == 1')) == len(SERVICES), WITHIN_S)
    _frozen_services(watch, stack, http)
    _stopped_keeper(watch, stack, http)
    _no_go(watch, http)
    _overdue(watch, http)
    _leaving_receiver(watch, http)
    _deaf_receiver(watch, http)
    _long_deaf_receiver(watch, stack)
    _unreadable_messages(watch, stack)
    _forgotten_service(watch)
    _no_column(watch, stack, http)
    waiting_alerts.step(watch, stack, http)
    _no_bus(watch, stack)
    audit_alerts.step(watch, stack, http, witness)


@contextmanager
def _frozen(stack: LocalStack, *services: str) -> Iterator[None]:
    """Services that stand still."""
    pids = [stack.pids[name] for name in services]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _frozen_services(watch: Watch, stack: LocalStack, http: httpx2.Client) -> None:
    """Services that stand still: they are not scraped, and whoever asks them waits and is then told no.

    First of all, while there were too few requests for a slow start to burn any budget.
    """
    broken = ("HeadgateServiceDown", "HeadgateErrorRateHigh", "HeadgateSlow", *SLOS)
    watch.still(*(one for one in broken if not one.endswith("api-latency")))  # a slow machine burns that by itself

    def ask(number: int) -> int:
        if number % 2:
            return http.get(SLOW).status_code
        return http.post(ADMIT, json={"subject": "app", "version": "1"}).status_code

    with _frozen(stack, "metrics", "governance"):
        with ThreadPoolExecutor(24) as people:
            answers = list(people.map(ask, range(72)))
        check(set(answers) <= {503, 504}, f"of frozen services came {set(answers)}")
        watch.await_fired(*broken)
    watch.await_over("HeadgateServiceDown")


def _stopped_keeper(watch: Watch, stack: LocalStack, http: httpx2.Client) -> None:
    """The keeper has made a backup and is stopped, as if that were 27 hours ago."""
    until("a backup is told of", lambda: http.get(BACKUPS).json(), LONG_S)
    stack.halt("keeper")
    made = http.get(BACKUPS).json()
    check([one["good"] for one in made] == [True], f"the keeper told of {made}")
    until("its age is seen", lambda: watch.query("time() - max(headgate_backup_timestamp_seconds) < 600"), WITHIN_S)
    watch.still("HeadgateBackupOld")
    earlier = "to_jsonb((detail ->> 'recovery_point')::timestamptz - interval '27 hours')"
    moved = f"UPDATE operations.job_run SET detail = jsonb_set(detail, '{{recovery_point}}', {earlier})"
    asyncio.run(execute(stack, f"{moved} WHERE job_name = 'backup'"))
    watch.await_fired("HeadgateBackupOld")


def _no_go(watch: Watch, http: httpx2.Client) -> None:
    """A gate without a single signal."""
    watch.still("HeadgateGateNoGo")
    ran = http.post(f"{OPS}/run", json={})
    check(ran.status_code == 200 and ran.json()["decision"] == "no_go", ran.text)
    watch.await_fired("HeadgateGateNoGo")


def _overdue(watch: Watch, http: httpx2.Client) -> None:
    """An item of that gate that was due as soon as it was opened."""
    watch.still("HeadgateItemsOverdue")
    board = f"{OPS}/remediation/tracker/items"
    items = until("items", lambda: http.get(board).json())
    due = {"due_at": items[0]["opened_at"], "reason": "It can't wait."}
    moved = http.post(f"{board}/{items[0]['id']}/due", json=due)
    check(moved.status_code == 200, moved.text)
    watch.await_fired("HeadgateItemsOverdue")


def _leaving_receiver(watch: Watch, http: httpx2.Client) -> None:
    """A receiver that says that it wants no more: nothing is tried again."""
    watch.still("HeadgateDeliveriesGivenUp")
    with Receiver(status=410) as receiver:
        subscribed(http, "leaving", receiver.url)
        signalled(http)
        watch.await_fired("HeadgateDeliveriesGivenUp")


def _deaf_receiver(watch: Watch, http: httpx2.Client) -> None:
    """A subscription to a port where nobody listens, and more signals than its guard bears."""
    watch.still("HeadgateDeliveriesFail", "HeadgateCircuitsOpen")
    subscribed(http, "deaf", f"http://127.0.0.1:{free_port()}/")
    for _ in range(16):
        signalled(http)
    watch.await_fired("HeadgateDeliveriesFail", "HeadgateCircuitsOpen")


def _long_deaf_receiver(watch: Watch, stack: LocalStack) -> None:
    """What is held back for it, as if it had been so for 13 hours."""
    watch.still("HeadgateDeliveriesHeldBack")
    back = 'headgate_deliveries_open{channel="webhook", state="suppressed"} > 0'
    until("deliveries are held back", lambda: watch.query(back), WITHIN_S)
    long_ago = "suppressed_at = suppressed_at - interval '13 hours'"
    moved = f"UPDATE notifier.delivery SET {long_ago} WHERE state = 'suppressed'"
    asyncio.run(execute(stack, moved))
    watch.await_fired("HeadgateDeliveriesHeldBack")


def _unreadable_messages(watch: Watch, stack: LocalStack) -> None:
    """Events that name another source than their subject: whoever hears them puts them aside at once."""
    watch.still("HeadgateDeadLetters")
    topology = Topology()

    async def publish() -> None:
        connection = await nats.connect(stack.servers.nats_url)
        for _ in range(2):
            event = {
                "specversion": "1.0", "id": str(uuid.uuid4()), "source": "/headgate/tracker", "site": "global",
                "type": "headgate.governance.gate.decided.v1", "data": {"gate": "operations"},
            }  # fmt: skip
            await connection.jetstream().publish(
                topology.event_subject_named("governance.gate.decided", "global"),
                json.dumps(event).encode(),
                headers={"Content-Type": "application/cloudevents+json"},
            )
        await connection.close()

    asyncio.run(publish())
    watch.await_fired("HeadgateDeadLetters")


def _forgotten_service(watch: Watch) -> None:
    """A service that nobody looks for any more."""
    watch.still("HeadgateServiceMissing")
    watch.look_at([name for name in SERVICES if name != "tracker"])
    watch.await_fired("HeadgateServiceMissing")
    watch.look_at(SERVICES)
    watch.await_over("HeadgateServiceMissing")


def _no_column(watch: Watch, stack: LocalStack, http: httpx2.Client) -> None:
    """A column is gone that the tracker writes, but never measures: it lives, and can't apply what it hears."""
    watch.still("HeadgateHandlersFail")
    asyncio.run(execute(stack, "ALTER TABLE tracker.board RENAME COLUMN decided_at TO gone"))
    for _ in range(6):
        check(http.post(f"{OPS}/run", json={}).status_code == 200, "no run")
    watch.await_fired("HeadgateHandlersFail")
    asyncio.run(execute(stack, "ALTER TABLE tracker.board RENAME COLUMN gone TO decided_at"))


def _no_bus(watch: Watch, stack: LocalStack) -> None:
    """NATS is stopped."""
    watch.still("HeadgateDependencyDown")
    stack.halt("nats")
    watch.await_fired("HeadgateDependencyDown")
    stack.resume("nats")
    watch.await_over("HeadgateDependencyDown")
