"""The simulated machine: shares of cores, lines of one, transactions of many; and what is fitted to measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.scale import demands
from bench.scale.clockwork import Consumer, Cost, Lock, Machine, Message, Process
from bench.scale.demands import SERVICE_OF, Part
from bench.scale.model import CROWDED, MIXED, Installation, fitted
from bench.scale.points import CONNECTIONS, Found, Measured, Point, load
from bench.scale.traffic import MIX
from bench.simulate import OFF_AT_MOST, compared


def _until_done(machine: Machine) -> None:
    while machine.step():
        pass


def test_cores_are_shared_and_a_process_is_one_line() -> None:
    machine, ended = Machine(2), list[tuple[str, float]]()
    python, server = Process("python"), Process("server", many=True)

    def note(name: str) -> Callable[[], None]:
        return lambda: ended.append((name, machine.now))

    machine.run(python, 1, note("first"))
    machine.run(python, 1, note("second"))
    for number in range(3):
        machine.run(server, 1, note(f"server {number}"))
    machine.delay(0.5, note("timer"))
    _until_done(machine)
    # Four pieces on two cores: half a core each until 2.0; then the one that waited in line has a core of its own.
    assert ended == [
        ("timer", 0.5), ("first", 2.0), ("server 0", 2.0), ("server 1", 2.0), ("server 2", 2.0), ("second", 3.0),
    ]  # fmt: skip
    assert (python.used_s, server.used_s) == (2, 3)


def test_a_consumer_takes_all_that_waits_in_one_transaction() -> None:
    machine, ended = Machine(4), list[tuple[int, float]]()
    consumer = Consumer(
        machine,
        [Process("replica")],
        Process("postgres", many=True),
        lambda told: ended.append((len(told), machine.now)),
    )
    message = Message(Cost(0.25, 0.0), Cost(1.0, 0.5), 0.5, None)
    consumer.put(message)
    for _ in range(10):
        machine.delay(1.0, lambda: consumer.put(message))
    _until_done(machine)
    assert ended == [(1, 2.25), (10, 6.75)]  # 1 + 0.25 + 0.5 + 0.5, then 1 + 10 * 0.25 + 0.5 + 0.5


def test_what_waits_is_dealt_to_all_who_are_free() -> None:
    machine, ended = Machine(4), list[tuple[int, float]]()
    replicas = [Process("one"), Process("two")]
    consumer = Consumer(
        machine, replicas, Process("postgres", many=True), lambda told: ended.append((len(told), machine.now))
    )
    for _ in range(5):
        consumer.put(Message(Cost(1.0, 0.0), Cost(1.0, 0.0), 0.0, None))
    _until_done(machine)
    assert sorted(count for count, _ in ended) == [2, 3]
    assert sorted(at for _, at in ended) == pytest.approx([3.0, 4.0])


def test_who_shares_a_lock_waits_for_the_other() -> None:
    machine, ended, lock = Machine(4), list[float](), Lock()
    for name in ("events", "records"):
        Consumer(
            machine, [Process(name)], Process("postgres", many=True), lambda _: ended.append(machine.now), lock
        ).put(Message(Cost(1.0, 0.5), Cost(), 0.5, None))
    _until_done(machine)
    assert ended == [2.0, 4.0]


def _found(count: int, seconds: float, cpu_s: dict[str, float], transactions: float, answer_ms: float) -> Found:
    applied = dict.fromkeys(
        ("governance-commands", "tracker-commands", "tracker-events", "audit-events", "audit-records"), (0.0, 0.0)
    )
    applied |= {"governance-commands": (count, transactions), "tracker-commands": (count, transactions)}
    return Found({"signal": count}, seconds, cpu_s, {}, applied, answer_ms, 0.0)


def _measured() -> Measured:
    """A service that needs 2 ms for a transaction and 1 ms for a message; the gateway needs 1 ms."""
    measured = Measured({"cores": 2})
    for kind, service in SERVICE_OF.items():
        measured.add(Point(1, 1, (kind,)), _found(100, 1.0, {service: 0.3, "gateway": 0.1}, 100, 9.0))
        measured.add(Point(1, CONNECTIONS, (kind,)), _found(100, 1.0, {service: 0.12, "gateway": 0.1}, 10, 9.0))
    return measured


def test_two_measurements_tell_a_transaction_from_its_messages() -> None:
    found = demands.of(_measured())
    signal, question = found.commands["signal"], found.questions[1]
    assert signal.each.service_s == pytest.approx(0.002)
    assert signal.own.service_s == pytest.approx(0.001)
    assert signal.gateway == pytest.approx(Part(0.001))
    assert signal.wait_s == pytest.approx(0.009 - 0.004)  # the rest of the answer's time
    assert question.each == Cost(0.0, 0.0)  # a question is no transaction of a consumer
    assert question.own.service_s == pytest.approx(0.0012)


def test_one_connection_is_answered_as_fast_as_its_parts_allow() -> None:
    outcome = Installation(demands.of(_measured()), 1, 2).closed(("signal",), 1, 10)
    assert outcome.answer_ms == pytest.approx(9.0, rel=0.02)
    assert outcome.rate == pytest.approx(1000 / 9, rel=0.02)


def test_a_part_that_is_always_busy_is_the_end_and_more_processes_move_it() -> None:
    """1.2 ms of one tracker for each question: no more than 833 a second; two trackers carry twice as many."""
    found = demands.of(_measured())
    one = Installation(found, 1, 16).closed(("items",), 64, 10).rate
    two = Installation(found, 2, 16).closed(("items",), 64, 10).rate
    assert one == pytest.approx(1000 / 1.2, rel=0.02)
    assert two == pytest.approx(2 * one, rel=0.1)


def test_cores_that_are_shared_by_more_processes_carry_less() -> None:
    """Transactions get smaller, so more of their fixed cost is paid; and crowding stretches that cost."""
    found = demands.of(_measured())
    one, four = (Installation(found, count, 2).closed(("signal",), 16, 10).rate for count in (1, 4))
    crowded = Installation(replace(found, crowding=0.2), 4, 2).closed(("signal",), 16, 10).rate
    assert one < four  # the one service was the end of it, not the cores
    assert crowded < four


def test_arrivals_by_chance_wait_longer_the_busier_it_is() -> None:
    found = demands.of(_measured())
    calm = Installation(found, 1, 8).open({"items": 100}, 20)
    busy = Installation(found, 1, 8).open({"items": 700}, 20)
    assert calm.rate == pytest.approx(100, rel=0.1)
    assert busy.rate == pytest.approx(700, rel=0.1)
    assert calm.p95_ms < busy.p95_ms


def test_kinds_that_take_turns_cost_more_than_alone() -> None:
    found = demands.of(_measured())
    mixing = replace(found, mixing=0.3)

    def rate(of: demands.Demands, kinds: tuple[str, ...]) -> float:
        return Installation(of, 1, 2).closed(kinds, CONNECTIONS, 10).rate

    assert rate(mixing, ("signal",)) == rate(found, ("signal",))
    assert rate(mixing, MIX) < 0.9 * rate(found, MIX)


def test_points_that_no_demand_comes_from_are_found_again() -> None:
    """What a model says of other points, taken for measurements, is what is predicted from the first ones."""
    measured = _measured()
    # Commands cost a fifth less than their busy time says: the correction must find that.
    cheap = {kind: one.times(0.8) for kind, one in demands.of(measured).commands.items()}
    truth = replace(demands.of(measured), commands=cheap, crowding=0.25, mixing=0.3)

    def rate(point: Point) -> float:
        return Installation(truth, point.processes, 2).closed(point.kinds, CONNECTIONS, 20).rate

    for point in (Point(1, CONNECTIONS, (kind,)) for kind in cheap):
        found = measured.middle(point)
        measured.rounds[point.name] = [replace(found, seconds=found.count / rate(point))]
    others = (Point(2, CONNECTIONS, ("patch",)), Point(2, CONNECTIONS, MIX))
    for point in (CROWDED, MIXED, *others):
        measured.add(point, _found(round(rate(point) * 100), 100.0, {}, 1, 9.0))
    for count in (2, 4):
        measured.add(Point(count, CONNECTIONS, ("items",)), measured.middle(Point(1, CONNECTIONS, ("items",))))
    predicted = {point: off for point, _, _, off in compared(measured, fitted(measured))}
    assert set(predicted) == set(others)
    assert abs(predicted[others[0]]) < 0.05
    assert abs(predicted[others[1]]) < OFF_AT_MOST


def test_what_was_measured_is_predicted() -> None:
    measured = load()
    off = [abs(one) for *_, one in compared(measured, fitted(measured))]
    assert len(off) == 7
    assert max(off) <= OFF_AT_MOST
