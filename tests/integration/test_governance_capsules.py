"""Capsules end to end: a decision is signed when it is made, handed out, and verified with a public key alone."""

from __future__ import annotations

import base64
import zlib
from functools import partial
from typing import Any

from libs.common.cloudevents import CloudEvent
from libs.common.contracts.governance.capsules import get_capsule, get_capsule_key, list_capsule_keys
from libs.common.contracts.governance.runs import gate_decided
from libs.judge.capsule import canonical, check, digest
from libs.judge.dsse import PublicKey, Signer, public_keys
from services.governance.capsules import SELECT_STORED
from services.governance.service import make_service
from services.governance.startup import packaged_policies
from tests.integration.governance_desk import report, run, send_ops, send_release, start
from tests.stack import Stack
from tests.unit.governance.samples import case, junit

FIRST, SECOND = Signer.from_secret("the first key"), Signer.from_secret("the second key")


async def capsule_of(stack: Stack, made: Any, site: str = "global") -> bytes:
    """The capsule of a run."""
    answer = await stack.query(get_capsule, {"gate": made["gate"], "run_id": made["run_id"]}, site=site)
    assert answer.status == 200, answer
    return zlib.decompress(base64.b64decode(answer.json["content_zlib_base64"]))


def _is_about(run_id: int, event: CloudEvent) -> bool:
    return event.subject == str(run_id)


async def test_decisions_of_all_kinds_are_proven_for_good(stack: Stack) -> None:
    await stack.start(make_service(packaged_policies(), signer=FIRST))
    made = [await run(stack, "release", subject="app", version="1.0")]  # no fact at all
    await send_release(stack, "1.0", results=[])
    made.append(await run(stack, "release", subject="app", version="1.0"))
    assert made[-1]["verdict"] == "GO"
    broken = await report(stack, "junit", b"<nothing", subject="app", version="1.1")
    assert broken.status == 422
    await report(stack, "junit", junit(case("a", "<failure/>")), subject="app", version="1.1")
    made.append(await run(stack, "release", subject="app", version="1.1"))
    assert made[-1]["verdict"] == "NO_GO"
    # What comes later changes no capsule: the facts are those of the moment.
    await send_release(stack, "1.1", tests=("a", "b", "c"))
    made.append(await run(stack, "release", subject="app", version="1.1"))
    await send_ops(stack)
    made.append(await run(stack))
    for one in made:
        problems, body = check(await capsule_of(stack, one), public_keys(FIRST.public))
        assert problems == []
        assert (body["about"]["run_id"], body["verdict"]["decision"]) == (one["run_id"], one["decision"])
        told = await stack.heard(gate_decided, partial(_is_about, one["run_id"]))
        assert told.data["capsule_sha256"] == one["capsule_sha256"] == digest(canonical(body))


async def test_a_key_is_replaced_and_the_old_one_stays_known(stack: Stack) -> None:
    await stack.start(make_service(packaged_policies(), signer=FIRST))
    old = await run(stack)
    await stack.stop("governance")
    await stack.start(make_service(packaged_policies(), signer=SECOND))
    new = await run(stack)
    keys = (await stack.query(list_capsule_keys, {})).json
    assert [(key["key_id"], key["in_use"]) for key in keys] == [
        (FIRST.public.key_id, False),
        (SECOND.public.key_id, True),
    ]
    current = await stack.query(get_capsule_key, {"key_id": "current"})
    assert zlib.decompress(base64.b64decode(current.json["content_zlib_base64"])).decode() == SECOND.public.pem
    assert (await stack.query(get_capsule_key, {"key_id": "0" * 64})).status == 404
    known = public_keys(*(PublicKey.read(key["public_key_pem"].encode()) for key in keys))
    for one in (old, new):
        assert check(await capsule_of(stack, one), known)[0] == []
    assert check(await capsule_of(stack, old), public_keys(SECOND.public))[0]


async def test_a_run_of_another_site_or_of_before_has_no_capsule(stack: Stack) -> None:
    await start(stack)
    made = await run(stack)
    key = {"gate": "operations", "run_id": made["run_id"]}
    assert (await stack.query(get_capsule, key, site="berlin")).status == 404
    assert (await stack.query(get_capsule, key | {"run_id": 1})).status == 404
    superuser = await stack.superuser()
    try:
        await superuser.execute("DELETE FROM governance.capsules")
    finally:
        await superuser.close()
    before = await stack.query(get_capsule, key)
    assert (before.status, "before capsules were kept" in before.json["detail"]) == (404, True)


async def test_a_policy_is_only_taken_for_stored_once_that_is_committed(stack: Stack) -> None:
    """Else a batch that is rolled back and done again would leave capsules without their policy."""
    await start(stack)
    stored = "INSERT INTO governance.policy_sources (sha256, source) VALUES ('abc', 'text')"
    superuser = await stack.superuser()
    try:
        await superuser.execute("SET search_path = governance")
        batch = superuser.transaction()
        await batch.start()
        async with superuser.transaction():  # as a savepoint
            await superuser.execute(stored)
        assert await superuser.fetch(SELECT_STORED, ["abc"]) == []
        await batch.rollback()
        await superuser.execute(stored)
        assert len(await superuser.fetch(SELECT_STORED, ["abc"])) == 1
    finally:
        await superuser.close()
