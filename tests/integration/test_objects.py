"""Objects in a bucket: whole or not there, for as long as they are young, and readable by the tools of NATS."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import random
from datetime import UTC, datetime, timedelta

import orjson
import pytest
import pytest_asyncio

from libs.common import buckets, topology
from libs.common.objects import CHUNK_BYTES, Bucket, ObjectAltered, ObjectGone
from libs.common.problems import Unavailable
from tests.stack import Stack

pytestmark = pytest.mark.integration
NOISE = random.Random(7).randbytes(2 * CHUNK_BYTES + 100)  # can't be packed, so that it takes several chunks


def named(content: bytes) -> tuple[str, int, io.BytesIO]:
    """What `Bucket.put` wants."""
    return hashlib.sha256(content).hexdigest(), len(content), io.BytesIO(gzip.compress(content, 1))


async def content_of(bucket: Bucket, name: str) -> bytes:
    """All pieces."""
    return b"".join([piece async for piece in bucket.read(await bucket.find(name))])


@pytest_asyncio.fixture
async def bucket(stack: Stack) -> Bucket:
    """The bucket of reports with all rights."""
    return Bucket("reports").bind(stack.bus)


def stream_of(stack: Stack) -> str:
    return buckets.stream_name(stack.topology.namespace, "reports")


def chunks_of(stack: Stack, nuid: str) -> str:
    return buckets.chunk_subject(buckets.bucket_name(stack.topology.namespace, "reports"), nuid)


@pytest.mark.parametrize("content", [b"<testsuite/>", b"", NOISE, b" " * (5 * CHUNK_BYTES)], ids=len)
async def test_what_is_put_is_read(bucket: Bucket, content: bytes) -> None:
    name, size, packed = named(content)
    packed.seek(3)  # wherever the file stands
    await bucket.put(name, size, packed)
    assert (await bucket.find(name)).size == len(content)
    assert await content_of(bucket, name) == content


async def test_a_file_inside_is_read_alone_and_checked_by_its_own_sum(bucket: Bucket) -> None:
    name, size, packed = named(NOISE)
    await bucket.put(name, size, packed)
    stored = await bucket.find(name)
    pieces: list[bytes] = []

    async def read(start: int, size: int, sha256: str) -> None:
        pieces.clear()
        async for piece in bucket.read_part(stored, start, size, sha256):
            pieces.append(piece)  # noqa: PERF401 - what came before an error is looked at

    for start, end in ((0, 10), (5, CHUNK_BYTES), (CHUNK_BYTES - 1, CHUNK_BYTES + 9), (size - 7, size), (9, 9)):
        await read(start, end - start, hashlib.sha256(NOISE[start:end]).hexdigest())
        assert b"".join(pieces) == NOISE[start:end]
    with pytest.raises(ObjectAltered) as caught:
        await read(0, CHUNK_BYTES, "0" * 64)
    assert caught.value.how.startswith("the SHA-256 of what lies in it")
    assert 0 < sum(map(len, pieces)) < CHUNK_BYTES  # who counts sees that it is not whole
    with pytest.raises(ObjectAltered) as caught:
        await read(size - 7, 8, "0" * 64)
    assert caught.value.how.startswith("it ends 1 bytes before")


async def test_what_was_never_put_is_gone(bucket: Bucket) -> None:
    with pytest.raises(ObjectGone):
        await bucket.find("0" * 64)


async def test_the_layout_is_that_of_the_object_store_of_nats(stack: Stack, bucket: Bucket) -> None:
    name, size, packed = named(NOISE)
    await bucket.put(name, size, packed)
    store = await stack.bus.js.object_store(f"{stack.topology.namespace}-reports")
    found = await store.get_info(name)
    assert (found.name, found.size, found.chunks) == (name, len(packed.getvalue()), 3)
    # The client's own `get` and `list` can't be asked: they break on the ack subjects of nats-server 2.15.
    raw = [chunk async for chunk in bucket.chunks(await bucket.find(name))]
    assert [len(chunk) for chunk in raw[:2]] == [CHUNK_BYTES] * 2
    assert b"".join(raw) == packed.getvalue()


async def test_putting_again_replaces_and_makes_it_young(stack: Stack, bucket: Bucket) -> None:
    name, size, packed = named(NOISE)
    await bucket.put(name, size, packed)
    first = await bucket.find(name)
    await bucket.put(name, size, packed)
    second = await bucket.find(name)
    assert second.nuid != first.nuid
    assert second.stored_at > first.stored_at
    assert await content_of(bucket, name) == NOISE


async def test_old_objects_and_old_chunks_of_none_are_dropped(stack: Stack, bucket: Bucket) -> None:
    names = []
    for number in range(3):
        name, size, packed = named(b"%d" % number * 100)
        await bucket.put(name, size, packed)
        names.append(name)
    await stack.bus.js.publish(chunks_of(stack, "halfway"), b"a storing that broke off")
    now = datetime.now(UTC)
    assert await bucket.drop_oldest(now - timedelta(minutes=1), 10) == []
    assert await bucket.drop_oldest(now + timedelta(minutes=1), 2) == names[:2]
    assert await content_of(bucket, names[2])
    assert await bucket.drop_oldest(now + timedelta(hours=2), 10) == names[2:]
    for name in names:
        with pytest.raises(ObjectGone):
            await bucket.find(name)
    assert (await stack.bus.js.stream_info(stream_of(stack))).state.messages == 0


async def test_dropping_spares_what_was_put_again_meanwhile(
    stack: Stack, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, size, packed = named(NOISE)
    await bucket.put(name, size, packed)
    looked = bucket._oldest
    again = False

    async def look_then_put(subject: str) -> object:
        nonlocal again
        found = await looked(subject)
        if not again:
            again = True
            await bucket.put(name, size, packed)
        return found

    monkeypatch.setattr(bucket, "_oldest", look_then_put)
    await bucket.drop_oldest(datetime.now(UTC) + timedelta(minutes=1), 1)
    assert await content_of(bucket, name) == NOISE


async def test_a_missing_or_wrong_chunk_is_no_content(stack: Stack, bucket: Bucket) -> None:
    name, size, packed = named(NOISE)
    await bucket.put(name, size, packed)
    stored = await bucket.find(name)
    await stack.bus.js.purge_stream(stream_of(stack), subject=chunks_of(stack, stored.nuid), keep=2)
    with pytest.raises(ObjectGone):
        await content_of(bucket, name)
    other = hashlib.sha256(b"another").hexdigest()
    await bucket.put(other, size, packed)  # under a name that is not its own
    size = 0

    async def count() -> None:
        nonlocal size
        async for piece in bucket.read(await bucket.find(other)):
            size += len(piece)

    with pytest.raises(ObjectGone):
        await count()
    assert 0 < size < len(NOISE)


async def test_what_other_tools_removed_is_gone_and_does_not_stop_the_broom(stack: Stack, bucket: Bucket) -> None:
    name, size, packed = named(NOISE)
    await bucket.put(name, size, packed)
    store = await stack.bus.js.object_store(f"{stack.topology.namespace}-reports")
    await store.delete(name)
    with pytest.raises(ObjectGone):
        await bucket.find(name)
    subject = buckets.description_subject(f"{stack.topology.namespace}-reports", "odd")
    await stack.bus.js.publish(subject, b"not JSON")
    name, size, packed = named(b"after")
    await bucket.put(name, size, packed)
    assert await bucket.drop_oldest(datetime.now(UTC) + timedelta(hours=2), 10) == [name]


async def test_a_full_bucket_says_so(stack: Stack, bucket: Bucket) -> None:
    config = (await stack.bus.js.stream_info(stream_of(stack))).config
    config.max_bytes = CHUNK_BYTES
    await stack.bus.js.update_stream(config)
    with pytest.raises(Unavailable, match="full"):
        await bucket.put(*named(NOISE))
    with pytest.raises(ObjectGone):
        await bucket.find(named(NOISE)[0])


async def test_a_bucket_that_differs_is_a_sentence_at_start(stack: Stack) -> None:
    await topology.compare(stack.bus.js, stack.topology, "governance")
    config = (await stack.bus.js.stream_info(stream_of(stack))).config
    config.max_bytes = CHUNK_BYTES
    await stack.bus.js.update_stream(config)
    with pytest.raises(topology.TopologyError, match=r"max_bytes.*headgate migrate"):
        await topology.compare(stack.bus.js, stack.topology, "governance")
    await topology.compare(stack.bus.js, stack.topology, "tracker")
    await stack.bus.js.delete_stream(stream_of(stack))
    with pytest.raises(topology.TopologyError, match=r"missing.*headgate migrate"):
        await topology.compare(stack.bus.js, stack.topology, "gateway")
    await topology.apply(stack.bus.js, stack.topology)
    await topology.compare(stack.bus.js, stack.topology, "gateway")


async def test_the_description_says_what_the_content_is(stack: Stack, bucket: Bucket) -> None:
    name, size, packed = named(b"abc")
    await bucket.put(name, size, packed)
    subject = buckets.description_subject(f"{stack.topology.namespace}-reports", name)
    message = await stack.bus.js.get_last_msg(stream_of(stack), subject)
    described = orjson.loads(message.data or b"")
    assert described["metadata"] == {"content-encoding": "gzip", "unpacked-size": "3"}
    digest = base64.urlsafe_b64encode(hashlib.sha256(packed.getvalue()).digest()).decode()
    assert (described["digest"], described["size"]) == (f"SHA-256={digest}", len(packed.getvalue()))
