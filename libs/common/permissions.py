"""What each service may publish and hear on NATS: generated from the contracts, never written by hand."""

from __future__ import annotations

from dataclasses import dataclass

from libs.common.contracts.common import SERVICES
from libs.common.topology import SENDS, Topology, durables


@dataclass(frozen=True)
class Permissions:
    """Subjects that one user may publish to and subscribe to; everything else is refused by the server."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def inbox_prefix(service: str) -> str:
    """Each user has an inbox tree of its own, so that nobody reads or forges another's replies."""
    return f"_INBOX_{service}"


def permissions(topology: Topology, service: str) -> Permissions:
    """The permissions of one service's user."""
    ns = topology.namespace
    publish = [f"{ns}.event.*.{service}.>", f"{ns}.outcome.*", f"{ns}.schedule.{service}.*"]
    publish += [f"{ns}.command.{name}.*" for name in SENDS.get(service, ())]
    subscribe = [f"{inbox_prefix(service)}.>", f"{ns}.query.{service}.>"]
    streams = set()
    for stream, config in durables(topology):
        durable = config.durable_name or ""
        if durable.startswith(f"{service}-"):
            streams.add(stream)
            publish += [
                f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
                f"$JS.API.CONSUMER.INFO.{stream}.{durable}",
                f"$JS.ACK.{stream}.{durable}.>",
                f"$JS.ACK.*.*.{stream}.{durable}.>",  # the form with domain and account hash
            ]
    if service != "gateway":
        # Answers to the gateway's questions; the inbox tree belongs to the gateway alone.
        publish.append(f"{inbox_prefix('gateway')}.>")
    else:
        events, commands = topology.events_stream, topology.commands_stream
        streams.add(events)
        publish += [
            f"{ns}.command.>",
            f"{ns}.query.>",
            f"{ns}.telemetry.gateway.>",
            f"{inbox_prefix('gateway')}.>",
            f"$JS.API.DIRECT.GET.{commands}",
            f"$JS.API.DIRECT.GET.{commands}.>",
            f"$JS.API.STREAM.MSG.GET.{commands}",
            # Live events for people: short-lived consumers on EVENTS, one per connection.
            f"$JS.API.CONSUMER.CREATE.{events}",
            f"$JS.API.CONSUMER.CREATE.{events}.>",
            f"$JS.API.CONSUMER.INFO.{events}.*",
            f"$JS.API.CONSUMER.DELETE.{events}.*",
            f"$JS.API.CONSUMER.MSG.NEXT.{events}.*",
            f"$JS.ACK.{events}.>",
            f"$JS.ACK.*.*.{events}.>",
            f"$JS.FC.{events}.>",
        ]
        subscribe += [f"{ns}.outcome.*", f"{ns}.event.>"]
    publish += [f"$JS.API.STREAM.INFO.{stream}" for stream in sorted(streams)]
    return Permissions(tuple(publish), tuple(subscribe))


def all_permissions(topology: Topology) -> dict[str, Permissions]:
    """Of every service."""
    return {service: permissions(topology, service) for service in SERVICES}
