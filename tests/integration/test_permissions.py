"""What the bus refuses each service: the real server with the generated users, asked as each of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import nats
import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from deploy.local import LocalStack
from libs.common.admin import derived_password, service_url
from libs.common.buckets import AUDIT, BUCKETS, LIMITS, BucketPlan, counter_place
from libs.common.contracts import CONTRACTS, SERVICES
from libs.common.permissions import SYSTEM_USER, inbox_prefix
from libs.common.topology import Topology, durables
from tests.integration.bus_guest import Guest, until
from tests.local_traffic import client, story

pytestmark = pytest.mark.integration
NAMES = Topology()
NOT_OURS = b"not a message of ours"
# The server takes what is no JSON for an order to purge all, and others go by what lies in these streams.
NOTHING_OF_IT = b'{"filter": "nothing.of.this.name"}'


class User:
    """A connection as one service, and the refusals that the server sent to it."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.refusals: list[str] = []
        self.client: Client

    async def note(self, error: Exception) -> None:
        """Keep what the server said."""
        self.refusals.append(str(error))

    async def may(self, act: Callable[[], Awaitable[object]]) -> bool:
        """Whether the server lets this pass without a word."""
        self.refusals.clear()
        await act()
        # nats-py writes its PING ahead of what it still holds back, so only the second answer comes after a refusal.
        await self.client.flush(5)
        await self.client.flush(5)
        return not any("permissions violation" in text.lower() for text in self.refusals)

    async def may_publish(self, subject: str) -> bool:
        """Whether this user may publish there. Sends a message that no one takes for one of ours."""
        payload = NOTHING_OF_IT if ".STREAM.PURGE." in subject else NOT_OURS
        return await self.may(lambda: self.client.publish(subject, payload))

    async def may_subscribe(self, subject: str) -> bool:
        """Whether this user may subscribe there."""
        return await self.may(lambda: self.client.subscribe(subject))


@asynccontextmanager
async def login(stack: LocalStack, service: str) -> AsyncIterator[User]:
    """Connect as a service, as the service itself does."""
    secret = stack.options.secret()
    url = service_url(stack.servers.nats_url, service, derived_password(secret, "nats", service))
    user = User(service)
    user.client = await nats.connect(
        url, error_cb=user.note, inbox_prefix=inbox_prefix(service), allow_reconnect=False, connect_timeout=5
    )
    try:
        yield user
    finally:
        await user.client.close()


def _others(service: str) -> list[str]:
    return [other for other in SERVICES if other != service]


def _admin_api(service: str) -> list[str]:
    """JetStream's administration: none of it is for a service."""
    own = f"{service}-commands"
    subjects = ["$SYS.REQ.SERVER.PING", "$JS.API.STREAM.CREATE.MINE", "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES"]
    # What a service may do in a bucket is looked at below.
    for stream in (config.name for config in NAMES.streams() if not (config.name or "").startswith("OBJ_")):
        subjects += [
            f"$JS.API.STREAM.{verb}.{stream}"
            for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN")
        ]
        subjects += [f"$JS.API.CONSUMER.CREATE.{stream}", f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.mine"]
    subjects += [f"$JS.API.CONSUMER.DELETE.COMMANDS.{own}", f"$JS.API.CONSUMER.CREATE.COMMANDS.{own}"]
    return subjects


def _durables_of_others(service: str) -> list[str]:
    """Pulling from, answering for, changing and removing what another service consumes."""
    subjects = []
    for stream, config in durables(NAMES):
        name = config.durable_name or ""
        if not name.startswith(f"{service}-"):
            subjects += [
                f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}",
                f"$JS.API.CONSUMER.DELETE.{stream}.{name}",
                f"$JS.API.CONSUMER.CREATE.{stream}.{name}",
                f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{NAMES.namespace}.event.>",
                f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}",
                f"$JS.API.CONSUMER.PAUSE.{stream}.{name}",
                f"$JS.API.CONSUMER.RESET.{stream}.{name}",
                f"$JS.ACK.{stream}.{name}.1.1.1.1.0",
                f"$JS.ACK._.ACCOUNT.{stream}.{name}.1.1.1.1.0.token",
            ]
    return subjects


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_speaks_only_for_itself(local_stack: LocalStack, service: str) -> None:
    forbidden = _admin_api(service) + _durables_of_others(service)
    for other in _others(service):
        forbidden += [
            f"headgate.event.global.{other}.thing.done",
            f"headgate.schedule.{other}.prune",
            f"{inbox_prefix(other)}.forged",
        ]
    forbidden += ["_INBOX.forged", f"headgate.tick.{service}.prune", "headgate.schedule", "other.event.global.x.y.z"]
    if service != "gateway":  # the edge sends every command, and tells of those that it refused
        forbidden += [f"headgate.record.{other}.thing.do" for other in _others(service)]
        commands = ["gateway.user.create", "governance.gate.run", "tracker.item.patch", "audit.deadletter.drop"]
        forbidden += [f"headgate.command.{name}.1" for name in commands if name not in CONTRACTS[service].sends]
        forbidden += ["headgate.query.governance.gates.list", "headgate.telemetry.gateway.latency.sampled"]
        forbidden += ["$JS.API.STREAM.MSG.GET.COMMANDS", "$JS.API.STREAM.MSG.GET.EVENTS"]
        forbidden += ["$JS.API.CONSUMER.CREATE.EVENTS.mine", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.mine"]
    async with login(local_stack, service) as user:
        assert [subject for subject in forbidden if await user.may_publish(subject)] == []


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_hears_only_what_is_its_own(local_stack: LocalStack, service: str) -> None:
    forbidden = [">", "_INBOX.>", "$JS.ACK.>", "$JS.API.>", "headgate.>", "headgate.command.>", "headgate.schedule.>"]
    forbidden += [f"headgate.command.{service}.>", f"headgate.tick.{service}.>", "headgate.telemetry.>", "$SYS.>"]
    forbidden += ["headgate.record.>", f"headgate.record.{service}.>"]
    for other in _others(service):
        forbidden += [f"{inbox_prefix(other)}.>", f"headgate.query.{other}.>"]
    if service != "gateway":
        forbidden += ["headgate.event.>", f"headgate.event.*.{service}.>", "headgate.outcome.*"]
    async with login(local_stack, service) as user:
        assert [subject for subject in forbidden if await user.may_subscribe(subject)] == []
        assert await user.may_subscribe(f"headgate.query.{service}.no.such")
        assert await user.may_subscribe(f"{inbox_prefix(service)}.>")


def _bucket_subjects(plan: BucketPlan, service: str) -> tuple[list[str], list[str]]:
    """What a service may do in a bucket, and what it may not."""
    bucket, stream = f"headgate-{plan.name}", f"OBJ_headgate-{plan.name}"
    rights = {
        f"$O.{bucket}.C.nuid": service in plan.puts,
        f"$O.{bucket}.M.bmFtZQ==": service in plan.puts,
        f"$JS.API.STREAM.MSG.GET.{stream}": service in plan.reads,
        f"$JS.API.DIRECT.GET.{stream}": service in plan.reads,
        f"$JS.API.STREAM.PURGE.{stream}": service in plan.removes,
        f"$JS.API.STREAM.INFO.{stream}": service in plan.puts + plan.reads + plan.removes,
        f"$O.{bucket}.C.nuid.more": False,
        f"$O.{bucket}.M": False,
        f"$O.{bucket}.X.nuid": False,
        "$O.other.C.nuid": False,
        f"$JS.API.STREAM.UPDATE.{stream}": False,
        f"$JS.API.STREAM.DELETE.{stream}": False,
        f"$JS.API.STREAM.MSG.DELETE.{stream}": False,
        f"$JS.API.STREAM.SNAPSHOT.{stream}": False,
        f"$JS.API.CONSUMER.CREATE.{stream}": False,
        f"$JS.API.CONSUMER.CREATE.{stream}.mine": False,
        f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.mine": False,
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.mine": False,
        "$JS.API.STREAM.CREATE.OBJ_other": False,
    }
    return [subject for subject, may in rights.items() if may], [subject for subject, may in rights.items() if not may]


@pytest.mark.parametrize("plan", BUCKETS, ids=lambda plan: plan.name)
@pytest.mark.parametrize("service", SERVICES)
async def test_in_a_bucket_a_service_does_what_the_plan_says(
    local_stack: LocalStack, service: str, plan: BucketPlan
) -> None:
    allowed, forbidden = _bucket_subjects(plan, service)
    # What is published here is kept by the bucket until its time is over: it describes nothing that anybody asks for.
    async with login(local_stack, service) as user:
        assert [subject for subject in forbidden if await user.may_publish(subject)] == []
        assert [subject for subject in allowed if not await user.may_publish(subject)] == []
        assert not await user.may_subscribe(f"$O.headgate-{plan.name}.>")


@pytest.mark.parametrize("service", SERVICES)
async def test_only_audit_replaces_its_last_checkpoint(local_stack: LocalStack, service: str) -> None:
    mine, stream = service == AUDIT.service, "KV_headgate-audit"
    rights = {
        f"$JS.API.STREAM.MSG.GET.{stream}": mine,
        f"$JS.API.STREAM.INFO.{stream}": mine,
        "$KV.headgate-audit.other": False,
        f"$JS.API.STREAM.PURGE.{stream}": False,
        f"$JS.API.STREAM.DELETE.{stream}": False,
        f"$JS.API.STREAM.UPDATE.{stream}": False,
        f"$JS.API.STREAM.MSG.DELETE.{stream}": False,
    }
    if not mine:  # else what is tried would stand there
        rights["$KV.headgate-audit.checkpoint"] = False
    async with login(local_stack, service) as user:
        assert {subject: await user.may_publish(subject) for subject in rights} == rights
        assert not await user.may_subscribe("$KV.headgate-audit.>")


@pytest.mark.parametrize("service", SERVICES)
async def test_only_the_gateway_counts_requests(local_stack: LocalStack, service: str) -> None:
    mine, (stream, subject) = service == LIMITS.service, counter_place("headgate", LIMITS)
    rights = {
        f"{subject}.of-the-test.1": mine,  # without a number to add it is refused by the stream, not by the rights
        f"{subject}.of-the-test": False,
        f"$JS.API.DIRECT.GET.{stream}.{subject}.of-the-test.1": mine,
        f"$JS.API.STREAM.INFO.{stream}": mine,
        f"$JS.API.STREAM.MSG.GET.{stream}": False,
        f"$JS.API.STREAM.PURGE.{stream}": False,
        f"$JS.API.STREAM.MSG.DELETE.{stream}": False,
    }
    async with login(local_stack, service) as user:
        assert {subject: await user.may_publish(subject) for subject in rights} == rights
        assert not await user.may_subscribe(f"{subject}.>")


async def test_a_schedule_reaches_no_command_and_no_other_stream(local_stack: LocalStack) -> None:
    async with login(local_stack, "governance") as user:
        js = user.client.jetstream(timeout=5)
        for target in ("headgate.command.gateway.user.create.1", "headgate.event.global.tracker.item.closed", "x.y"):
            headers = {"Nats-Schedule": "@every 1h", "Nats-Schedule-Target": target}
            with pytest.raises(nats.js.errors.APIError):
                await js.publish("headgate.schedule.governance.forged", b"{}", headers=headers)


async def test_a_question_may_be_answered_once_and_by_the_one_who_was_asked(local_stack: LocalStack) -> None:
    replies: list[Msg] = []
    async with login(local_stack, "gateway") as asker, login(local_stack, "tracker") as asked:

        async def heard(message: Msg) -> None:
            if message.data == NOT_OURS:  # the running tracker answers the question too
                replies.append(message)

        inbox = asker.client.new_inbox()
        await asker.client.subscribe(inbox, cb=heard)
        questions = await asked.client.subscribe("headgate.query.tracker.no.such")
        await asked.client.flush()
        await asked.client.flush()
        await asker.client.publish("headgate.query.tracker.no.such", b"?", reply=inbox)
        question = await questions.next_msg(5)
        async with login(local_stack, "metrics") as stranger:
            assert not await stranger.may_publish(question.reply)
        assert await asked.may_publish(question.reply)
        assert not await asked.may_publish(question.reply)
        await asked.client.flush(5)
        await asker.client.flush(5)
        await asker.client.flush(5)
    assert len(replies) == 1


@pytest.mark.parametrize("service", [*SERVICES, "admin", "nobody"])
async def test_a_wrong_password_is_refused(local_stack: LocalStack, service: str) -> None:
    async def quiet(_: Exception) -> None:
        """The exception below says it."""

    with pytest.raises(nats.errors.Error):
        await nats.connect(
            service_url(local_stack.servers.nats_url, service, "0" * 32), allow_reconnect=False, error_cb=quiet
        )


async def test_a_subscriber_works_with_the_rights_that_the_gateway_has(local_stack: LocalStack) -> None:
    with client(local_stack) as owner:
        answer = owner.post("/api/subscribers", json={"name": "outside", "start": "oldest"})
        assert answer.status_code == 201, answer.text
        made = answer.json()
        token = str(owner.headers["Authorization"]).removeprefix("Bearer ")
        guest = await Guest(made, "headgate").open(local_stack.servers.nats_url, token)
        found = await guest.pull(1)
        assert len(found) == 1
        await guest.ack(found[0])
        assert (await guest.js.consumer_info("EVENTS", made["user"])).config.durable_name == made["user"]
        assert not await guest.may_publish("$JS.API.STREAM.PURGE.COMMANDS")

        async def acknowledged() -> bool:
            return bool(owner.get("/api/subscribers").json()[0]["acked_seq"])

        await until("its acknowledgement is noted", acknowledged)
        assert owner.delete(f"/api/subscribers/{made['subscriber_id']}").status_code == 200
        await asyncio.wait_for(guest.ended.wait(), 10)
        await guest.client.close()
    assert "violation" not in (local_stack.data_dir / "logs" / "gateway.log").read_text().lower()


async def test_the_user_who_ends_connections_can_do_nothing_else(local_stack: LocalStack) -> None:
    secret = local_stack.options.secret()
    user = User("gateway")
    url = service_url(local_stack.servers.nats_url, SYSTEM_USER, derived_password(secret, "nats", SYSTEM_USER))
    user.client = await nats.connect(url, error_cb=user.note, inbox_prefix=inbox_prefix("gateway"), connect_timeout=5)
    forbidden = [
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.SERVER.PING.VARZ",
        "$SYS.REQ.ACCOUNT.$G.CONNZ",
        "$JS.API.STREAM.LIST",
    ]
    forbidden += ["$SYS.REQ.SERVER.X.RELOAD", "$SYS.REQ.SERVER.X.LDM", "headgate.command.tracker.item.patch.1", "x"]
    assert [subject for subject in forbidden if await user.may_publish(subject)] == []
    assert [subject for subject in (">", "$SYS.>", "_INBOX.>", "headgate.>") if await user.may_subscribe(subject)] == []
    await user.client.close()


def test_every_service_works_with_exactly_its_rights(local_stack: LocalStack) -> None:
    story(local_stack)
    for service in SERVICES:
        assert "violation" not in (local_stack.data_dir / "logs" / f"{service}.log").read_text().lower()
