"""The declarations themselves, and what is generated from them."""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from libs.common import reference
from libs.common.cloudevents import CloudEvent
from libs.common.contracts import CONTRACTS, SERVICES, check, find, heard
from libs.common.contracts.audit.conduct import SENSITIVE
from libs.common.contracts.base import Command, Contract, Event, Nothing, Query
from libs.common.contracts.gateway.latency import latency_sampled
from libs.common.contracts.governance.operations import ops_gate_run
from libs.common.contracts.governance.runs import GateTarget, gate_decided, run_gate
from libs.common.contracts.governance.signals import OutsideEvent
from libs.common.contracts.roles import ROLES, may
from libs.common.ids import BadToken, uuid7
from libs.common.permissions import all_permissions
from libs.common.service import Tx
from libs.common.topology import Mismatch, Topology, durables

TOPOLOGY = Topology()
OPERATIONS = [operation for contract in CONTRACTS.values() for operation in contract.operations()]


# Questions that services ask each other.
FOR_SERVICES = (
    "outcomes.get", "preflight.get", "vitals.get", "gateway.backlogs.list", "gateway.tokens.expiring",
    "gateway.sites.every", "audit.head.get", "metrics.job_runs.count", "notifier.alerts.sum", "tracker.duties.count",
    "gateway.tokens.survey", "audit.conduct.count", "integrity.sample", "audit.archiving.get", "keys.show",
    "governance.kinds.wanted",
    "gateway.clients.open", "notifier.personal.get",
)  # fmt: skip


def test_every_service_has_a_contract() -> None:
    assert tuple(sorted(CONTRACTS)) == tuple(sorted(SERVICES))


def test_no_route_is_declared_twice() -> None:
    routes = [(o.http.method, re.sub(r"{\w+}", "{}", o.http.path)) for o in OPERATIONS if o.http]
    assert len(routes) == len(set(routes))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.name)
def test_every_route_has_a_permission_that_a_role_holds(operation: Command | Query) -> None:
    if operation.http is None:
        # The edge serves outcomes and tiles itself, the last three without a token; others are for services that ask.
        links = ("tracker.escalation.link", "tracker.escalation.use_link", "notifier.channel.stop")
        others = (
            "audit.tiles.get",
            "gateway.users.page",
            "gateway.users.name",
            "governance.delivery.record",
            "gateway.federation.exchange",
            "gateway.login.open",
            "gateway.login.renew",
            "gateway.session.open",
            "gateway.share.use",
            "gateway.sign_in.enter",
            "gateway.sign_in.turn_away",
            "gateway.password.enter",
            "gateway.password.set",
            "gateway.sign_in.leave",
            *links,
        )
        alerting = ("notifier.dispatches.get", "notifier.alerting.get", "notifier.deliveries.of_events")
        assert operation.name.endswith(FOR_SERVICES) or operation.name in (*others, *alerting)
        return
    assert any(may(role, operation.permission) for role in ROLES)
    assert operation.summary
    if isinstance(operation, Query):
        # Webhooks send what they ask in a body, and a template to look at is too long for an address.
        in_body = ("governance.gate.admit", "notifier.templates.preview", "gateway.sign_in.try")
        assert operation.http.method == ("POST" if operation.name in in_body else "GET")


def test_what_changes_who_may_do_what_counts_as_sensitive() -> None:
    commands = [one for one in OPERATIONS if isinstance(one, Command)]
    wanted = {one.name for one in commands if one.permission in ("identity:write", "user:write")}
    assert wanted <= set(SENSITIVE), sorted(wanted - set(SENSITIVE))
    assert set(SENSITIVE) <= {one.name for one in commands}, "a command that there is no more"
    assert len(SENSITIVE) == len(set(SENSITIVE))


def test_nobody_holds_an_empty_or_unknown_permission() -> None:
    for role in (*ROLES, "root", ""):
        assert not may(role, "")
        assert not may(role, "everything")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"hears": ("governance.gate.run",)},
            "tracker hears governance.gate.run, which no contract declares as Event",
        ),
        ({"sends": ("governance.gate.decided",)}, "tracker sends governance.gate.decided, which no contract"),
        ({"asks": ("governance.gate.gone",)}, "tracker asks governance.gate.gone, which no contract declares as Query"),
        ({"asks": ("tracker.items.list",)}, "tracker asks tracker.items.list, which is its own"),
        ({"sends": ("tracker.item.patch",)}, "which is its own"),
    ],
)
def test_what_a_service_needs_of_others_is_declared_by_them(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check({**CONTRACTS, "tracker": replace(CONTRACTS["tracker"], **wanted)})


def test_who_hears_what() -> None:
    users = ("gateway.user.changed", "gateway.user.created")
    told = ("notifier.escalation.delivered", "notifier.escalation.failed")
    assert heard("tracker") == (*users, "governance.command.refused", "governance.gate.decided", *told)
    assert heard("audit") == (">",)
    runs = sorted(
        ["governance.command.refused", "governance.gate.decided", *(f"{service}.job.finished" for service in SERVICES)]
    )
    assert (heard("metrics"), heard("metrics", "telemetry")) == (tuple(runs), ("gateway.latency.sampled",))
    items = tuple(f"tracker.item.{verb}" for verb in ("assigned", "opened", "reopened", "resolved", "updated"))
    people = ("gateway.account.changed", "gateway.account.created", "gateway.user.changed")
    assert (heard("gateway"), heard("governance")) == ((), (*people, "tracker.board.completed", *items))


def test_nothing_is_declared_in_a_room_where_nobody_collects_it() -> None:
    for service in SERVICES:
        package = importlib.import_module(f"libs.common.contracts.{service}")
        for found in pkgutil.iter_modules(package.__path__):
            for value in vars(importlib.import_module(f"{package.__name__}.{found.name}")).values():
                if isinstance(value, Command | Query | Event):
                    contract = CONTRACTS[value.service]
                    assert contract.by_name.get(value.name) is value or value in contract.samples, value.name


def test_a_sample_is_neither_an_event_to_subscribe_to_nor_in_the_log() -> None:
    assert find("gateway.latency.sampled") is None
    assert latency_sampled in CONTRACTS["gateway"].samples


def test_a_contract_refuses_a_foreign_or_repeated_name() -> None:
    with pytest.raises(ValueError, match="not of the service"):
        Contract("tracker", events=(gate_decided,))
    with pytest.raises(ValueError, match="twice"):
        Contract("governance", events=(gate_decided, gate_decided))
    with pytest.raises(ValueError, match=r"service\.noun\.verb"):
        Event("gate.decided")


def test_subjects_take_only_tokens() -> None:
    assert TOPOLOGY.event_subject(gate_decided, "plant-7") == "headgate.event.plant-7.governance.gate.decided"
    for site in ("a.>", "*", "", "x" * 41, "A"):
        with pytest.raises(BadToken):
            TOPOLOGY.event_subject(gate_decided, site)
        with pytest.raises(BadToken):
            TOPOLOGY.event_filter(site or "*")
        with pytest.raises(BadToken):
            TOPOLOGY.command_subject("tracker.item.patch", site)


@pytest.mark.parametrize(
    ("subject", "changed"),
    [
        ("headgate.event.other.governance.gate.decided", {}),
        ("headgate.event.global.tracker.gate.decided", {}),
        ("headgate.event.global.governance.gate.run", {}),
        ("headgate.event.global.governance.gate.decided", {"source": "/headgate/tracker"}),
        ("headgate.command.governance.gate.decided.other-id", {}),
        ("headgate.event.global.governance.gate", {}),
        ("headgate.event.global.governance.gate.decided.more", {}),
        ("other.event.global.governance.gate.decided", {}),
        ("_INBOX.x", {}),
    ],
)
def test_an_envelope_must_fit_its_subject(subject: str, changed: dict[str, str]) -> None:
    values: Any = {"id": "an-id", "source": "/headgate/governance", "type": gate_decided.type, **changed}
    with pytest.raises(Mismatch):
        TOPOLOGY.check(subject, CloudEvent(**values))


def test_an_envelope_that_fits_passes() -> None:
    event = CloudEvent(id="an-id", source="/headgate/governance", type=gate_decided.type)
    TOPOLOGY.check("headgate.event.global.governance.gate.decided", event)


def test_each_service_may_publish_its_own_events_only() -> None:
    for service, allowed in all_permissions(TOPOLOGY).items():
        events = [subject for subject in allowed.publish if subject.startswith("headgate.event.")]
        assert events == [f"headgate.event.*.{service}.>"]
        assert ">" not in allowed.publish
        assert not any("DELETE.COMMANDS" in s or "STREAM.DELETE" in s for s in allowed.publish)
        purges = [subject for subject in allowed.publish if "PURGE" in subject]
        holds = {"governance": "reports", "notifier": "archives", "operations": "checks", "audit": "audit-archives"}
        own = [f"$JS.API.STREAM.PURGE.OBJ_headgate-{holds[service]}"] if service in holds else []
        assert purges == own
        if service != "gateway":
            commands = [subject for subject in allowed.publish if subject.startswith("headgate.command.")]
            assert commands == [f"headgate.command.{name}.*" for name in CONTRACTS[service].sends]
            questions = [subject for subject in allowed.publish if subject.startswith("headgate.query.")]
            assert questions == [f"headgate.query.{name}" for name in CONTRACTS[service].asks]


def test_what_a_contract_sends_asks_and_hears_becomes_a_right_and_a_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: dict[str, Any] = {
        "asks": ("tracker.items.list",),
        "sends": ("tracker.board.sync",),
        "hears": ("tracker.item.opened",),
    }
    monkeypatch.setitem(CONTRACTS, "metrics", replace(CONTRACTS["metrics"], **wanted))
    allowed = all_permissions(TOPOLOGY)["metrics"]
    assert {"headgate.query.tracker.items.list", "headgate.command.tracker.board.sync.*"} <= set(allowed.publish)
    filters = {config.durable_name: config.filter_subjects for _, config in durables(TOPOLOGY)}
    events = ["headgate.event.*.tracker.command.refused", "headgate.event.*.tracker.item.opened"]
    assert filters["metrics-events"] == events
    assert "metrics-telemetry" not in filters
    assert "$JS.API.CONSUMER.MSG.NEXT.EVENTS.metrics-events" in allowed.publish


def test_nobody_sends_what_its_contract_does_not_say() -> None:
    cause = CloudEvent(id=str(uuid7()), source="", type="", site="global")
    tx = Tx("tracker", None, cause, datetime.now(UTC))
    tx.send(run_gate, GateTarget(gate="operations"))
    with pytest.raises(ValueError, match=r"tracker may not send governance\.ops_gate\.run"):
        tx.send(ops_gate_run, Nothing())
    assert [staged.name for staged in tx.staged] == ["governance.gate.run"]


def test_every_durable_lies_on_a_declared_stream() -> None:
    streams = {stream.name for stream in TOPOLOGY.streams()}
    names = [config.durable_name for _, config in durables(TOPOLOGY)]
    assert len(names) == len(set(names))
    for stream, config in durables(TOPOLOGY):
        assert stream in streams
        assert config.max_deliver == -1
        assert not config.backoff


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"]
)
def test_a_time_that_no_database_keeps_is_invalid(time: str) -> None:
    with pytest.raises(ValidationError, match="1970 to 9000"):
        OutsideEvent(id="1", source="s", type="t", time=time)  # type: ignore[arg-type]


@pytest.mark.parametrize("page", sorted(reference.PAGES))
def test_the_reference_is_what_make_docs_writes(page: str) -> None:
    committed = Path(__file__).parents[3] / "docs" / "reference" / page
    assert committed.read_text(encoding="utf-8") == reference.PAGES[page](), "run `make docs` and commit"


# Questions about the audit log whose answers hold no word of an entry: hashes, states, names of archives.
SHOWS_NO_ENTRY = {
    "audit.archives.list", "audit.archives.get", "audit.archives.verify", "audit.archives.stamp", "audit.chain.verify",
    "audit.rollovers.list", "audit.log.get", "audit.log_keys.list", "audit.tiles.get", "audit.proofs.inclusion",
    "audit.proofs.consistency", "audit.verifications.list", "audit.verifications.get", "audit.witnesses.list",
    "audit.checkpoints.list", "audit.archive_verifications.list", "audit.archive_verifications.get",
}  # fmt: skip


def test_whoever_is_shown_entries_of_the_audit_log_stands_in_it() -> None:
    questions = [one for one in OPERATIONS if isinstance(one, Query) and one.permission == "audit:read"]
    assert {one.name for one in questions if not one.logged} == SHOWS_NO_ENTRY
