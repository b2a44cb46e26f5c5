"""What each service may publish and hear on NATS: generated from the contracts, never written by hand."""

from __future__ import annotations

from dataclasses import dataclass

from libs.common import buckets
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import EVERYTHING
from libs.common.topology import Topology, durables

USER_INFO = "$SYS.REQ.USER.INFO"  # asks the server for the rights of whoever asks, and nobody else's
SYSTEM_USER = "gateway-system"  # a user of the server's own account, who may only list and end connections


@dataclass(frozen=True)
class Permissions:
    """Subjects that one user may publish to and subscribe to; everything else is refused by the server.

    Every user may also answer a question it was asked, once, on the subject that the question names (NATS
    ``allow_responses``): so nobody needs a right to publish into another's inbox.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    publish_deny: tuple[str, ...] = ()


def inbox_prefix(service: str) -> str:
    """Each user has an inbox tree of its own, so that nobody reads or forges another's replies."""
    return f"_INBOX_{service}"


def subscriber_inbox(subscriber_id: int) -> str:
    """The inbox tree of a subscriber, the only subjects that it hears. Nobody's tree begins with another's."""
    return f"{inbox_prefix('subscriber')}.{subscriber_id}"


def permissions(topology: Topology, service: str) -> Permissions:
    """The permissions of one service's user."""
    ns, contract = topology.namespace, CONTRACTS[service]
    publish = [f"{ns}.event.*.{service}.>", f"{ns}.outcome.*", f"{ns}.schedule.{service}.*"]
    # Who sends every command also tells of those that it refused.
    publish.append(topology.record_subject(">" if contract.sends == EVERYTHING else f"{service}.>"))
    # A name ends with the command's id; everything (">") with anything.
    publish += [f"{ns}.command.{name}" if name == ">" else f"{ns}.command.{name}.*" for name in contract.sends]
    publish += [f"{ns}.query.{name}" for name in contract.asks]
    publish += [topology.telemetry_subject(sample.name) for sample in contract.samples]
    subscribe = [f"{inbox_prefix(service)}.>", f"{ns}.query.{service}.>"]
    streams = set()
    for stream, config in durables(topology):
        durable = config.durable_name or ""
        if durable.startswith(f"{service}-"):
            streams.add(stream)
            publish += [
                f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
                f"$JS.API.CONSUMER.INFO.{stream}.{durable}",
                f"$JS.API.CONSUMER.RESET.{stream}.{durable}",
                f"$JS.ACK.{stream}.{durable}.>",
                f"$JS.ACK.*.*.{stream}.{durable}.>",  # the form with domain and account hash
            ]
    # A service reads its own schedules back, to put them only when they differ.
    publish.append(f"$JS.API.DIRECT.GET.{topology.schedules_stream}.{ns}.schedule.{service}.*")
    publish.append(USER_INFO)
    deny: list[str] = []
    if service == "gateway":
        streams.add(topology.events_stream)
        edge, deny = _edge(topology)
        publish += edge
        subscribe += [f"{ns}.outcome.*", f"{ns}.event.>", f"{ns}.subscriber.>", "$SYS.REQ.USER.AUTH"]
        publish.append(f"{inbox_prefix('subscriber')}.>")
    streams |= set(buckets.streams_of(ns, service))
    publish += buckets.rights(ns, service)
    publish += [f"$JS.API.STREAM.INFO.{stream}" for stream in sorted(streams)]
    return Permissions(tuple(publish), tuple(subscribe), tuple(deny))


def _edge(topology: Topology) -> tuple[list[str], list[str]]:
    """What the gateway may do besides, and what of it is denied again: it sends for all, but touches no durable."""
    events, commands = topology.events_stream, topology.commands_stream
    allow = [
        f"$JS.API.STREAM.MSG.GET.{commands}",  # does this command still wait?
        f"$JS.API.STREAM.MSG.GET.{events}",  # how old is the oldest event that a service has not applied?
        # Live events for people: short-lived consumers on EVENTS, one per connection, without acknowledgements.
        f"$JS.API.CONSUMER.CREATE.{events}.>",
        f"$JS.API.CONSUMER.INFO.{events}.*",
        f"$JS.API.CONSUMER.DELETE.{events}.*",
        f"$JS.API.CONSUMER.MSG.NEXT.{events}.*",
        f"$JS.ACK.{events}.*.>",  # for subscribers, who have no right of their own in JetStream
    ]
    deny = []
    for stream, config in durables(topology):
        if stream == events:
            name = config.durable_name or ""
            deny += [
                f"$JS.API.CONSUMER.CREATE.{events}.{name}",
                f"$JS.API.CONSUMER.CREATE.{events}.{name}.>",
                f"$JS.API.CONSUMER.DELETE.{events}.{name}",
                f"$JS.API.CONSUMER.MSG.NEXT.{events}.{name}",
                f"$JS.ACK.{events}.{name}.>",
            ]
    return allow, deny


def all_permissions(topology: Topology) -> dict[str, Permissions]:
    """Of every service."""
    return {service: permissions(topology, service) for service in CONTRACTS}
