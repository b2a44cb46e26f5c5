"""Witnesses of the audit log as processes of another party: they cosign what grew, and a fork is loud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from typer.testing import CliRunner, Result

from libs.client.cli import app
from libs.common.contracts.audit.witnesses import checkpoint_witnessed, fork_seen, list_checkpoints, list_witnesses
from libs.common.outbound import Answer, Outbound
from libs.common.runtime import StartError
from libs.tlog.cosignatures import Cosigner, witnessed_by
from libs.tlog.notes import read_checkpoint, read_note
from services.audit import witnesses as shown
from services.audit.outside import Outside
from services.audit.service import make_service
from services.audit.witnesses import WitnessAt, read_witnesses
from tests.command_line import Tool, tool_at
from tests.http_edge import OWNER, Http
from tests.integration.audit_desk import record
from tests.integration.test_audit_fork import set_back
from tests.integration.test_audit_tree import SIGNER, signed, state_of
from tests.stack import Stack
from tests.witnesses import WitnessProcess, witnesses

pytestmark = [pytest.mark.integration, pytest.mark.whole]

NAMES = ["witness.example/w1", "witness.example/w2"]
ORIGIN = SIGNER.verifier.name


class Desk:
    """A stack with the processes of two witnesses; which of them the log asks is up to the test."""

    def __init__(self, stack: Stack, made: list[WitnessProcess]) -> None:
        self.stack, self.first, self.second = stack, *made

    async def start(self, *asked: WitnessProcess) -> None:
        places = [WitnessAt(one.key, one.url) for one in asked]
        await self.stack.start(make_service(SIGNER, places, Outbound(["127.0.0.0/8"])))

    async def states(self) -> list[dict[str, Any]]:
        answer = await self.stack.query(list_witnesses, {})
        assert answer.status == 200, answer
        found: list[dict[str, Any]] = answer.json
        return found

    async def until(self, *states: tuple[str, int]) -> list[dict[str, Any]]:
        """Await that each witness is in a state, and has cosigned so many entries."""
        async with asyncio.timeout(30):
            while True:
                found = await self.states()
                if [(one["state"], one["size"]) for one in found] == list(states):
                    return found
                self.stack.clock.advance(seconds=61)
                await asyncio.sleep(0.2)

    async def settled(self) -> int:
        """Await that all is signed, also what was said about witnesses; how many entries that is."""
        last = -1
        async with asyncio.timeout(60):
            while True:
                await self.stack.idle("audit")
                found = await state_of(self.stack)
                if found["state"] == "signed" and found["entry_count"] == last:
                    return last
                last = found["entry_count"] if found["state"] == "signed" else -1
                await asyncio.sleep(2.5)  # a witness may be asked meanwhile, and what it says is an entry, too


@pytest_asyncio.fixture
async def desk(stack: Stack, tmp_path: Path) -> AsyncIterator[Desk]:
    with witnesses(tmp_path, NAMES, SIGNER.verifier) as made:
        yield Desk(stack, made)


def gauge(name: str) -> float:
    return REGISTRY.get_sample_value(f"headgate_audit_{name}") or 0.0


async def test_two_witnesses_see_the_log_grow(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stack = desk.stack
    edge = await Http(stack).open()
    await desk.start(desk.first, desk.second)
    await record(stack, 300)
    for name in NAMES:
        told = await stack.heard(checkpoint_witnessed, lambda event, name=name: event.subject == name)  # type: ignore[misc]
        assert (told.site, told.data["witness"]) == ("global", name)
    size = await desk.settled()
    await desk.until(("cosigned", size), ("cosigned", size))
    note = (await edge.client.get("/audit/checkpoint")).text
    assert read_checkpoint(note, [SIGNER.verifier]).size == size
    assert set(witnessed_by(read_note(note), [desk.first.key, desk.second.key])) == {desk.first.key, desk.second.key}
    page = (await edge.client.get("/api/audit/checkpoints")).json()["items"]
    assert (page[0]["size"], page[0]["witness_count"], page[0]["checkpoint"]) == (size, 2, note)
    assert [one["witness"] for one in page[0]["cosigned_by"]] == NAMES
    await record(stack, 1)
    await signed(stack, size + 1)
    for shown_for_s, size_shown in ((1e9, size), (-1, size + 1)):  # one hardly older that was cosigned, or the newest
        monkeypatch.setattr(shown, "SHOWN_FOR_S", shown_for_s)
        assert read_checkpoint((await state_of(stack))["published"], [SIGNER.verifier]).size == size_shown
    await desk.until(("cosigned", size + 1), ("cosigned", size + 1))
    assert len([one for one in stack.events if one.type == checkpoint_witnessed.type]) == 2
    async with asyncio.timeout(20):
        while (gauge("witnesses"), gauge("witness_forks")) != (2, 0) or not gauge("witnessed_timestamp_seconds"):
            await asyncio.sleep(0.1)
    monkeypatch.setattr(shown, "SHOWN_FOR_S", 1e9)
    await an_outsider_wants_both(desk, tool_at(edge.url, monkeypatch, tmp_path), str(tmp_path / "mirror"))


async def an_outsider_wants_both(desk: Desk, tool: Tool, mirror: str) -> None:
    """Of the server, of each witness itself, and of a mirror that is checked without anybody."""
    both = [part for one in (desk.first, desk.second) for part in ("--witness-key", one.key.text)]
    wanted = ("--key", SIGNER.verifier.text, *both, "--witness-max-age", "30m")
    result = await tool("audit", "verify", *wanted)
    assert result.exit_code == 0, result.output
    result = await tool("audit", "verify", "--witness", desk.first.url, "--witness", desk.second.url, *wanted)
    assert result.exit_code == 0, result.output
    assert all(f"{name} cosigned the first" in result.stdout for name in NAMES)
    assert (await tool("audit", "mirror", mirror, "--key", SIGNER.verifier.text)).exit_code == 0
    result = await tool("audit", "verify", "--folder", mirror, *wanted)
    assert result.exit_code == 0, result.output
    third = Cosigner.from_seed("witness.example/w3", bytes(32)).key.text
    result = await tool("audit", "verify", "--folder", mirror, *wanted, "--witness-key", third)
    assert (result.exit_code, "2 of 3 witnesses have cosigned" in result.stdout) == (1, True), result.output
    result = await tool("audit", "verify", "--folder", mirror, *wanted, "--witness-key", third, "--witnesses", "2")
    assert result.exit_code == 0, result.output


async def forget_outside(stack: Stack) -> None:
    """As if NATS, too, were set back: what was signed there is gone."""
    stream = Outside().bind(stack.running["audit"].bus)
    kept = await stream.read()
    await stream.swap("", kept.revision)


async def test_a_fork_is_named_by_the_witness_that_saw_the_other_history(
    desk: Desk, monkeypatch: Any, tmp_path: Path
) -> None:
    """Database and NATS are set back: nothing in the installation knows what was signed. The witness does."""
    stack = desk.stack
    await desk.start(desk.first)
    await record(stack, 20)
    size = await desk.settled()
    await desk.until(("cosigned", size))
    await forget_outside(stack)
    await stack.stop("audit")
    await set_back(stack, 12)
    stack.clock.advance(minutes=2)
    await desk.start(desk.first, desk.second)
    await record(stack, 2)
    told = await stack.heard(fork_seen)
    assert told.data["witness"] == NAMES[0]
    assert f"saw {size} entries, this log has signed only" in told.data["problem"]
    assert told.data["seen_size"] == size
    theirs = read_checkpoint(told.data["seen_checkpoint"], [SIGNER.verifier])
    ours = read_checkpoint(told.data["checkpoint"], [SIGNER.verifier])
    assert theirs.size == size > ours.size  # both are signed by our key: that is the proof
    await record(stack, 30)
    longer = await desk.settled()
    found = await desk.until(("forked", size), ("cosigned", longer))
    async with asyncio.timeout(30):
        while f"saw {size} entries that are not the first {size} of this log" not in found[0]["problem"]:
            stack.clock.advance(seconds=61)
            await asyncio.sleep(0.2)
            found = await desk.states()
    assert "REFUSED" in desk.first.said.read_text()
    assert len([one for one in stack.events if one.type == fork_seen.type]) == 1  # once, not each minute
    assert found[0]["problem"] in (await state_of(stack))["fork"]
    async with asyncio.timeout(20):
        while gauge("witness_forks") != 1:
            await asyncio.sleep(0.1)
    await stays_forked(desk)
    await verify_says(desk, monkeypatch, longer, tmp_path)


async def stays_forked(desk: Desk) -> None:
    """While the witness is away, what it saw stands; back again, it is not told a second time."""
    desk.first.kill()
    await asked_anew(desk)
    assert [one["state"] for one in await desk.states()] == ["forked", "cosigned"]
    assert (await state_of(desk.stack))["fork"]
    desk.first.start()
    await asked_anew(desk)
    await desk.stack.idle("audit")
    assert len([one for one in desk.stack.events if one.type == fork_seen.type]) == 1


async def verify_says(desk: Desk, monkeypatch: Any, longer: int, tmp_path: Path) -> None:
    """The tool names the fork: as the server tells it, and if the server keeps silent, by asking the witness."""
    edge = await Http(desk.stack).open()
    monkeypatch.setenv("HEADGATE_URL", edge.url)
    monkeypatch.setenv("HEADGATE_TOKEN", OWNER)
    monkeypatch.setenv("COLUMNS", "400")

    async def verify(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["audit", "verify", *arguments])

    result = await verify("--key", SIGNER.verifier.text)
    assert (result.exit_code, "the log was forked. witness.example/w1 saw" in result.stdout) == (1, True), result.output
    mirror = str(tmp_path / "mirror")
    result = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "mirror", mirror])
    assert (result.exit_code, "the log was forked. witness.example/w1 saw" in result.stderr) == (1, True), result.output
    monkeypatch.setattr(shown, "SELECT_FORKS", "SELECT '' AS verifier, '' AS problem WHERE $1::text[] IS NULL")
    result = await verify("--key", SIGNER.verifier.text)
    assert result.exit_code == 0, result.output
    result = await verify("--key", SIGNER.verifier.text, "--witness", desk.first.url)
    assert result.exit_code == 1
    assert f"are others than were signed before: the log was rewritten (the witness {desk.first.url}" in result.stdout
    result = await verify("--key", SIGNER.verifier.text, "--witness", desk.second.url)
    assert result.exit_code == 0, result.output
    result = await verify("--witness", "http://127.0.0.1:9")
    assert (result.exit_code, "can't be asked" in result.stderr) == (2, True), result.output
    assert longer


async def test_a_witness_that_is_away_or_does_not_know_us(desk: Desk, tmp_path: Path) -> None:
    stack = desk.stack
    desk.first.kill()
    stranger = WitnessProcess(tmp_path / "w9", "witness.example/w9", SIGNER.named("other.example").verifier).start()
    try:
        await desk.start(desk.first, stranger)
        await record(stack, 3)
        found = await desk.until(("unreachable", 0), ("refused", 0))
        assert "can't be reached" in found[0]["problem"]
        assert f"answered 404: this witness does not watch {ORIGIN}" in found[1]["problem"]
        assert SIGNER.verifier.text in found[1]["problem"]
        desk.first.start()
        await desk.until(("cosigned", await desk.settled()), ("refused", 0))
        page = (await stack.query(list_checkpoints, {})).json
        assert 1 in [one["witness_count"] for one in page["items"]]
    finally:
        stranger.kill()


async def asked_anew(desk: Desk) -> dict[str, Any]:
    """Await that the first witness was asked twice more, and thus answered for once; how it then stands."""
    asked = {(found := (await desk.states())[0])["asked_at"]}
    async with asyncio.timeout(60):
        while len(asked) < 3:
            desk.stack.clock.advance(seconds=61)
            await asyncio.sleep(0.2)
            asked.add((found := (await desk.states())[0])["asked_at"])
    return found


@pytest.mark.parametrize("why", ["its key is gone", "its place outside is empty"])
async def test_what_is_not_signed_any_more_does_not_count_as_seen_anew(desk: Desk, why: str) -> None:
    """A log that is idle is asked for again, so that its cosignature stays young; one that is stuck is not."""
    stack = desk.stack
    await desk.start(desk.first)
    await record(stack, 5)
    await stack.heard(checkpoint_witnessed)  # which is an entry, too
    size = await desk.settled()
    first = (await desk.until(("cosigned", size)))[0]
    idle = await asked_anew(desk)
    assert (idle["size"], idle["cosigned_at"] > first["cosigned_at"]) == (size, True), "it is idle"
    if why == "its key is gone":
        await stack.stop("audit")
        await stack.start(make_service(None, [WitnessAt(desk.first.key, desk.first.url)], Outbound(["127.0.0.0/8"])))
        await record(stack, 3)
        await stack.idle("audit")
    else:
        await forget_outside(stack)
    before = (await desk.states())[0], (await state_of(stack))["published"]
    after = await asked_anew(desk)
    assert after["asked_at"] > before[0]["asked_at"]
    assert (after["state"], after["cosigned_at"]) == ("cosigned", before[0]["cosigned_at"])
    assert (await state_of(stack))["published"] == before[1]
    if why == "its key is gone":  # it is signed again: at once all is as ever
        await stack.stop("audit")
        await desk.start(desk.first)
        assert (await desk.until(("cosigned", await desk.settled())))[0]["cosigned_at"] > after["cosigned_at"]


@pytest.mark.parametrize("persisted", [False, True])
async def test_a_cosignature_that_got_lost_is_asked_for_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, persisted: bool
) -> None:
    """The call fails before it arrives, or after the witness has it on disk: both end with the same cosignatures."""
    right, left = Outbound.post, [3]

    async def wrong(self: Outbound, *arguments: Any) -> Answer:
        if left[0] > 0:
            left[0] -= 1
            if persisted:
                await right(self, *arguments)
            raise TimeoutError
        return await right(self, *arguments)

    async def unreachable(self: Outbound, *arguments: Any) -> Answer:
        from libs.common.outbound import Unreachable

        try:
            return await wrong(self, *arguments)
        except TimeoutError:
            raise Unreachable("There was no answer in time.") from None

    monkeypatch.setattr(Outbound, "post", unreachable)
    await desk.start(desk.first)
    await record(desk.stack, 5)
    await desk.settled()
    async with asyncio.timeout(60):
        while left[0] or (await desk.states())[0]["state"] != "cosigned":
            desk.stack.clock.advance(seconds=61)
            await asyncio.sleep(0.2)
    size = await desk.settled()
    await desk.until(("cosigned", size))


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ({"nowhere": "x"}, "no address"),
        ({"https://w.example": "x"}, "key reads"),
        ({"https://w.example?a=1": "x"}, "no address"),
        ({f"https://w{n}.example": "x" for n in range(17)}, "at most 16"),
        ({f"https://w{n}.example": Cosigner.from_seed("w", bytes(32)).key.text for n in range(2)}, "twice"),
    ],
)
def test_settings_that_name_no_witness(named: dict[str, str], says: str) -> None:
    with pytest.raises(StartError, match=says):
        read_witnesses(named)


def test_settings_that_name_one() -> None:
    key = Cosigner.from_seed("w", bytes(32)).key
    found: Sequence[WitnessAt] = read_witnesses({"https://w.example/": key.text})
    assert found == (WitnessAt(key, "https://w.example"),)
