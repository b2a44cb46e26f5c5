"""Which buckets there are, who may store, read and remove in them, and the streams that hold them.

A bucket of objects is a stream in the layout of JetStream's Object Store (NATS ADR-20); `libs.common.objects` reads and
writes it. A register holds small values by key, each replaced by compare-and-swap, in the layout of its key-value store
(NATS ADR-8), so that ``nats kv get`` reads it. Counters are such small values that are added to.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import timedelta

from nats.js.api import DiscardPolicy, PersistMode, RetentionPolicy, StreamConfig


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """A bucket: its limits, and the services with rights in it.

    ``max_age`` is the second bound behind the owner's job, which removes what its setting says: the largest value of
    that setting must lie below it; zero: there is none. A full bucket refuses; nothing that a waiting command needs is
    pushed out.
    """

    name: str
    puts: tuple[str, ...]
    reads: tuple[str, ...]
    removes: tuple[str, ...]
    max_bytes: int
    max_age: timedelta


REPORTS = BucketPlan(
    "reports",
    puts=("gateway",),
    reads=("gateway", "governance"),
    removes=("governance",),
    max_bytes=4 * 1024**3,
    max_age=timedelta(days=95),
)
# Deliveries that are over, written down before they are removed.
ARCHIVES = BucketPlan(
    "archives",
    puts=("notifier",),
    reads=("gateway", "notifier"),
    removes=("notifier",),
    max_bytes=4 * 1024**3,
    max_age=timedelta(days=1100),
)
CHECKS = BucketPlan(
    "checks",
    puts=("operations",),
    reads=("gateway", "operations"),
    removes=("operations",),
    max_bytes=1024**3,
    max_age=timedelta(days=400),
)
# Months of the audit log. None is ever too old: who removes the body of an entry has its archive left.
AUDIT_ARCHIVES = BucketPlan(
    "audit-archives",
    puts=("audit",),
    reads=("gateway", "audit"),
    removes=("audit",),
    max_bytes=16 * 1024**3,
    max_age=timedelta(0),
)
BUCKETS = (REPORTS, ARCHIVES, CHECKS, AUDIT_ARCHIVES)


@dataclass(frozen=True, slots=True)
class RegisterPlan:
    """A register: its keys, how many values of each are kept, and the one service that reads and replaces them."""

    name: str
    keys: tuple[str, ...]
    history: int
    service: str


AUDIT = RegisterPlan("audit", keys=("checkpoint",), history=64, service="audit")
REGISTERS = (AUDIT,)


@dataclass(frozen=True, slots=True)
class CounterPlan:
    """Counters by key (NATS ADR-49): each message adds to its key's, and is answered with the sum. For one service.

    They are not synced to disk, are forgotten after ``max_age``, the oldest first when there are too many, and are in
    no backup: what they count must be worth no more than that.
    """

    name: str
    service: str
    max_bytes: int
    max_age: timedelta


# How much of a caller's rate limit was lent to gateways in a minute.
LIMITS = CounterPlan("limits", service="gateway", max_bytes=64 * 1024**2, max_age=timedelta(minutes=3))
COUNTERS = (LIMITS,)


def bucket_name(namespace: str, name: str) -> str:
    """How NATS calls a bucket, such as ``headgate-reports``."""
    return f"{namespace}-{name}"


def stream_name(namespace: str, name: str) -> str:
    """The stream of a bucket."""
    return f"OBJ_{bucket_name(namespace, name)}"


def chunk_subject(bucket: str, nuid: str) -> str:
    """Where the chunks of one storing lie; ``*`` for all."""
    return f"$O.{bucket}.C.{nuid}"


def description_subject(bucket: str, name: str) -> str:
    """Where an object's description lies; ``*`` for all."""
    return f"$O.{bucket}.M.{name if name == '*' else base64.urlsafe_b64encode(name.encode()).decode()}"


def register_place(namespace: str, plan: RegisterPlan, key: str) -> tuple[str, str]:
    """The stream of a register, and the subject of a key in it."""
    bucket = bucket_name(namespace, plan.name)
    return f"KV_{bucket}", f"$KV.{bucket}.{key}"


def counter_place(namespace: str, plan: CounterPlan) -> tuple[str, str]:
    """The stream of counters, and how their subjects begin; laid out as a key-value store, too."""
    bucket = bucket_name(namespace, plan.name)
    return f"KV_{bucket}", f"$KV.{bucket}"


def streams(namespace: str) -> list[StreamConfig]:
    """The stream of every bucket with its limits."""
    table = []
    for plan in BUCKETS:
        bucket = bucket_name(namespace, plan.name)
        table.append(
            StreamConfig(
                name=stream_name(namespace, plan.name),
                subjects=[f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"],
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.NEW,
                max_age=plan.max_age.total_seconds(),
                max_bytes=plan.max_bytes,
                duplicate_window=120,
                allow_rollup_hdrs=True,  # a description replaces the one before
            )
        )
    for register in REGISTERS:
        stream, every = register_place(namespace, register, ">")
        table.append(
            StreamConfig(
                name=stream,
                subjects=[every],
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.NEW,
                max_msgs_per_subject=register.history,
                max_bytes=16 * 1024**2,
                duplicate_window=120,
                allow_rollup_hdrs=True,
            )
        )
    for counter in COUNTERS:
        stream, subject = counter_place(namespace, counter)
        table.append(
            StreamConfig(
                name=stream,
                subjects=[f"{subject}.>"],
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.OLD,
                max_age=counter.max_age.total_seconds(),
                max_msgs_per_subject=1,
                max_bytes=counter.max_bytes,
                duplicate_window=120,
                allow_msg_counter=True,
                # Not in memory: a single server forgets such a stream itself when it is started again.
                persist_mode=PersistMode.ASYNC,
            )
        )
    return table


def fleeting(namespace: str) -> set[str]:
    """The streams that no backup holds."""
    return {counter_place(namespace, plan)[0] for plan in COUNTERS}


def streams_of(namespace: str, service: str) -> list[str]:
    """The streams of the buckets and registers that a service uses: it compares them at start."""
    used = [stream_name(namespace, plan.name) for plan in BUCKETS if service in plan.puts + plan.reads + plan.removes]
    used += [register_place(namespace, plan, ">")[0] for plan in REGISTERS if plan.service == service]
    return used + [counter_place(namespace, plan)[0] for plan in COUNTERS if plan.service == service]


def rights(namespace: str, service: str) -> list[str]:
    """The subjects that a service may publish to for its work in buckets."""
    allowed = []
    for plan in BUCKETS:
        bucket, stream = bucket_name(namespace, plan.name), stream_name(namespace, plan.name)
        if service in plan.puts:
            allowed += [chunk_subject(bucket, "*"), description_subject(bucket, "*")]
        if service in plan.reads:
            allowed += [f"$JS.API.STREAM.MSG.GET.{stream}", f"$JS.API.DIRECT.GET.{stream}"]
        if service in plan.removes:
            allowed.append(f"$JS.API.STREAM.PURGE.{stream}")
    for register in REGISTERS:
        if register.service == service:
            places = [register_place(namespace, register, key) for key in register.keys]
            allowed += [subject for _, subject in places] + [f"$JS.API.STREAM.MSG.GET.{places[0][0]}"]
    for counter in COUNTERS:
        if counter.service == service:
            stream, subject = counter_place(namespace, counter)
            allowed += [f"{subject}.*.*", f"$JS.API.DIRECT.GET.{stream}.{subject}.*.*"]
    return allowed
